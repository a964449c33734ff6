package axml

import (
	"errors"
	"fmt"
)

// The bounds of a table.
const (
	maxPackages = 256     // what a number has room for
	maxTypes    = 1 << 16 // parts of it, one for each kind of resource and configuration
	maxFollowed = 20      // references from one resource to the next, as Android's resolveReference
)

const (
	tableHeader   = 12
	packageHeader = 284 // bytes without the offset of its types, which Android before 5.0 had not
	typeHeader    = 20  // without the configuration
	typeSparse    = 1 << 0
	typeShort     = 1 << 1
	entryComplex  = 1 << 0
	entryCompact  = 1 << 3
)

// Table is a resource table, resources.arsc. It holds on to the file.
type Table struct {
	strings pool
	types   []tableType
}

// tableType is the part of a table with one kind of resources for one configuration (ResTable_type).
type tableType struct {
	prefix uint32 // of the resources' numbers: package and kind
	plain  bool   // for the default configuration
	chunk  chunk
}

// ReadTable finds what is where in a table.
func ReadTable(file []byte) (*Table, error) {
	whole, _, err := nextChunk(file)
	if err != nil {
		return nil, err
	}
	if whole.kind != chunkTable || whole.header < tableHeader {
		return nil, errors.New("it is no table of resources")
	}
	t := &Table{}
	packages, pools := 0, 0
	for rest := whole.body(); len(rest) >= headerSize; {
		var c chunk
		if c, rest, err = nextChunk(rest); err != nil {
			return nil, err
		}
		switch {
		case c.kind == chunkPool && pools == 0:
			pools++
			if t.strings, err = readPool(c); err != nil {
				return nil, err
			}
		case c.kind == chunkPackage:
			if packages++; packages > maxPackages {
				return nil, fmt.Errorf("it has more than %d packages", maxPackages)
			}
			if err := t.readPackage(c); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (t *Table) readPackage(c chunk) error {
	if c.header < packageHeader {
		return errShort
	}
	id := u32(c.bytes[8:]) & 0xff
	var err error
	for rest := c.body(); len(rest) >= headerSize; {
		var part chunk
		if part, rest, err = nextChunk(rest); err != nil {
			return err
		}
		if part.kind != chunkType {
			continue
		}
		if part.header < typeHeader+4 || len(t.types) >= maxTypes {
			return fmt.Errorf("it has a kind of resources without a configuration, or more than %d", maxTypes)
		}
		t.types = append(t.types, tableType{id<<24 | uint32(part.bytes[8])<<16, isDefault(part.bytes[typeHeader:part.header]), part})
	}
	return nil
}

// isDefault says whether a configuration (ResTable_config) is the one for every device: it demands nothing.
func isDefault(config []byte) bool {
	size := min(int64(u32(config)), int64(len(config)))
	for _, b := range config[min(4, size):size] {
		if b != 0 {
			return false
		}
	}
	return true
}

// Resolve is the value of a resource in the default configuration, or, if it has none there, in the first. References
// to other resources are followed.
func (t *Table) Resolve(id uint32) (Value, bool) {
	for range maxFollowed {
		v, found := t.find(id)
		if !found || v.Kind != KindReference {
			return v, found
		}
		id = v.Data
	}
	return Value{}, false
}

func (t *Table) find(id uint32) (first Value, found bool) {
	for _, part := range t.types {
		if part.prefix != id&0xffff0000 {
			continue
		}
		v, here := t.entry(part.chunk, id&0xffff)
		switch {
		case here && part.plain:
			return v, true
		case here && !found:
			first, found = v, true
		}
	}
	return first, found
}

// entry reads a resource (ResTable_entry) that is a value of its own.
func (t *Table) entry(c chunk, index uint32) (Value, bool) {
	offset, found := entryOffset(c, index)
	if !found {
		return Value{}, false
	}
	at := int64(u32(c.bytes[16:])) + int64(offset)
	if at+8 > int64(len(c.bytes)) {
		return Value{}, false
	}
	e := c.bytes[at:]
	size, flags := int(u16(e)), u16(e[2:])
	var v Value
	switch {
	case flags&entryCompact != 0:
		v = Value{Kind: uint8(flags >> 8), Data: u32(e[4:])}
	case flags&entryComplex != 0 || size < 8 || size+8 > len(e):
		return Value{}, false
	default:
		v = Value{Kind: e[size+3], Data: u32(e[size+4:])}
	}
	if v.Kind == KindString {
		v.text, found = t.strings.at(v.Data)
	}
	return v, found
}

// entryOffset is where the resource of a number is among those of its kind, which are listed in one of three ways.
func entryOffset(c chunk, index uint32) (uint32, bool) {
	flags, count, list := c.bytes[9], int64(u32(c.bytes[12:])), c.body()
	switch i := int64(index); {
	case flags&typeSparse != 0:
		for list = list[:min(count*4, int64(len(list)))]; len(list) >= 4; list = list[4:] {
			if uint32(u16(list)) == index {
				return uint32(u16(list[2:])) * 4, true
			}
		}
	case i >= count:
	case flags&typeShort != 0 && i*2+2 <= int64(len(list)):
		offset := u16(list[i*2:])
		return uint32(offset) * 4, offset != 0xffff
	case flags&typeShort == 0 && i*4+4 <= int64(len(list)):
		offset := u32(list[i*4:])
		return offset, offset != none
	}
	return 0, false
}
