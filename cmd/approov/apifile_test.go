package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	onePin   = "JG29gD8vWiEanTCVPjYLQ5yiYMKQqR05OH38yFf0kBU="
	otherPin = "Wp/PdTn4cw7/jwsS9+DnheEm5AbtTEsmVPAGOGY3tHk="
)

// R126 to R128: what stands in a file, and what may not.
func TestParseDomains(t *testing.T) {
	domain := func(name, format, key string, pins ...string) attestapi.APIDomain {
		return attestapi.APIDomain{Domain: name, Format: format, KeyID: key, Pins: append([]string{}, pins...)}
	}
	for _, row := range []struct {
		name, text string
		want       []attestapi.APIDomain
		wrong      string
	}{
		{"none", `{}`, []attestapi.APIDomain{}, ""},
		{"in the file's order", `{"b.example":["` + onePin + `","` + otherPin + `"],"a.example":[]}`,
			[]attestapi.APIDomain{domain("b.example", "jws", "", onePin, otherPin), domain("a.example", "jws", "")}, ""},
		{"what is no pin", `{"a":["jwe"],"b":["` + onePin + `","no-token"],"c":["key:2030-01"]}`,
			[]attestapi.APIDomain{domain("a", "jwe", ""), domain("b", "none", "", onePin), domain("c", "jws", "2030-01")}, ""},
		{"capitals", `{"API.Example":[]}`, []attestapi.APIDomain{domain("api.example", "jws", "")}, ""},
		{"as Windows writes it", "\ufeff{\r\n\"a\": []\r\n}\r\n", []attestapi.APIDomain{domain("a", "jws", "")}, ""},
		{"escapes", `{"\u0061":["\u006awe"]}`, []attestapi.APIDomain{domain("a", "jwe", "")}, ""},

		{"an empty file", "", nil, "line 1: not well formed JSON: unexpected end of JSON input"},
		{"cut off", "{\n\"a\": [", nil, "line 2: not well formed JSON: unexpected end"},
		{"a comma too many", "{\n\"a\": [],\n}", nil, "line 3: not well formed JSON: invalid character '}'"},
		{"text behind it", "{}\n{}", nil, "line 2: not well formed JSON: invalid character '{' after top-level value"},
		{"a comment", "// x\n{}", nil, "line 1: not well formed JSON"},
		{"a list", `[]`, nil, "line 1: want an object of domains and their pins"},
		{"a text", `"a"`, nil, "line 1: want an object"},
		{"null", `null`, nil, "line 1: want an object"},
		{"twice", "{\"a\": [],\n\"a\": []}", nil, "line 2: a stands there twice; delete one"},
		{"twice, in capitals", "{\"a\": [],\n\"A\": []}", nil, "line 2: a stands there twice"},
		{"twice, in disguise", "{\"a\": [],\n\"\\u0061\": []}", nil, "line 2: a stands there twice"},
		{"no domain", "{\n\"https://a/v1\": []}", nil, `line 2: "https://a/v1" is not an API domain`},
		{"an empty name", `{"": []}`, nil, `"" is not an API domain`},
		{"other letters", `{"кириллица.example": []}`, nil, "is not an API domain"},
		{"a sign that small letters make one of", "{\"api.\u212aelvin\": []}", nil, "is not an API domain"},
		{"null for a list", `{"a": null}`, nil, "line 1: a: want a list of pins, which may be empty: []"},
		{"a text for a list", `{"a": "` + onePin + `"}`, nil, "a: want a list of pins"},
		{"an object for a list", `{"a": {}}`, nil, "a: want a list of pins"},
		{"null for a pin", `{"a": [null]}`, nil, "a: a pin is a string"},
		{"a number for a pin", `{"a": [1]}`, nil, "a: a pin is a string"},
		{"a list for a pin", `{"a": [[]]}`, nil, "a: a pin is a string"},
		{"a pin twice", `{"a": ["` + onePin + `","` + onePin + `"]}`, nil, "stands there twice; delete one"},
		{"a pin that is none", "{\"a\": [\n\"" + onePin + "\",\n\"x\"]}", nil, `line 3: a: "x" is neither a pin`},
		{"a pin with its prefix", `{"a": ["sha256/` + onePin + `"]}`, nil, "is neither a pin"},
		{"unknown words", `{"a": ["JWE"]}`, nil, `"JWE" is neither a pin`},
		{"two words", `{"a": ["jwe","no-token"]}`, nil, "a: of jwe, no-token and key:KID one may stand there"},
		{"a word twice", `{"a": ["jwe","jwe"]}`, nil, "one may stand there"},
		{"a key and jwe", `{"a": ["key:k","jwe"]}`, nil, "one may stand there"},
		{"no key", `{"a": ["key:"]}`, nil, "key: is followed by nothing"},
		{"deeply nested", `{"a": ` + strings.Repeat("[", 100_000), nil, "not well formed JSON"},
	} {
		got, err := parseDomains([]byte(row.text))
		switch {
		case row.wrong != "" && (err == nil || !strings.Contains(err.Error(), row.wrong)):
			t.Errorf("%s: got %v, %v, want the error %s", row.name, got, err, row.wrong)
		case row.wrong == "" && (err != nil || !reflect.DeepEqual(got, row.want)):
			t.Errorf("%s: got %v, %v, want %v", row.name, got, err, row.want)
		}
	}
}

// FuzzParseDomains compares with what package json makes of the same text, and reads again what is written.
func FuzzParseDomains(f *testing.F) {
	for _, text := range []string{`{}`, `{"a.example":["` + onePin + `","jwe"],"b":["no-token"],"c":["key:k"]}`, `{"a":null}`, `{"a":[],"A":[]}`, `[`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseDomains(text)
		if err != nil {
			return
		}
		var want map[string][]string
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(text), "\ufeff")), &want); err != nil || len(want) != len(got) {
			t.Fatalf("got %v, want %v, %v", got, want, err)
		}
		lower := map[string][]string{}
		for name, entries := range want {
			lower[strings.ToLower(name)] = entries
		}
		for _, d := range got {
			entries, there := lower[d.Domain]
			words := len(entries) - len(d.Pins)
			if !there || words < 0 || words > 1 || (words == 1) != (d.Format != "jws" || d.KeyID != "") {
				t.Errorf("got %v, want %v", d, entries)
			}
		}
		written, err := formatDomains(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseDomains(written)
		if err != nil || len(again) != len(got) {
			t.Fatalf("read again: got %v, %v, want %v", again, err, got)
		}
		once, err := formatDomains(again)
		if err != nil || string(once) != string(written) {
			t.Errorf("written again: got %s, %v, want %s", once, err, written)
		}
	})
}
