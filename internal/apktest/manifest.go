package apktest

import (
	"encoding/binary"
	"unicode/utf16"
)

// Manifest is an AndroidManifest.xml.
type Manifest struct {
	Package, Split    string
	VersionName       string
	VersionNameAt     uint32 // the number of a resource that is the version name; 0: VersionName is
	VersionCode       uint32
	VersionCodeMajor  uint32
	Debuggable        bool
	TestOnly          bool
	Second            bool // a second application, debuggable and for tests: Android takes the first
	MinSDK, TargetSDK uint32
	UTF8              bool // the strings' encoding; else UTF-16
	NoNames           bool // the names of Android's attributes are empty, as obfuscators make them
	Odd               bool // with chunks that nobody knows
}

// The numbers of Android's attributes (android.R.attr).
const (
	attrDebuggable       = 0x0101000f
	attrMinSDK           = 0x0101020c
	attrVersionCode      = 0x0101021b
	attrVersionName      = 0x0101021c
	attrTargetSDK        = 0x01010270
	attrTestOnly         = 0x01010272
	attrVersionCodeMajor = 0x01010576
)

const none = 0xffffffff

func u16(v int) []byte    { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// join puts parts one after another.
func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Chunk makes a chunk whose header has more after the usual 8 bytes.
func Chunk(kind int, header, body []byte) []byte {
	return join(u16(kind), u16(8+len(header)), u32(uint32(8+len(header)+len(body))), header, body)
}

// Pool makes a string pool.
func Pool(strings []string, utf8 bool) []byte {
	var offsets, data []byte
	flags := uint32(0)
	for _, s := range strings {
		offsets = append(offsets, u32(uint32(len(data)))...)
		units := utf16.Encode([]rune(s))
		if utf8 {
			flags = 1 << 8
			data = append(append(append(append(data, length8(len(units))...), length8(len(s))...), s...), 0)
			continue
		}
		if len(units) > 0x7fff {
			data = append(data, u16(len(units)>>16|0x8000)...)
		}
		data = append(data, u16(len(units)&0xffff)...)
		for _, unit := range units {
			data = append(data, u16(int(unit))...)
		}
		data = append(data, 0, 0)
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	start := uint32(28 + len(offsets))
	return Chunk(1, join(u32(uint32(len(strings))), u32(0), u32(flags), u32(start), u32(0)), join(offsets, data))
}

func length8(n int) []byte {
	if n > 0x7f {
		return []byte{byte(n>>8) | 0x80, byte(n)}
	}
	return []byte{byte(n)}
}

// xml is a binary XML file that is being made.
type xml struct {
	ids     []uint32 // of the first strings
	strings []string
	nodes   []byte
}

func (x *xml) text(s string) uint32 {
	for i := len(x.ids); i < len(x.strings); i++ {
		if x.strings[i] == s {
			return uint32(i)
		}
	}
	x.strings = append(x.strings, s)
	return uint32(len(x.strings) - 1)
}

// attribute is one of an element: known by a number, or else by a name.
type attribute struct {
	id    uint32
	name  string
	kind  byte
	value uint32
	text  string
}

func (x *xml) start(name string, attributes ...attribute) {
	var b []byte
	for _, a := range attributes {
		ns, raw := uint32(none), uint32(none)
		place := uint32(0)
		if a.id != 0 {
			ns = x.text("http://schemas.android.com/apk/res/android")
			for int(place) < len(x.ids) && x.ids[place] != a.id {
				place++
			}
		} else {
			place = x.text(a.name)
		}
		if a.kind == 3 {
			a.value = x.text(a.text)
			raw = a.value
		}
		b = append(b, join(u32(ns), u32(place), u32(raw), u16(8), []byte{0, a.kind}, u32(a.value))...)
	}
	body := join(u32(none), u32(x.text(name)), u16(20), u16(20), u16(len(attributes)), u16(0), u16(0), u16(0), b)
	x.nodes = append(x.nodes, Chunk(0x0102, join(u32(1), u32(none)), body)...)
}

func (x *xml) end(name string) {
	x.nodes = append(x.nodes, Chunk(0x0103, join(u32(1), u32(none)), join(u32(none), u32(x.text(name))))...)
}

// Encode is the manifest in its binary form.
func (m Manifest) Encode() []byte {
	x := &xml{ids: []uint32{attrVersionCode, attrVersionName, attrDebuggable, attrTestOnly, attrMinSDK, attrTargetSDK, attrVersionCodeMajor},
		strings: []string{"versionCode", "versionName", "debuggable", "testOnly", "minSdkVersion", "targetSdkVersion", "versionCodeMajor"}}
	if m.NoNames {
		clear(x.strings)
	}
	var first []attribute
	if m.VersionCode != 0 {
		first = append(first, attribute{id: attrVersionCode, kind: 0x10, value: m.VersionCode})
	}
	if m.VersionCodeMajor != 0 {
		first = append(first, attribute{id: attrVersionCodeMajor, kind: 0x10, value: m.VersionCodeMajor})
	}
	switch {
	case m.VersionNameAt != 0:
		first = append(first, attribute{id: attrVersionName, kind: 1, value: m.VersionNameAt})
	case m.VersionName != "":
		first = append(first, attribute{id: attrVersionName, kind: 3, text: m.VersionName})
	}
	first = append(first, attribute{name: "package", kind: 3, text: m.Package})
	if m.Split != "" {
		first = append(first, attribute{name: "split", kind: 3, text: m.Split})
	}
	x.start("manifest", first...)
	x.start("uses-sdk", attribute{id: attrMinSDK, kind: 0x10, value: m.MinSDK}, attribute{id: attrTargetSDK, kind: 0x10, value: m.TargetSDK})
	x.end("uses-sdk")
	x.start("application", m.flags()...)
	x.start("activity")
	x.end("activity")
	x.end("application")
	if m.Second {
		x.start("application", Manifest{Debuggable: true, TestOnly: true}.flags()...)
		x.end("application")
	}
	x.end("manifest")
	odd := []byte{}
	if m.Odd {
		odd = Chunk(0x7777, nil, []byte("odd!"))
		x.nodes = append(Chunk(0x0150, join(u32(1), u32(none)), []byte("odd!")), x.nodes...)
	}
	var ids []byte
	for _, id := range x.ids {
		ids = append(ids, u32(id)...)
	}
	return Chunk(3, nil, join(odd, Pool(x.strings, m.UTF8), odd, Chunk(0x0180, nil, ids), x.nodes))
}

func (m Manifest) flags() []attribute {
	var all []attribute
	if m.Debuggable {
		all = append(all, attribute{id: attrDebuggable, kind: 0x12, value: none})
	}
	if m.TestOnly {
		all = append(all, attribute{id: attrTestOnly, kind: 0x12, value: none})
	}
	return all
}
