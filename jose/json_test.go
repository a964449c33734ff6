package jose

import (
	"fmt"
	"strings"
	"testing"
)

type objectRow struct {
	name string
	text string
	want bool
}

// objectRows are the rules of the strict reader, by name.
func objectRows() []objectRow {
	rows := []objectRow{
		{"an empty object is accepted", `{}`, true},
		{"an object with space around everything is accepted", " \t\r\n{ \"a\" : 1 ,\n\"b\" : [ ] } \n", true},
		{"names that differ in letter case are different names", `{"exp":1,"EXP":2}`, true},
		{"duplicates inside a nested object are nobody's business", `{"a":{"b":1,"b":2}}`, true},
		{"an empty name is a name", `{"":1}`, true},
		{"a surrogate pair is accepted", `{"a":"\ud83d\ude00"}`, true},
		{"every short escape is accepted", `{"a":"\"\\\/\b\f\n\r\t"}`, true},
		{"a number of any size is valid JSON", `{"a":1e400,"b":-0,"c":0.000,"d":1E-999}`, true},
		{"a delete character is accepted", "{\"a\":\"\x7f\"}", true},

		{"empty text is refused", ``, false},
		{"a lone space is refused", ` `, false},
		{"null is refused", `null`, false},
		{"an array is refused", `[]`, false},
		{"a string is refused", `""`, false},
		{"a number is refused", `1`, false},
		{"an open brace is refused", `{`, false},
		{"an object that ends inside a member is refused", `{"a":1`, false},
		{"an object that ends behind a comma is refused", `{"a":1,`, false},
		{"a comma before the end is refused", `{"a":1,}`, false},
		{"a comma alone is refused", `{,}`, false},
		{"two commas are refused", `{"a":1,,"b":2}`, false},
		{"a missing comma is refused", `{"a":1 "b":2}`, false},
		{"a missing colon is refused", `{"a" 1}`, false},
		{"a missing value is refused", `{"a":}`, false},
		{"a name without quotes is refused", `{a:1}`, false},
		{"a name in single quotes is refused", `{'a':1}`, false},
		{"a comment is refused", `{"a":1/**/}`, false},
		{"trailing text is refused", `{"a":1}x`, false},
		{"a second object is refused", `{"a":1}{}`, false},
		{"a trailing NUL is refused", "{\"a\":1}\x00", false},
		{"a byte order mark is refused", "\xef\xbb\xbf{}", false},
		{"other white space is refused", "{\"a\":\u00a01}", false},
		{"a vertical tab is refused", "{\"a\":\v1}", false},

		{"a duplicate name is refused", `{"exp":1,"exp":2}`, false},
		{"a duplicate name with the same value is refused", `{"exp":1,"exp":1}`, false},
		{"a duplicate spelt with an escape is refused", `{"exp":1,"\u0065xp":2}`, false},
		{"a duplicate spelt with an escape first is refused", `{"\u0065xp":2,"exp":1}`, false},
		{"a duplicate of an empty name is refused", `{"":1,"":2}`, false},
		{"a duplicate spelt as surrogates is refused", "{\"\U0001f600\":1,\"\\ud83d\\ude00\":2}", false},

		{"NaN is refused", `{"a":NaN}`, false},
		{"Infinity is refused", `{"a":Infinity}`, false},
		{"a leading zero is refused", `{"a":01}`, false},
		{"a leading plus is refused", `{"a":+1}`, false},
		{"a hexadecimal number is refused", `{"a":0x10}`, false},
		{"a number with underscores is refused", `{"a":1_000}`, false},
		{"a number without digits before the point is refused", `{"a":.5}`, false},
		{"a number without digits behind the point is refused", `{"a":5.}`, false},
		{"a number without an exponent is refused", `{"a":5e}`, false},
		{"a lone minus is refused", `{"a":-}`, false},
		{"True is refused", `{"a":True}`, false},
		{"text glued to a literal is refused", `{"a":truex}`, false},

		{"a lone high surrogate is refused", `{"a":"\ud83d"}`, false},
		{"a lone low surrogate is refused", `{"a":"\ude00"}`, false},
		{"surrogates in the wrong order are refused", `{"a":"\ude00\ud83d"}`, false},
		{"a high surrogate before a letter is refused", `{"a":"\ud83dA"}`, false},
		{"a high surrogate before another escape is refused", `{"a":"\ud83d\u0041"}`, false},
		{"a high surrogate before a broken escape is refused", `{"a":"\ud83d\ude0"}`, false},
		{"a lone surrogate in a name is refused", `{"\ud83d":1}`, false},
		{"a lone surrogate in a nested name is refused", `{"a":{"\ud83d":1}}`, false},
		{"a short escape is refused", `{"a":"\u12"}`, false},
		{"a signed escape is refused", `{"a":"\u+123"}`, false},
		{"an unknown escape is refused", `{"a":"\x41"}`, false},
		{"an upper-case U is refused", `{"a":"\U0041"}`, false},
		{"a backslash at the end is refused", `{"a":"\`, false},

		{"invalid UTF-8 is refused", "{\"a\":\"\xff\"}", false},
		{"an overlong slash is refused", "{\"a\":\"\xc0\xaf\"}", false},
		{"a surrogate in UTF-8 is refused", "{\"a\":\"\xed\xa0\x80\"}", false},
		{"a cut character is refused", "{\"a\":\"\xe6\xbc", false},
		{"invalid UTF-8 in a nested name is refused", "{\"a\":{\"\xff\":1}}", false},
	}
	for c := 0; c < 0x20; c++ {
		rows = append(rows, objectRow{fmt.Sprintf("the control character %#02x in a string is refused", c), fmt.Sprintf("{\"a\":\"%c\"}", c), false})
	}
	return append(rows, objectBounds()...)
}

// objectBounds are the rows about sizes.
func objectBounds() []objectRow {
	nested := func(open, inner, closing string, n int) string {
		return `{"a":` + strings.Repeat(open, n) + inner + strings.Repeat(closing, n) + `}`
	}
	members := func(n int) string {
		var all []string
		for i := 0; i < n; i++ {
			all = append(all, fmt.Sprintf(`"m%d":%d`, i, i))
		}
		return `{` + strings.Join(all, ",") + `}`
	}
	return []objectRow{
		{"31 arrays in the object are accepted", nested("[", "1", "]", 31), true},
		{"a value inside 32 arrays in the object is refused", nested("[", "1", "]", 32), false},
		{"33 empty arrays in the object are refused", nested("[", "", "]", 33), false},
		{"31 objects in the object are accepted", nested(`{"b":`, "1", "}", 31), true},
		{"a value inside 32 objects in the object is refused", nested(`{"b":`, "1", "}", 32), false},
		{"a depth of 10,000 is refused", nested("[", "", "]", 10_000), false},
		{"10,000 open brackets are refused", `{"a":` + strings.Repeat("[", 10_000), false},
		{"64 members are accepted", members(64), true},
		{"65 members are refused", members(65), false},
		{"a duplicate of the first member in the last place is refused", strings.TrimSuffix(members(63), "}") + `,"m0":1}`, false},
		{"a duplicate of a late member is refused", strings.TrimSuffix(members(63), "}") + `,"m62":1}`, false},
	}
}

func TestObject(t *testing.T) {
	for _, row := range objectRows() {
		t.Run(row.name, func(t *testing.T) {
			o := OpenObject(row.text)
			for o.Next() {
			}
			if o.OK() != row.want {
				t.Errorf("%.100q: got accepted %v, want %v", row.text, o.OK(), row.want)
			}
			if o.Next() {
				t.Errorf("%.100q: got another member behind the end, want none", row.text)
			}
			if _, judged := judge(row.text); judged != row.want {
				t.Errorf("%.100q: the judge says %v, want %v", row.text, judged, row.want)
			}
		})
	}
}

func TestObjectMembers(t *testing.T) {
	const text = ` {"a":"x\u00e4\n" , "\u0062":[ "p", "\"q\"" ],"c":{"d":[1, 2]}, "漢":-1.5e3 }`
	want := []struct {
		name, value string
		escaped     bool
	}{
		{"a", `"x\u00e4\n"`, false},
		{"b", `[ "p", "\"q\"" ]`, true},
		{"c", `{"d":[1, 2]}`, false},
		{"漢", `-1.5e3`, false},
	}
	o := OpenObject(text)
	i := 0
	for ; o.Next(); i++ {
		if i < len(want) && (o.Name != want[i].name || o.Value != want[i].value || o.Escaped != want[i].escaped) {
			t.Errorf("member %d: got %q (escaped %v): %q, want %+v", i, o.Name, o.Escaped, o.Value, want[i])
		}
	}
	if i != len(want) || !o.OK() {
		t.Errorf("got %d members (OK %v), want %d", i, o.OK(), len(want))
	}
	if got, ok := Text(want[0].value); got != "xä\n" || !ok {
		t.Errorf("Text: got %q (%v), want %q", got, ok, "xä\n")
	}
	var list []string
	if !Strings(want[1].value, func(text string) { list = append(list, text) }) || strings.Join(list, "|") != `p|"q"` {
		t.Errorf("Strings: got %q, want p and \"q\"", list)
	}
	if Strings(want[2].value, func(_ string) {}) {
		t.Error("Strings of an object: got true, want false")
	}
}
