package axml

import (
	"bytes"
	"errors"
	"unicode/utf16"
)

const (
	poolHeader = 28     // bytes of a string pool's header
	poolUTF8   = 1 << 8 // its flag that the strings are UTF-8; else they are UTF-16
	maxString  = 1024   // bytes or units of a string that are read: nothing that is asked for is longer
)

// pool is a string pool (ResStringPool_header). Its strings are read when they are asked for: a hostile pool can have
// each of its million places lead to the same long string.
type pool struct {
	offsets []byte // 4 bytes each
	strings []byte
	utf8    bool
}

func readPool(c chunk) (pool, error) {
	if c.header < poolHeader {
		return pool{}, errors.New("the header of its strings is too short")
	}
	count, flags, start := int64(u32(c.bytes[8:])), u32(c.bytes[16:]), int64(u32(c.bytes[20:]))
	if count*4 > int64(len(c.body())) || start > int64(len(c.bytes)) {
		return pool{}, errors.New("its strings have no room in it")
	}
	return pool{c.body()[:count*4], c.bytes[start:], flags&poolUTF8 != 0}, nil
}

// at is the string of a number, cut off at maxString.
func (p pool) at(i uint32) (string, bool) {
	if int64(i)*4 >= int64(len(p.offsets)) {
		return "", false
	}
	offset := int64(u32(p.offsets[i*4:]))
	if offset >= int64(len(p.strings)) {
		return "", false
	}
	if p.utf8 {
		return string8(p.strings[offset:])
	}
	return string16(p.strings[offset:])
}

// string8 reads a UTF-8 string: its length in UTF-16 units, its length in bytes, and those.
func string8(s []byte) (string, bool) {
	_, s, ok := length8(s)
	if !ok {
		return "", false
	}
	n, s, ok := length8(s)
	if !ok || n > len(s) {
		return "", false
	}
	return string(bytes.ToValidUTF8(s[:min(n, maxString)], []byte("\ufffd"))), true
}

// length8 reads a length of one byte, or of two if the first has its high bit.
func length8(s []byte) (int, []byte, bool) {
	switch {
	case len(s) >= 1 && s[0]&0x80 == 0:
		return int(s[0]), s[1:], true
	case len(s) >= 2:
		return int(s[0]&0x7f)<<8 | int(s[1]), s[2:], true
	}
	return 0, nil, false
}

// string16 reads a UTF-16 string: its length in units, of two bytes, or of four if the first has its high bit.
func string16(s []byte) (string, bool) {
	if len(s) < 2 {
		return "", false
	}
	n := int(u16(s))
	if s = s[2:]; n&0x8000 != 0 {
		if len(s) < 2 {
			return "", false
		}
		n, s = n&0x7fff<<16|int(u16(s)), s[2:]
	}
	if n > len(s)/2 {
		return "", false
	}
	units := make([]uint16, min(n, maxString))
	for i := range units {
		units[i] = u16(s[i*2:])
	}
	return string(utf16.Decode(units)), true
}
