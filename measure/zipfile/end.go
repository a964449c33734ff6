package zipfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	endSize       = 22     // bytes of an end record without its comment, APPNOTE.TXT 4.3.16
	end64Size     = 56     // of a zip64 end record without its extensible part, 4.3.14
	locatorSize   = 20     // of what leads to that, 4.3.15
	maxComment    = 65_535 // bytes, also of the extensible part
	saturated16   = 0xffff
	saturated32   = 0xffffffff
	localMark     = "PK\x03\x04"
	directoryMark = "PK\x01\x02"
	endMark       = "PK\x05\x06"
	end64Mark     = "PK\x06\x06"
	locatorMark   = "PK\x06\x07"
)

// end is what the end of an archive says.
type end struct {
	entries   int64
	directory span
}

// findEnd finds the end record. It is the only place from which an archive can be read, so there must be only one:
// readers differ in which of two they take.
func findEnd(r io.ReaderAt, size int64) (end, error) {
	if size < endSize {
		return end{}, ErrNotZip
	}
	tail := make([]byte, min(size, endSize+maxComment))
	start := size - int64(len(tail))
	if err := readAt(r, tail, start); err != nil {
		return end{}, err
	}
	at := -1
	for i := 0; i+endSize <= len(tail); i++ {
		next := bytes.Index(tail[i:], []byte(endMark))
		if next < 0 || i+next+endSize > len(tail) {
			break
		}
		i += next
		fits := i+endSize+int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail)
		switch {
		case at >= 0:
			return end{}, errors.New("the archive has two ends: another one stands in the comment of the first")
		case fits:
			at = i
		}
	}
	if at < 0 {
		return end{}, ErrNotZip
	}
	e, err := readEnd(r, tail[at:], start+int64(at))
	if err != nil {
		return end{}, err
	}
	return e, checkStart(r, e)
}

// readEnd reads the end record at a place, and the zip64 one if there is one.
func readEnd(r io.ReaderAt, record []byte, at int64) (end, error) {
	le := binary.LittleEndian
	disk, diskOfDirectory := le.Uint16(record[4:]), le.Uint16(record[6:])
	here, entries := le.Uint16(record[8:]), le.Uint16(record[10:])
	length, from := int64(le.Uint32(record[12:])), int64(le.Uint32(record[16:]))
	e := end{int64(entries), span{from, from + length}}
	switch end64, found, err := readEnd64(r, at); {
	case err != nil:
		return end{}, err
	case found:
		if entries != saturated16 && end64.entries != e.entries || length != saturated32 && end64.directory.to-end64.directory.from != length ||
			from != saturated32 && end64.directory.from != from {
			return end{}, errors.New("the archive's two end records, one of them of zip64, do not agree")
		}
		e = end64
	case disk != 0 || diskOfDirectory != 0 || here != entries:
		return end{}, errors.New("the archive has several disks, which is not read")
	case e.directory.to != at:
		return end{}, fmt.Errorf("the archive's directory is from byte %d to %d, but its end record at %d: it must follow at once", from, from+length, at)
	}
	switch length := e.directory.to - e.directory.from; {
	case e.entries > MaxEntries:
		return end{}, fmt.Errorf("the archive has %d files, at most %d are read", e.entries, MaxEntries)
	case length > MaxDirectory:
		return end{}, fmt.Errorf("the archive's directory has %d bytes, at most %d are read", length, MaxDirectory)
	}
	return e, nil
}

// readEnd64 reads the zip64 end record of an archive whose end record is at a place.
func readEnd64(r io.ReaderAt, at int64) (e end, found bool, err error) {
	if at < locatorSize {
		return end{}, false, nil
	}
	le := binary.LittleEndian
	locator := make([]byte, locatorSize)
	if err := readAt(r, locator, at-locatorSize); err != nil || string(locator[:4]) != locatorMark {
		return end{}, false, err
	}
	place := int64(le.Uint64(locator[8:]))
	if le.Uint32(locator[4:]) != 0 || le.Uint32(locator[16:]) > 1 {
		return end{}, false, errors.New("the archive has several disks, which is not read")
	}
	if room := at - locatorSize - end64Size - place; place < 0 || room < 0 || room > maxComment {
		return end{}, false, fmt.Errorf("the archive's zip64 end record should be at byte %d, where it has no room", place)
	}
	record := make([]byte, end64Size)
	if err := readAt(r, record, place); err != nil {
		return end{}, false, err
	}
	length, from := int64(le.Uint64(record[40:])), int64(le.Uint64(record[48:]))
	switch {
	case string(record[:4]) != end64Mark || int64(le.Uint64(record[4:])) != at-locatorSize-place-12:
		return end{}, false, fmt.Errorf("the archive has no zip64 end record at byte %d, where it should be", place)
	case le.Uint32(record[16:]) != 0 || le.Uint32(record[20:]) != 0 || le.Uint64(record[24:]) != le.Uint64(record[32:]):
		return end{}, false, errors.New("the archive has several disks, which is not read")
	case length < 0 || from < 0 || from > place || length != place-from:
		return end{}, false, fmt.Errorf("the archive's directory of %d bytes at byte %d does not end where its zip64 end record begins, %d", length, from, place)
	case le.Uint64(record[32:]) > MaxEntries:
		return end{}, false, fmt.Errorf("the archive has %d files, at most %d are read", le.Uint64(record[32:]), MaxEntries)
	}
	return end{int64(le.Uint64(record[32:])), span{from, place}}, true, nil
}

// checkStart refuses an archive that begins with something else, which other readers take it for (CVE-2017-13156,
// "Janus": a program before the archive of an app).
func checkStart(r io.ReaderAt, e end) error {
	if e.directory.from == 0 {
		return nil // it has no files, or readDirectory says so
	}
	start := make([]byte, len(localMark))
	if err := readAt(r, start, 0); err != nil {
		return err
	}
	if string(start) != localMark {
		return fmt.Errorf("the archive begins with %q, not with a file: something stands before it", start)
	}
	return nil
}

// readAt reads a part of an archive, all of which is known to be there.
func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: byte %d is missing", ErrNotZip, at+int64(n))
	}
	return err
}
