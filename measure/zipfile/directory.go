package zipfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	entrySize   = 46 // bytes of a directory entry without its name, extra fields and comment, APPNOTE.TXT 4.3.12
	extra64     = 1  // the extra field of sizes beyond 32 bits, 4.5.3
	readAhead   = 64 << 10
	stored      = 0
	deflated    = 8
	isEncrypted = 1<<0 | 1<<6 | 1<<13 // flags, 4.4.4
	isStreamed  = 1 << 3              // sizes and CRC stand after the file
)

// readDirectory reads all entries. Whoever says another number of them than there are is refused: readers differ in
// what they believe.
func (a *Archive) readDirectory(entries int64) error {
	section := io.NewSectionReader(a.source, a.directory.from, a.directory.to-a.directory.from)
	left := section.Size()
	if entries*entrySize > left {
		return fmt.Errorf("the archive's directory of %d bytes has no room for its %d files", left, entries)
	}
	r := bufio.NewReaderSize(section, readAhead)
	a.files, a.byName = make([]*File, 0, entries), make(map[string]*File, entries)
	for i := range entries {
		f, n, err := a.readEntry(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the directory ends within it")
		}
		if err != nil {
			return fmt.Errorf("the archive's directory, file %d of %d: %w", i+1, entries, err)
		}
		if _, twice := a.byName[f.Name]; twice {
			return fmt.Errorf("the archive has two files of the name %.200q", f.Name)
		}
		a.byName[f.Name] = f
		a.files = append(a.files, f)
		left -= n
	}
	if left != 0 {
		return fmt.Errorf("the archive's directory goes on for %d bytes after the %d files it should have", left, entries)
	}
	return nil
}

// readEntry reads one entry, and returns how many bytes it has.
func (a *Archive) readEntry(r *bufio.Reader) (*File, int64, error) {
	le := binary.LittleEndian
	var h [entrySize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, 0, err
	}
	if string(h[:4]) != directoryMark {
		return nil, 0, fmt.Errorf("it begins with %q", h[:4])
	}
	nameSize, extraSize, commentSize := int64(le.Uint16(h[28:])), int64(le.Uint16(h[30:])), int64(le.Uint16(h[32:]))
	if nameSize > MaxName {
		return nil, 0, fmt.Errorf("its name has %d bytes, at most %d are read", nameSize, MaxName)
	}
	texts := make([]byte, nameSize+extraSize)
	if _, err := io.ReadFull(r, texts); err != nil {
		return nil, 0, err
	}
	if _, err := r.Discard(int(commentSize)); err != nil {
		return nil, 0, err
	}
	f := &File{Name: string(texts[:nameSize]), Flags: le.Uint16(h[8:]), Method: le.Uint16(h[10:]), CRC32: le.Uint32(h[16:]),
		Packed: int64(le.Uint32(h[20:])), Size: int64(le.Uint32(h[24:])), header: int64(le.Uint32(h[42:])), archive: a}
	wide := wideFields(texts[nameSize:])
	disk := int64(le.Uint16(h[34:]))
	for _, field := range []*int64{&f.Size, &f.Packed, &f.header} { // the order of 4.5.3
		if *field == saturated32 && !wide.take(field, 8) {
			return nil, 0, fmt.Errorf("%.200q: its zip64 field does not say its size or place", f.Name)
		}
	}
	if disk == saturated16 && wide.take(&disk, 4) || disk != 0 {
		if disk != 0 {
			return nil, 0, fmt.Errorf("%.200q is on another disk, which is not read", f.Name)
		}
	}
	if err := f.check(); err != nil {
		return nil, 0, err
	}
	return f, entrySize + nameSize + extraSize + commentSize, nil
}

// check refuses what cannot be a file of an app. Other names are only unusual, such as those with control characters
// or empty parts, which obfuscators make: they are never the names of files here.
func (f *File) check() error {
	limit := f.archive.directory.from
	slashes := strings.ReplaceAll(f.Name, `\`, "/") // as archives made on Windows have them, by mistake
	switch {
	case f.Name == "" || strings.Contains(f.Name, "\x00") || strings.HasPrefix(slashes, "/"):
		return fmt.Errorf("the name %.200q is empty, absolute, or has a NUL", f.Name)
	case strings.Contains("/"+slashes+"/", "/../"):
		return fmt.Errorf("the name %.200q leads outside its folder", f.Name)
	case f.Flags&isEncrypted != 0:
		return fmt.Errorf("%.200q is encrypted, or says so, which no app is", f.Name)
	case f.Size < 0 || f.Size > MaxUnpacked:
		return fmt.Errorf("%.200q unpacks to more than %d bytes", f.Name, int64(MaxUnpacked))
	case f.Packed < 0 || f.header < 0 || f.header > limit-localSize || f.Packed > limit-localSize-f.header:
		return fmt.Errorf("%.200q has %d bytes from byte %d on, where the archive has no room for them", f.Name, f.Packed, f.header)
	case f.Method == stored && f.Size != f.Packed:
		return fmt.Errorf("%.200q is not packed, and yet has %d bytes packed and %d unpacked", f.Name, f.Packed, f.Size)
	}
	return nil
}

// wide holds what stands in a zip64 extra field: one value for each field of the header that has no room for its own.
type wide []byte

// wideFields finds the zip64 field among extra fields. Others, such as those that zipalign pads with, may be damaged.
func wideFields(extra []byte) wide {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		id, size := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; size > len(extra) {
			return nil
		}
		if id == extra64 {
			return wide(extra[:size])
		}
		extra = extra[size:]
	}
	return nil
}

// take takes the next value, of 4 or 8 bytes.
func (w *wide) take(value *int64, size int) bool {
	if len(*w) < size {
		return false
	}
	if size == 4 {
		*value = int64(binary.LittleEndian.Uint32(*w))
	} else {
		*value = int64(binary.LittleEndian.Uint64(*w))
	}
	*w = (*w)[size:]
	return true
}
