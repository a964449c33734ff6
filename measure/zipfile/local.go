package zipfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const localSize = 30 // bytes of what stands before a file, without name and extra fields, APPNOTE.TXT 4.3.7

// readLocals compares what stands before each file with the directory: there are readers that go by the one, and
// readers that go by the other. No byte may belong to two files.
func (a *Archive) readLocals() error {
	files := slices.Clone(a.files)
	slices.SortFunc(files, func(x, y *File) int {
		switch {
		case x.header < y.header:
			return -1
		case x.header > y.header:
			return 1
		}
		return 0
	})
	buffer := make([]byte, localSize+MaxName)
	free := int64(0) // the first byte that belongs to no file before
	for i, f := range files {
		if f.header < free {
			return fmt.Errorf("the files %.200q and %.200q share bytes", files[i-1].Name, f.Name)
		}
		if err := f.readLocal(buffer); err != nil {
			return fmt.Errorf("%.200q: %w", f.Name, err)
		}
		free = f.data + f.Packed
	}
	return nil
}

// readLocal reads what stands before a file and sets where the file begins.
func (f *File) readLocal(buffer []byte) error {
	le := binary.LittleEndian
	h := buffer[:localSize+len(f.Name)]
	limit := f.archive.directory.from
	if f.header+int64(len(h)) > limit {
		return fmt.Errorf("it begins at byte %d, where it has no room", f.header)
	}
	if err := readAt(f.archive.source, h, f.header); err != nil {
		return err
	}
	nameSize, extraSize := int64(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
	f.data, f.Local = f.header+localSize+nameSize+extraSize, le.Uint16(h[6:])
	switch flags := f.Local; {
	case string(h[:4]) != localMark:
		return fmt.Errorf("there is no file at byte %d, where the directory says", f.header)
	case nameSize != int64(len(f.Name)) || string(h[localSize:]) != f.Name:
		return errors.New("another name stands before the file itself")
	case le.Uint16(h[8:]) != f.Method:
		return fmt.Errorf("packed by method %d in the directory, but %d before the file itself", f.Method, le.Uint16(h[8:]))
	case flags&isEncrypted != 0:
		return errors.New("it is encrypted, or says so, which no app is")
	case f.data > limit-f.Packed:
		return fmt.Errorf("its %d bytes from byte %d on reach into the directory", f.Packed, f.data)
	default:
		return f.compareSizes(h, flags&isStreamed != 0, extraSize)
	}
}

// compareSizes compares CRC and sizes. Of a file that was streamed they may be missing, and are then 0.
func (f *File) compareSizes(h []byte, streamed bool, extraSize int64) error {
	le := binary.LittleEndian
	crc, packed, size := le.Uint32(h[14:]), int64(le.Uint32(h[18:])), int64(le.Uint32(h[22:]))
	if packed == saturated32 || size == saturated32 {
		extra := make([]byte, extraSize) // at most 64 KB
		if err := readAt(f.archive.source, extra, f.data-extraSize); err != nil {
			return err
		}
		values := wideFields(extra)
		for _, field := range []*int64{&size, &packed} {
			if *field == saturated32 && !values.take(field, 8) {
				return errors.New("its zip64 field before the file itself does not say its size")
			}
		}
	}
	agree := func(here, directory int64) bool { return here == directory || streamed && here == 0 }
	if !agree(int64(crc), int64(f.CRC32)) || !agree(packed, f.Packed) || !agree(size, f.Size) {
		return fmt.Errorf("%d bytes packed, %d unpacked and CRC %08x in the directory, but %d, %d and %08x before the file itself",
			f.Packed, f.Size, f.CRC32, packed, size, crc)
	}
	return nil
}
