// Package zipfile reads the zip archives that apps come in. It reads an archive one way only, and refuses one that
// another reader could read another way: whoever checks an app must see the files that the device runs.
//
// It owns the format (APPNOTE.TXT 6.3.10 of PKWARE) and its bounds: whatever an archive says, the memory taken and the
// bytes unpacked stay below them. It writes nothing, and knows nothing of what an archive is for. Names of files are
// not paths of this machine: a name that leads outside a folder is refused, any other is given as it is.
//
// Start reading at Open, then File.Open.
package zipfile

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// The bounds of an archive.
const (
	MaxSize      = 4 << 30   // bytes of an archive, as of a file that is measured
	MaxEntries   = 65_535    // files in one: what a directory without zip64 can hold, and Android reads
	MaxDirectory = 16 << 20  // bytes of its directory
	MaxName      = 1024      // bytes of a file's name
	MaxUnpacked  = 8 << 30   // bytes of all its files unpacked
	MaxRatio     = 100       // how many times its own size they may be,
	freeUnpacked = 256 << 20 // if they are more bytes than this
)

// ErrNotZip is that of a file that is no zip archive at all, or was cut off.
var ErrNotZip = errors.New("not a zip archive, or its end is cut off")

// Archive is an open archive. Its files may be read by several goroutines at once.
type Archive struct {
	source    io.ReaderAt
	directory span
	files     []*File
	byName    map[string]*File
	inflaters sync.Pool // of *inflater
}

// span is a part of an archive: its first byte, and the one after its last.
type span struct{ from, to int64 }

// Open reads the directory of an archive, and what stands before each of its files. An archive that does not say the
// same in both, or whose files share bytes or names, is refused.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("the archive has %d bytes, at most %d are read", size, int64(MaxSize))
	}
	end, err := findEnd(r, size)
	if err != nil {
		return nil, err
	}
	a := &Archive{source: r, directory: end.directory}
	if err := a.readDirectory(end.entries); err != nil {
		return nil, err
	}
	if err := a.checkUnpacked(size); err != nil {
		return nil, err
	}
	if err := a.readLocals(); err != nil {
		return nil, err
	}
	return a, nil
}

// Files are the files in the directory's order. A folder of its own has a name that ends in a slash.
func (a *Archive) Files() []*File { return a.files }

// Find is the file of a name.
func (a *Archive) Find(name string) (*File, bool) {
	f, found := a.byName[name]
	return f, found
}

// DirectoryOffset is where the directory begins. An APK has its signing block right before it.
func (a *Archive) DirectoryOffset() int64 { return a.directory.from }

// DirectoryEnd is where the directory ends, and what tells of it begins.
func (a *Archive) DirectoryEnd() int64 { return a.directory.to }

// checkUnpacked refuses an archive that unpacks to more than its bounds.
func (a *Archive) checkUnpacked(size int64) error {
	total := int64(0)
	for _, f := range a.files { // each is at most MaxUnpacked, so that the sum does not overflow
		total += f.Size
		if total > MaxUnpacked || total > freeUnpacked && total/MaxRatio > size {
			return fmt.Errorf("the archive of %d bytes unpacks to %d or more: at most %d, and at most %d times its size if that is above %d, are read",
				size, total, int64(MaxUnpacked), MaxRatio, freeUnpacked)
		}
	}
	return nil
}
