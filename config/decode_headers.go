package config

import (
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// reserved are the fields that belong to the connection or to the message's framing (RFC 9110 §7.6.1, §7.2,
// §8.6), in lower case: they are gone, or another's, before a gate or a backend could use them.
var reserved = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true,
	"proxy-authorization": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"host": true, "content-length": true,
}

const reservedFix = "belongs to the connection and cannot be used; choose another header"

// readHeader reads a header name in canonical form. An explicitly empty name stays empty.
func readHeader(t *Tree, key, def string) string {
	name := t.Text(key, def)
	if name == "" {
		return ""
	}
	if !isToken(name) {
		t.Refuse(key, "is not a header name (RFC 9110 §5.1); use letters, digits and hyphens")
		return def
	}
	if strings.ContainsAny(name, "_.") {
		t.Refuse(key, "holds _ or ., which servers fold or drop; use hyphens")
		return def
	}
	if reserved[strings.ToLower(name)] {
		t.Refuse(key, reservedFix)
		return def
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// checkHeaders refuses names that would make the gate confuse its own headers with the client's. Names are
// compared as backends fold them.
func checkHeaders(t *Tree, p Policy) {
	token := fold(p.Token.Header)
	if token == "" {
		t.Refuse("token.header", "is empty; name the header that carries the token, or delete the key for Approov-Token")
	}
	seen := map[string]string{}
	if token != "" {
		seen[token] = "token.header"
	}
	fields := []string{"verdict", "reason", "device"}
	for i, name := range []string{p.Upstream.Verdict, p.Upstream.Reason, p.Upstream.Device} {
		if name == "" {
			continue
		}
		at := "upstream_headers." + fields[i]
		if other, taken := seen[fold(name)]; taken {
			t.Refuse(at, "is the same header as "+other+"; choose another name")
			continue
		}
		seen[fold(name)] = at
	}
	refuseTokenSource(t, "binding", p.Default.Binding, token)
	for i, r := range p.Routes {
		if !sameSources(r.Binding.From, p.Default.Binding.From) {
			refuseTokenSource(t, element("routes", i)+".binding", r.Binding, token)
		}
	}
}

// refuseTokenSource refuses a binding to the header that carries the token: no token can hold its own hash.
func refuseTokenSource(t *Tree, at string, b Binding, token string) {
	for i, s := range b.From {
		if s.Kind == "header" && token != "" && fold(s.Name) == token {
			t.Refuse(at+"."+element("from", i), "is the header that carries the token; bind another one")
		}
	}
}

func sameSources(a, b []Source) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// fold is a header name as the most forgiving backend reads it: "_" and "." are hyphens there, case is ignored.
func fold(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// isToken reports whether s is a token in the sense of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// hasControl reports whether s holds control characters or is not valid UTF-8.
func hasControl(s string) bool {
	for _, c := range s {
		if c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 {
			return true
		}
	}
	return !utf8.ValidString(s)
}

// printableASCII reports whether s is not empty and may stand in a header's value.
func printableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != ""
}
