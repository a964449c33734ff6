package zipfile

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// File is a file in an archive, as its directory says and what stands before it confirms.
type File struct {
	Name   string // bytes as they are, most often UTF-8
	Flags  uint16 // APPNOTE.TXT 4.4.4
	Method uint16 // 0 stored, 8 deflated; others are in some archives, and cannot be opened
	Size   int64  // bytes unpacked
	Packed int64  // bytes in the archive
	CRC32  uint32 // of it unpacked
	Local  uint16 // the flags in what stands before it; the others are of the directory

	archive *Archive
	header  int64 // where what stands before it begins
	data    int64 // where it begins itself
}

// packedBuffer is how many packed bytes are read at once.
const packedBuffer = 32 << 10

// Offset is where the file's bytes, packed or not, begin in the archive.
func (f *File) Offset() int64 { return f.data }

// Open reads the file unpacked. It gives at most Size bytes; if they are not Size, or not of its CRC, the last read
// ends in an error in place of io.EOF.
func (f *File) Open() (io.ReadCloser, error) {
	section := io.NewSectionReader(f.archive.source, f.data, f.Packed)
	switch f.Method {
	case stored:
		return &content{file: f, from: section, left: f.Size}, nil
	case deflated:
		i, known := f.archive.inflaters.Get().(*inflater)
		if !known {
			i = &inflater{packed: bufio.NewReaderSize(nil, packedBuffer)}
			i.unpacked = flate.NewReader(i.packed)
		}
		i.packed.Reset(section)
		if err := i.unpacked.(flate.Resetter).Reset(i.packed, nil); err != nil {
			return nil, err
		}
		return &content{file: f, from: i.unpacked, inflater: i, left: f.Size}, nil
	}
	return nil, fmt.Errorf("%.200q is packed by method %d: only stored (0) and deflated (8) are read", f.Name, f.Method)
}

// inflater unpacks, and is used again for other files: it has some 80 KB.
type inflater struct {
	packed   *bufio.Reader
	unpacked io.ReadCloser // a flate.Resetter as well
}

// content is a file that is being read.
type content struct {
	file     *File
	from     io.Reader
	inflater *inflater // nil: none, or given back
	left     int64
	sum      uint32
	err      error // how it ended
}

var errClosed = errors.New("the file in the archive is closed")

func (c *content) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	if c.left == 0 {
		c.err = c.end()
		return 0, c.err
	}
	n, err := c.from.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	switch {
	case err == nil || errors.Is(err, io.EOF) && c.left == 0:
		return n, nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		c.err = fmt.Errorf("%.200q in the archive ends %d bytes too early", c.file.Name, c.left)
	default:
		c.err = fmt.Errorf("%.200q in the archive is damaged: %w", c.file.Name, err)
	}
	return n, c.err
}

// end says how a file ended of which all bytes have been read.
func (c *content) end() error {
	var more [1]byte
	switch n, err := io.ReadFull(c.from, more[:]); {
	case n > 0:
		return fmt.Errorf("%.200q in the archive has more than the %d bytes it should have", c.file.Name, c.file.Size)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%.200q in the archive is damaged: %w", c.file.Name, err)
	case c.sum != c.file.CRC32:
		return fmt.Errorf("%.200q in the archive is damaged: got CRC %08x, want %08x", c.file.Name, c.sum, c.file.CRC32)
	}
	return io.EOF
}

// Close gives back what reading took.
func (c *content) Close() error {
	if c.inflater != nil {
		c.file.archive.inflaters.Put(c.inflater)
	}
	c.inflater, c.err = nil, errClosed
	return nil
}
