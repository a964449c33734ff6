package jose

import (
	"strings"
	"unicode/utf8"
)

const (
	maxDepth   = 32 // nesting of arrays and objects
	maxMembers = 64 // of the object itself; Approov's tokens have fewer than 20
	nearNames  = 8  // names compared without allocating
)

// Object walks the members of one JSON object, stricter than encoding/json: the text must be valid
// RFC 8259 JSON in valid UTF-8 without lone surrogates, hold one object and nothing else, name no
// member twice, and nest no deeper than 32. Names are compared after their escapes are resolved.
//
//	for o := OpenObject(text); o.Next(); { use o.Name and o.Value }
//
// Next stops at the end and at the first error; OK tells which it was. Nothing read before OK is
// true may be acted on.
type Object struct {
	Name    string // of the current member, escapes resolved
	Escaped bool   // Name was written with escapes
	Value   string // JSON text of the current member's value

	text  string
	pos   int
	plain bool // Value is a string without escapes
	state state
	count int
	near  [nearNames]string
	far   []string
}

type state int

const (
	opened state = iota
	reading
	done
	broken
)

// OpenObject starts reading text, which must be a JSON object.
func OpenObject(text string) (o Object) {
	o.text, o.state = text, broken
	if !utf8.ValidString(text) {
		return o
	}
	o.pos = skipSpace(text, 0)
	if o.pos < len(text) && text[o.pos] == '{' {
		o.pos++
		o.state = opened
	}
	return o
}

// OK reports whether the whole text has been read and was valid.
func (o *Object) OK() bool { return o.state == done }

// Next moves to the next member.
func (o *Object) Next() bool {
	if o.state > reading {
		return false
	}
	pos := skipSpace(o.text, o.pos)
	if pos < len(o.text) && o.text[pos] == '}' && o.state == opened {
		return o.finish(pos + 1)
	}
	if o.state == reading {
		if pos < len(o.text) && o.text[pos] == '}' {
			return o.finish(pos + 1)
		}
		if pos >= len(o.text) || o.text[pos] != ',' {
			return o.fail()
		}
		pos = skipSpace(o.text, pos+1)
	}
	o.state = reading
	return member(o, pos)
}

// member reads one name, colon and value from pos.
func member(o *Object, pos int) bool {
	end, escaped := scanString(o.text, pos)
	if end < 0 {
		return o.fail()
	}
	o.Name, o.Escaped = o.text[pos+1:end-1], escaped
	if escaped {
		o.Name = unescape(o.Name)
	}
	if !remember(o, o.Name) {
		return o.fail()
	}
	pos = skipSpace(o.text, end)
	if pos >= len(o.text) || o.text[pos] != ':' {
		return o.fail()
	}
	pos = skipSpace(o.text, pos+1)
	if pos < len(o.text) && o.text[pos] == '"' {
		end, escaped = scanString(o.text, pos)
		o.plain = !escaped
	} else {
		end = scanValue(o.text, pos, 1)
		o.plain = false
	}
	if end < 0 {
		return o.fail()
	}
	o.Value = o.text[pos:end]
	o.pos = end
	return true
}

// Text is the current member's value if it is a string.
func (o *Object) Text() (string, bool) {
	if o.plain {
		return o.Value[1 : len(o.Value)-1], true
	}
	return Text(o.Value)
}

// remember notes a name and reports whether it is new and within the bound.
func remember(o *Object, name string) bool {
	near := o.count
	if near > nearNames {
		near = nearNames
	}
	for i := 0; i < near; i++ {
		if o.near[i] == name {
			return false
		}
	}
	for _, other := range o.far {
		if other == name {
			return false
		}
	}
	if o.count < nearNames {
		o.near[o.count] = name
	} else {
		o.far = append(o.far, name)
	}
	o.count++
	return o.count <= maxMembers
}

func (o *Object) finish(pos int) bool {
	if skipSpace(o.text, pos) != len(o.text) {
		return o.fail()
	}
	o.state = done
	return false
}

func (o *Object) fail() bool {
	o.state = broken
	return false
}

// Strings calls visit with each element of a JSON array of strings. It reports whether raw, JSON text
// that has already been found valid, is such an array.
func Strings(raw string, visit func(text string)) bool {
	if raw == "" || raw[0] != '[' {
		return false
	}
	pos := skipSpace(raw, 1)
	if raw[pos] == ']' {
		return true
	}
	for {
		end, escaped := scanString(raw, pos)
		if end < 0 {
			return false
		}
		text := raw[pos+1 : end-1]
		if escaped {
			text = unescape(text)
		}
		visit(text)
		pos = skipSpace(raw, end)
		if raw[pos] == ']' {
			return true
		}
		pos = skipSpace(raw, pos+1)
	}
}

// Text is the value of a JSON string literal that has already been found valid; false when raw is
// JSON of another type.
func Text(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	return unescape(inner), true
}
