package axml

import (
	"errors"
	"fmt"
)

const (
	nodeHeader     = 16 // bytes of a node's header: a chunk's, line and comment
	elementSize    = 20 // bytes of an element without its attributes
	attributeSize  = 20
	maxResourceIDs = 1 << 16
)

// Element is an element's beginning.
type Element struct {
	Name  string
	Depth int // 1 for the outermost
	attrs []byte
	step  int // bytes from one attribute to the next
	count int
	of    *document
}

// document is what the elements of a file refer to.
type document struct {
	strings pool
	ids     []byte // the resource map: the number of the attribute that the string of the same place names
}

// Walk calls start with each element, in order. A start that returns an error ends it.
func Walk(file []byte, start func(Element) error) error {
	whole, _, err := nextChunk(file)
	if err != nil {
		return err
	}
	var d document
	depth, begun := 0, false
	for rest := whole.body(); len(rest) >= headerSize; {
		var c chunk
		if c, rest, err = nextChunk(rest); err != nil {
			return err
		}
		isNode := c.kind >= chunkFirstNode && c.kind <= chunkLastNode
		begun = begun || isNode
		switch { // what is not known is passed over, and strings after the first node are not looked at, both as Android does
		case c.kind == chunkPool && !begun:
			if d.strings, err = readPool(c); err != nil {
				return err
			}
		case c.kind == chunkResourceMap && !begun:
			d.ids = c.body()[:min(len(c.body()), maxResourceIDs*4)]
		case isNode && c.header < nodeHeader:
			return fmt.Errorf("a node's header has %d bytes", c.header)
		case c.kind == chunkEndElement:
			if depth--; depth <= 0 {
				return nil // Android reads no further than the end of the outermost
			}
		case c.kind == chunkStartElement:
			depth++
			e, err := d.element(c, depth)
			if err != nil {
				return err
			}
			if err := start(e); err != nil {
				return err
			}
		}
	}
	if !begun {
		return errors.New("it has no elements")
	}
	return nil
}

// element reads an element's beginning (ResXMLTree_attrExt).
func (d *document) element(c chunk, depth int) (Element, error) {
	b := c.body()
	if len(b) < elementSize {
		return Element{}, errShort
	}
	start, step, count := int(u16(b[8:])), int(u16(b[10:])), int(u16(b[12:]))
	if count > 0 && (step < attributeSize || start+step*(count-1)+attributeSize > len(b)) {
		return Element{}, fmt.Errorf("an element has no room for its %d attributes of %d bytes", count, step)
	}
	name, _ := d.strings.at(u32(b[4:]))
	return Element{Name: name, Depth: depth, attrs: b[min(start, len(b)):], step: step, count: count, of: d}, nil
}

// ByID is the attribute of a resource number: an attribute of Android's own is known by it, and not by its name, which
// obfuscators take away. An attribute that is there twice has its first value.
func (e Element) ByID(id uint32) Value {
	for i := range e.count {
		a := e.attrs[i*e.step:]
		if place := int64(u32(a[4:])) * 4; place+4 <= int64(len(e.of.ids)) && u32(e.of.ids[place:]) == id {
			return e.value(a)
		}
	}
	return Value{}
}

// ByName is the text of an attribute without a namespace.
func (e Element) ByName(name string) string {
	for i := range e.count {
		a := e.attrs[i*e.step:]
		if known, _ := e.of.strings.at(u32(a[4:])); known != name || u32(a) != none {
			continue
		}
		if raw, found := e.of.strings.at(u32(a[8:])); found {
			return raw
		}
		return e.value(a).Text()
	}
	return ""
}

// value is that of an attribute (ResXMLTree_attribute).
func (e Element) value(attribute []byte) Value {
	v := Value{Kind: attribute[15], Data: u32(attribute[16:])}
	if v.Kind == KindString {
		v.text, _ = e.of.strings.at(v.Data)
	}
	return v
}
