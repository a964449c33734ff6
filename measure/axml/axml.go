// Package axml reads the resources of Android apps: binary XML, such as AndroidManifest.xml has in an APK, and the table
// resources.arsc. It reads them as Android does (frameworks/base, libs/androidfw/ResourceTypes.cpp and its header),
// down to what Android overlooks: apps are often obfuscated to the limit of what a device still takes.
//
// It owns these formats. It knows nothing of what an element or a resource means. Whatever a file says, the time and the
// memory taken grow no faster than the file, and no reference leads on for ever.
//
// Start reading at Walk, then Table.Resolve.
package axml

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of chunks, ResourceTypes.h.
const (
	chunkPool         = 0x0001
	chunkTable        = 0x0002
	chunkStartElement = 0x0102
	chunkEndElement   = 0x0103
	chunkFirstNode    = 0x0100
	chunkLastNode     = 0x017f
	chunkResourceMap  = 0x0180
	chunkPackage      = 0x0200
	chunkType         = 0x0201
)

const (
	headerSize = 8          // bytes of the smallest chunk header
	none       = 0xffffffff // an index or a reference to nothing
)

var errShort = errors.New("it ends too early")

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// chunk is a part of a file: a header and what follows it, all of which is there.
type chunk struct {
	kind   uint16
	header int // bytes of the header
	bytes  []byte
}

// body is what follows the header.
func (c chunk) body() []byte { return c.bytes[c.header:] }

// nextChunk reads the chunk that a file begins with, and returns what follows that.
func nextChunk(file []byte) (chunk, []byte, error) {
	if len(file) < headerSize {
		return chunk{}, nil, errShort
	}
	kind, header, size := u16(file), int64(u16(file[2:])), int64(u32(file[4:]))
	if header < headerSize || header > size || size > int64(len(file)) {
		return chunk{}, nil, fmt.Errorf("a part of kind %#04x says it has %d bytes, %d of them in its header, of the %d that are left", kind, size, header, len(file))
	}
	return chunk{kind, int(header), file[:size]}, file[size:], nil
}
