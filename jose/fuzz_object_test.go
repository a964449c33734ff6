package jose

import (
	"encoding/json"
	"strings"
	"testing"
)

// objectSeeds are texts on both sides of every rule; the tables of json_test.go add theirs.
var objectSeeds = []string{
	`{}`, ` {"a" : 1 , "b":[true,false,null,"x",{"y":[]}]} `, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"\u0061":1,"a":2}`,
	`{"a":-0.5e+10}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":--1}`, `{"a":tru}`, `{"a":nullx}`, `{"a":1,}`, `{,}`,
	`{"a" 1}`, `{"a":"` + "\x1f" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u+123"}`, `{"a":["b","c\n"]}`, `{"a":["b",1]}`, `{"a":[]}`,
	`{"exp":4708683205.891912,"did":"ExampleApproovTokenDID==","ip":"1.2.3.4"}`,
}

// FuzzObject holds Object, Text and Strings against the judge: accepted is what the judge accepts, with the same
// members.
func FuzzObject(f *testing.F) {
	for _, seed := range objectSeeds {
		f.Add(seed)
	}
	for _, row := range objectRows() {
		if len(row.text) < 4096 {
			f.Add(row.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, accept := judge(text)
		var got []judgedMember
		o := OpenObject(text)
		for o.Next() {
			if o.Escaped && len(got) < len(want) && !strings.Contains(text, `\`) {
				t.Errorf("%q: got name %q escaped, want it plain", text, o.Name)
			}
			plain, isText := o.Text()
			again, isTextAgain := Text(o.Value)
			if plain != again || isText != isTextAgain {
				t.Errorf("%q: got %q (%v) from Object.Text, want what Text says, %q (%v)", text, plain, isText, again, isTextAgain)
			}
			got = append(got, judgedMember{name: o.Name, raw: o.Value})
		}
		if o.OK() != accept {
			t.Fatalf("%q: got accepted %v, want %v", text, o.OK(), accept)
		}
		if !accept {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %d members, want %d", text, len(got), len(want))
		}
		for i, m := range want {
			if got[i].name != m.name || got[i].raw != m.raw {
				t.Errorf("%q: got member %q: %q, want %q: %q", text, got[i].name, got[i].raw, m.name, m.raw)
			}
			checkValue(t, m)
		}
	})
}

// checkValue holds Text and Strings against what encoding/json read.
func checkValue(t *testing.T, m judgedMember) {
	t.Helper()
	wantText, isText := m.value.(string)
	if text, ok := Text(m.raw); ok != isText || text != wantText {
		t.Errorf("Text of %q: got %q (%v), want %q (%v)", m.raw, text, ok, wantText, isText)
	}
	list, isList := m.value.([]any)
	var wanted []string
	for _, element := range list {
		text, ok := element.(string)
		isList = isList && ok
		wanted = append(wanted, text)
	}
	var got []string
	ok := Strings(m.raw, func(text string) { got = append(got, text) })
	if ok != isList {
		t.Errorf("Strings of %q: got %v, want %v", m.raw, ok, isList)
	}
	if !ok {
		return
	}
	gotJSON, _ := json.Marshal(got)
	wantJSON, _ := json.Marshal(wanted)
	if string(gotJSON) != string(wantJSON) {
		t.Errorf("Strings of %q: got %s, want %s", m.raw, gotJSON, wantJSON)
	}
}
