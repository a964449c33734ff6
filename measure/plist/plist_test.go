package plist_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/approovgate/approovgate/measure/plist"
)

// rows are values of all types.
func rows() map[string]any {
	return map[string]any{
		"an empty dictionary":              plist.Dict{},
		"an empty array":                   []any{},
		"an empty string":                  "",
		"no data":                          []byte{},
		"a string of all that XML escapes": "<&>\"'\t\n\r ]]>",
		"a string beyond ASCII":            "Füße \u2028 日本 \U0001F600",
		"a long string":                    strings.Repeat("abc", 500),
		"long data":                        []byte(strings.Repeat("\x00\xff", 500)),
		"the integers": []any{int64(0), int64(-1), int64(255), int64(65536), int64(math.MinInt64), int64(math.MaxInt64),
			uint64(math.MaxInt64 + 1), uint64(math.MaxUint64)},
		"the reals": []any{0.0, math.Copysign(0, -1), 0.1, -1e300, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()},
		"dates":     []any{time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2026, 2, 28, 1, 2, 3, 0, time.UTC)},
		"booleans":  []any{true, false},
		"an app's Info.plist": plist.Dict{"CFBundleIdentifier": "com.example.shop", "UIDeviceFamily": []any{int64(1), int64(2)},
			"NSAppTransportSecurity": plist.Dict{"NSAllowsArbitraryLoads": false}},
	}
}

func TestParseBothForms(t *testing.T) {
	for name, value := range rows() {
		t.Run(name, func(t *testing.T) {
			text, ok := toXML(value)
			if !ok {
				t.Fatalf("the test's encoder cannot write %s", canonical(value))
			}
			for form, file := range map[string]string{
				"binary": string(toBinary(value)), "XML": text, "XML with a byte order mark": "\ufeff" + text,
				"XML in UTF-16, little endian": utf16Text(text, binary.LittleEndian), "XML in UTF-16, big endian": utf16Text(text, binary.BigEndian),
			} {
				read, err := plist.Parse([]byte(file))
				if got, want := canonical(read), canonical(value); err != nil || got != want {
					t.Errorf("%s: got %s, %v, want %s", form, got, err, want)
				}
			}
		})
	}
}

func utf16Text(text string, order binary.AppendByteOrder) string {
	text = strings.Replace(text, "UTF-8", "UTF-16", 1)
	var out []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

// Forms that the test's encoder does not write.
func TestParseForms(t *testing.T) {
	xml := func(body string) string { return prolog + "<plist version=\"1.0\">" + body + "</plist>" }
	objects := func(parts ...string) string {
		var all [][]byte
		for _, part := range parts {
			b, _ := hex.DecodeString(part)
			all = append(all, b)
		}
		return string(assemble(all, 0))
	}
	for _, row := range []struct {
		name, file string
		want       any
	}{
		{"XML without a prolog", "<plist><true/></plist>", true},
		{"a dictionary that is the root, as old tools write entitlements", "<dict><key>a</key><true/></dict>", plist.Dict{"a": true}},
		{"comments between and within", xml("<!-- a --><array><!-- b --><string>x<!-- c -->y</string></array>"), []any{"xy"}},
		{"CDATA", xml("<string><![CDATA[<&]]></string>"), "<&"},
		{"numbers of characters", xml("<string>&#65;&#x1F600;</string>"), "A\U0001F600"},
		{"a hexadecimal integer", xml("<integer>0xff</integer>"), int64(255)},
		{"an integer with a plus", xml("<integer> +5\n</integer>"), int64(5)},
		{"base64 in lines", xml("<data>\n\tAAEC\n\tAw==\n</data>"), []byte{0, 1, 2, 3}},
		{"words for reals", xml("<array><real>+infinity</real><real>-Infinity</real></array>"), []any{math.Inf(1), math.Inf(-1)}},
		{"a true that is spelt out", xml("<true> </true>"), true},
		{"a binary integer of one byte has no sign", objects("10ff"), int64(255)},
		{"a binary integer of two bytes has no sign", objects("11ffff"), int64(65535)},
		{"a binary integer of eight bytes has one", objects("13ffffffffffffffff"), int64(-1)},
		{"a binary integer of sixteen bytes, negative", objects("14ffffffffffffffffffffffffffffffff"), int64(-1)},
		{"a real of four bytes", objects("223fc00000"), 1.5},
		{"a date before the epoch, with a fraction", objects("33bfe0000000000000"), time.Date(2000, 12, 31, 23, 59, 59, 5e8, time.UTC)},
		{"a UID", objects("8107d0"), plist.UID(2000)},
		{"an array that shares an object", objects("a3000000010000000100000001", "5161"), []any{"a", "a", "a"}},
		{"a count of its own", objects("5f100161"), "a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			read, err := plist.Parse([]byte(row.file))
			if got, want := canonical(read), canonical(row.want); err != nil || got != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	xml := func(body string) string { return prolog + "<plist version=\"1.0\">" + body + "</plist>" }
	objects := func(parts ...string) string {
		var all [][]byte
		for _, part := range parts {
			b, err := hex.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		return string(assemble(all, 0))
	}
	var chain []string // each array holds the next one
	for i := range 65 {
		chain = append(chain, fmt.Sprintf("a1%08x", i+1))
	}
	chain = append(chain, "09")
	at := func(offset uint64) string { // a file of one object, true, and a table that says where it is in eight bytes
		file := binary.BigEndian.AppendUint64([]byte("bplist00\x09"), offset)
		return string(append(file, "\x00\x00\x00\x00\x00\x00\x08\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"...))
	}
	if value, err := plist.Parse([]byte(at(8))); err != nil || value != true {
		t.Fatalf("an object where it is: got %v, %v, want true", value, err)
	}
	lol := `<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><plist><string>&b;</string></plist>`
	for _, row := range []struct{ name, file, want string }{
		{"nothing", "", "neither XML nor binary"},
		{"only a prolog", prolog, "there is no element plist"},
		{"JSON", `{"a": 1}`, "neither XML nor binary"},
		{"the old text form", "{ a = b; }", "neither XML nor binary"},
		{"another XML document", "<html></html>", `the root is the element "html", want plist`},
		{"an element that is not closed", "<plist><dict>", "line 1: unexpected EOF"},
		{"an empty plist", xml(""), "the element plist is empty"},
		{"two values", xml("<true/><true/>"), "more than one value"},
		{"two roots", "<plist><true/></plist><plist><true/></plist>", "something follows"},
		{"text after the root", "<plist><true/></plist>x", "stands outside a value"},
		{"text after a dictionary that is the root", "<dict/>x", "stands outside a value"},
		{"text in a dictionary", xml("<dict>x</dict>"), "stands outside a value"},
		{"an unknown element", xml("<null/>"), `there is no element "null"`},
		{"an element in a namespace", `<plist xmlns="urn:x"><true/></plist>`, "in a namespace"},
		{"entities of its own", lol, "in front of the element plist stands"},
		{"an entity that is not defined", xml("<string>&lol;</string>"), "invalid character entity"},
		{"a DTD for something else", "<!DOCTYPE html><plist><true/></plist>", "in front of the element plist stands"},
		{"a style sheet", "<?xml-stylesheet href='x'?><plist><true/></plist>", "in front of the element plist stands"},
		{"a DTD within", xml(`<!DOCTYPE plist><true/>`), "a directive stands within"},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?><plist><true/></plist>`, `encoding "ISO-8859-1" is not known`},
		{"bytes that are no UTF-8", "<plist><string>\xff</string></plist>", "invalid UTF-8"},
		{"half a surrogate pair in UTF-16", "\xfe\xff\x00<\xd8\x00", "half a UTF-16 surrogate pair"},
		{"UTF-16 that is cut off", "\xfe\xff\x00", "cut off"},
		{"a key without a value", xml("<dict><key>a</key></dict>"), `the key "a" has no value`},
		{"a value without a key", xml("<dict><true/></dict>"), `"true" stands in place of a key`},
		{"a key twice", xml("<dict><key>a</key><true/><key>a</key><true/></dict>"), `the key "a" is there twice`},
		{"an element within a string", xml("<string><true/></string>"), "stands within the element string"},
		{"an integer of 65 bits", xml("<integer>18446744073709551616</integer>"), "none of 64 bits"},
		{"an integer with a sign after 0x", xml("<integer>0x-1</integer>"), "none of 64 bits"},
		{"no integer", xml("<integer></integer>"), "none of 64 bits"},
		{"a hexadecimal real", xml("<real>0x1p-2</real>"), "is not a number"},
		{"a date without a time", xml("<date>2001-01-01</date>"), "is not like 2001"},
		{"a date with a fraction", xml("<date>2001-01-01T00:00:00.5Z</date>"), "is not like 2001"},
		{"the year 0", xml("<date>0000-01-01T00:00:00Z</date>"), "outside the years"},
		{"bad base64", xml("<data>A</data>"), "not base64"},
		{"a true with text", xml("<true>no</true>"), "stands outside a value"},
		{"too deep", xml(strings.Repeat("<array>", 65) + strings.Repeat("</array>", 65)), "more than 64 deep"},
		{"too many values", xml("<array>" + strings.Repeat("<true/>", 65536) + "</array>"), "more than 65536 values"},
		{"too large", strings.Repeat(" ", 1<<20+1), "more than 1048576 bytes"},
		{"only the magic", "bplist00", "cut off"},
		{"another version", "bplist17" + strings.Repeat("\x00", 40), `version "17"`},
		{"null", objects("00"), "the marker 0x00"},
		{"a set", objects("c0"), "the marker 0xc0"},
		{"a URL", objects("0c"), "the marker 0x0c"},
		{"an integer of 128 bits", objects("1400000000000000010000000000000000"), "more than 64 bits"},
		{"a UID of nine bytes", objects("88000000000000000001"), "a number has 9 bytes"},
		{"an ASCII string that is none", objects("51ff"), "is not ASCII"},
		{"half a surrogate pair", objects("61d800"), "half a UTF-16 surrogate pair"},
		{"a string beyond the end", objects("5f12000fffff"), "beyond the end"},
		{"a count of 2^63", objects("5f138000000000000000"), "beyond the end"},
		{"a count that is a real", objects("5f223f800000"), "a count has the marker 0x22"},
		{"an array beyond the end", objects("af12000fffff"), "beyond the end"},
		{"binary, too deep", objects(chain...), "more than 64 deep"},
		{"an object in the table", at(9 + 3), "beyond the end"},
		{"a table of two objects that reaches into the trailer", strings.Replace(at(8), "\x08\x01\x00\x00\x00\x00\x00\x00\x00\x01", "\x08\x01\x00\x00\x00\x00\x00\x00\x00\x02", 1), "table of objects goes beyond the end"},
		{"an object at the end of the numbers", at(math.MaxUint64), "beyond the end"},
		{"an object in the magic", at(7), "outside the file"},
		{"an array of itself", objects("a100000000"), "object 0 contains itself"},
		{"arrays of each other", objects("a100000001", "a100000000"), "object 0 contains itself"},
		{"a dictionary whose value is itself", objects("d10000000100000000", "5161"), "object 0 contains itself"},
		{"a dictionary whose key is itself", objects("d10000000000000000"), "object 0 contains itself"},
		{"a key that is a number", objects("d10000000100000001", "1001"), "a key of a dictionary is not a string"},
		{"a binary key twice", objects("d200000001000000010000000100000001", "5161"), "is there twice"},
		{"an object that is not there", objects("a100000009"), "there is no object 9"},
		{"a date that is not a number", objects("337ff8000000000000"), "outside the years"},
		{"a date of the year 30000", objects("33426a000000000000"), "outside the years"},
	} {
		t.Run(row.name, func(t *testing.T) {
			value, err := plist.Parse([]byte(row.file))
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "plist: ") {
				t.Errorf("got %.200v, %v, want the error %q", value, err, row.want)
			}
		})
	}
	if _, err := plist.ParseDict([]byte(xml("<array/>"))); err == nil || !strings.Contains(err.Error(), "is not a dictionary") {
		t.Errorf("an array where a dictionary is wanted: got %v, want it refused", err)
	}
}

// Trailers say anything; every byte of one is changed to every value.
func TestTrailersOfAllBytes(t *testing.T) {
	whole := toBinary(plist.Dict{"a": []any{"b", int64(1)}})
	for at := len(whole) - 40; at < len(whole); at++ {
		for c := range 256 {
			changed := append([]byte(nil), whole...)
			changed[at] = byte(c)
			_, _ = plist.Parse(changed) // it does not panic
		}
	}
	for n := range whole {
		if v, err := plist.Parse(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes: got %s, want an error", n, len(whole), canonical(v))
		}
	}
}

// TestBombsTakeLittle reads files that would grow without end.
func TestBombsTakeLittle(t *testing.T) {
	doubling := [][]byte{} // each array has the next one twice
	for i := range 60 {
		doubling = append(doubling, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{0xa2}, uint32(i+1)), uint32(i+1)))
	}
	doubling = append(doubling, []byte{9})
	shared := head(0xa0, 60000) // 60,000 times a string of 500,000 bytes
	for range 60000 {
		shared = binary.BigEndian.AppendUint32(shared, 1)
	}
	long := append(head(0x50, 500000), strings.Repeat("a", 500000)...)
	wide := func(count int) []byte { // an array of arrays of many
		outer, inner := head(0xa0, count), head(0xa0, count)
		for range count {
			outer, inner = binary.BigEndian.AppendUint32(outer, 1), binary.BigEndian.AppendUint32(inner, 2)
		}
		return assemble([][]byte{outer, inner, {9}}, 0)
	}
	for _, row := range []struct {
		name string
		file []byte
		want string
	}{
		{"arrays that double sixty times", assemble(doubling, 0), "more than 65536 values"},
		{"a long string shared often", assemble([][]byte{shared, long}, 0), "more than 4194304 bytes"},
		{"arrays that share a wide array", wide(60000), "more than 65536 values"},
		{"many attributes", []byte("<plist" + strings.Repeat(` a=""`, 200000) + "><true/></plist>"), ""},
		{"many open elements", []byte("<plist>" + strings.Repeat("<dict>", 150000)), "in place of a key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, err := plist.Parse(row.file)
			runtime.ReadMemStats(&after)
			if got := fmt.Sprint(err); (row.want != "" || err != nil) && !strings.Contains(got, row.want) {
				t.Errorf("got %v, want %q", got, row.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
				t.Errorf("got %d bytes allocated, want at most 64 MB", got)
			}
			if took := time.Since(begin); took > 20*time.Second { // a tenth of a second, if nothing else runs
				t.Errorf("got %v, want at most 20 s", took)
			}
		})
	}
}

// FuzzParse holds that whatever is read can be written in either form and reads the same again.
func FuzzParse(f *testing.F) {
	for _, value := range rows() {
		text, _ := toXML(value)
		f.Add([]byte(text))
		f.Add(toBinary(value))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := plist.Parse(data)
		if err != nil {
			return
		}
		want := canonical(value)
		if strings.Contains(want, "not one of the types") {
			t.Fatalf("got %s", want)
		}
		if file := toBinary(value); len(file) <= plist.MaxSize {
			if again, err := plist.Parse(file); err != nil || canonical(again) != want {
				t.Errorf("binary: got %s, %v, want %s", canonical(again), err, want)
			}
		}
		if file, ok := toXML(value); ok && len(file) <= plist.MaxSize {
			if again, err := plist.Parse([]byte(file)); err != nil || canonical(again) != want {
				t.Errorf("XML: got %s, %v, want %s", canonical(again), err, want)
			}
		}
	})
}
