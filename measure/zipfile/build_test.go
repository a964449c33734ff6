package zipfile_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// entry is a file of an archive that a test makes, and the lies that are told of it.
type entry struct {
	name, content string
	method        uint16
	flags         uint16
	local         func(header []byte) []byte // changes what stands before the file
	directory     func(header []byte) []byte // changes its directory entry
	descriptor    bool                       // the sizes stand after the file
	extra         string                     // before the file
	at            func(offsets []int) int    // where the directory says it is; nil: where it is
	packed        string                     // what is in the archive; "": the content, packed
}

// put overwrites bytes of a header.
func put(at int, text string) func([]byte) []byte {
	return func(header []byte) []byte { copy(header[at:], text); return header }
}

func u16(v int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(v))) }
func u32(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func u64(v int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }

func deflate(content string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.String()
}

// archive makes an archive whose end record an edit may change.
func archive(entries []entry, end func(record []byte, directory, length int) []byte) []byte {
	var out []byte
	var offsets []int
	var packed []string
	for _, e := range entries {
		p := e.packed
		if p == "" && e.method == 8 {
			p = deflate(e.content)
		} else if p == "" {
			p = e.content
		}
		packed = append(packed, p)
		offsets = append(offsets, len(out))
		flags, sum, sizes := e.flags, crc32.ChecksumIEEE([]byte(e.content)), u32(len(p))+u32(len(e.content))
		before := u32(int(sum)) + sizes
		if e.descriptor {
			flags |= 8
			before = u32(0) + u32(0) + u32(0)
		}
		header := []byte("PK\x03\x04" + u16(20) + u16(int(flags)) + u16(int(e.method)) + u32(0) + before + u16(len(e.name)) + u16(len(e.extra)) + e.name + e.extra)
		if e.local != nil {
			header = e.local(header)
		}
		out = append(append(out, header...), p...)
		if e.descriptor {
			out = append(out, "PK\x07\x08"+u32(int(sum))+sizes...)
		}
	}
	directory := len(out)
	for i, e := range entries {
		flags := e.flags
		if e.descriptor {
			flags |= 8
		}
		at := offsets[i]
		if e.at != nil {
			at = e.at(offsets)
		}
		header := []byte("PK\x01\x02" + u16(20) + u16(20) + u16(int(flags)) + u16(int(e.method)) + u32(0) + u32(int(crc32.ChecksumIEEE([]byte(e.content)))) +
			u32(len(packed[i])) + u32(len(e.content)) + u16(len(e.name)) + u16(0) + u16(0) + u16(0) + u16(0) + u32(0) + u32(at) + e.name)
		if e.directory != nil {
			header = e.directory(header)
		}
		out = append(out, header...)
	}
	length := len(out) - directory
	record := []byte("PK\x05\x06" + u16(0) + u16(0) + u16(len(entries)) + u16(len(entries)) + u32(length) + u32(directory) + u16(0))
	if end != nil {
		record = end(record, directory, length)
	}
	return append(out, record...)
}

// end64 is a zip64 end record, its locator, and the end record.
func end64(entries int) func([]byte, int, int) []byte {
	return func(record []byte, directory, length int) []byte {
		at := directory + length
		wide := "PK\x06\x06" + u64(44) + u16(45) + u16(45) + u32(0) + u32(0) + u64(entries) + u64(entries) + u64(length) + u64(directory) +
			"PK\x06\x07" + u32(0) + u64(at) + u32(1)
		return append([]byte(wide), record...)
	}
}

// wide64 makes the sizes of a directory entry, or of what stands before a file, those of a zip64 field.
func wide64(sizes, extraLength int, field string) func([]byte) []byte {
	return func(header []byte) []byte {
		copy(header[sizes:], "\xff\xff\xff\xff\xff\xff\xff\xff")
		copy(header[extraLength:], u16(len(field)))
		return append(header, field...)
	}
}
