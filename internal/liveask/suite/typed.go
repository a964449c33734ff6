package suite

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// allTypes gives the decoder values of the types that YAML, TOML, JSON and mapstructure make, and some of others.
func allTypes(p *player) {
	values := []any{
		true, 3, int32(3), int64(3), uint64(3), uint64(1 << 60), int64(-1 << 60), float64(3), 3.5, -1e300, json.Number("3"), json.Number("3e0"), "3", "03", "true",
		[]any(nil), []string{"one", "two"}, []map[string]any{{"name": "one"}}, map[string]any(nil), map[any]any{"name": "one"}, map[any]any{1: 2, "name": "one"},
		noon, 3 * time.Second, uint8(3), []byte("bytes"), struct{}{}, &struct{}{}, []int{1}, map[string]string{"name": "one"},
	}
	for _, place := range [][]any{
		{"name"}, {"rollout"}, {"mode"}, {"token"}, {"token", "max_bytes"}, {"token", "leeway"}, {"respond", "details"}, {"keys"}, {"keys", 0}, {"keys", 0, "not_before"},
		{"keys", 0, "jwe"}, {"routes", 0, "paths"}, {"deny_annotations"}, {"binding"}, {"control"}, {"control", "interval"},
	} {
		for _, value := range values {
			policy := p.policy(tree{"token": tree{"leeway": "5s"}, "respond": tree{"details": false}, "control": tree{"interval": "5s"}})
			problems, made := p.driver.Decode(changed(policy, place, value).(tree))
			p.script = append(p.script, p.plain(fmt.Sprintf("%v = %T: %q %s", place, value, problems, made)))
		}
	}
	if taken := p.counted(`[] edge`); taken < 10 {
		p.Errorf("got %d values taken, want at least 10", taken)
	}
}

// counted is how many lines of the script hold a part.
func (p *player) counted(part string) int {
	n := 0
	for _, line := range p.script {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// patterns gives the decoder routes' hosts, methods and paths.
func patterns(p *player) {
	texts := []string{
		"", "/", "/**", "/a/**", "/a*", "/a/*/b", "*", "a", "/a//b", "/a/../b", "/./a", "/a%20b", "/a?b", "/a#b", `/a\b`, "/a;b", "/a{id}", "/\u00e9", "/\xff", "/a\x00", "/a/",
		"api.example.com", "API.example.com", "api.example.com.", "*.example.com", "api.example.com:443", "[2001:db8::1]", "2001:db8::1", "[2001:db8::1", "127.0.0.1", "127.1",
		"0x7f.1", "xn--bcher-kva.example", "b\u00fccher.example", "-a.example", "a..b", "https://api.example.com", "api.example.com/x", strings.Repeat("a", 70) + ".example",
		"GET", "get", "CONNECT", "G ET", "PATCH",
	}
	for _, field := range []string{"hosts", "methods", "paths"} {
		for _, text := range texts {
			problems, made := p.driver.Decode(p.policy(tree{"routes": []any{tree{"name": "one", field: []any{text}}, tree{"name": "two", "paths": "/a/b"}}}))
			p.script = append(p.script, p.plain(fmt.Sprintf("%s: %q: %q %s", field, text, problems, made)))
		}
	}
	if taken := p.counted(`[] edge`); taken < 10 {
		p.Errorf("got %d patterns taken, want at least 10", taken)
	}
}
