package jose

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// judgedMember is one member of an object as the judge reads it.
type judgedMember struct {
	name, raw string
	value     any // numbers as json.Number
}

// judge reads text as an Object must, slowly and with other means: encoding/json and a walk for each rule that
// encoding/json does not have. It reports whether text must be accepted.
func judge(text string) ([]judgedMember, bool) {
	if !utf8.ValidString(text) || !json.Valid([]byte(text)) || hasLoneSurrogate(text) || deepest(text) > 32 {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	var members []judgedMember
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, false
		}
		values := json.NewDecoder(bytes.NewReader(raw))
		values.UseNumber()
		m := judgedMember{name: name.(string), raw: string(raw)}
		if err := values.Decode(&m.value); err != nil || seen[m.name] {
			return nil, false
		}
		seen[m.name] = true
		members = append(members, m)
	}
	return members, len(members) <= 64
}

// hasLoneSurrogate walks the \u escapes of valid JSON, in which a backslash stands inside strings only.
func hasLoneSurrogate(text string) bool {
	unit := func(at int) uint16 {
		if at+6 > len(text) || text[at:at+2] != `\u` {
			return 0
		}
		n, err := strconv.ParseUint(text[at+2:at+6], 16, 16)
		if err != nil {
			return 0
		}
		return uint16(n)
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case text[i+1] != 'u':
			i++
		case !utf16.IsSurrogate(rune(u)):
			i += 5
		case u >= 0xDC00 || unit(i+6) < 0xDC00 || unit(i+6) > 0xDFFF:
			return true
		default:
			i += 11
		}
	}
	return false
}

// deepest is how many arrays and objects enclose the innermost value of valid JSON: 0 for the outermost value.
func deepest(text string) int {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	depth, most := 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return most
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			depth--
			continue
		}
		if depth > most {
			most = depth
		}
		if token == json.Delim('{') || token == json.Delim('[') {
			depth++
		}
	}
}
