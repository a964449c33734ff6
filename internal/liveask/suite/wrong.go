package suite

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// whole is a policy in which every field is set.
func (p *player) whole() tree {
	return tree{
		"name": "edge", "mode": "log", "rollout": 50, "format": "any", "audience": "api", "preflight": "check",
		"deny_annotations": []any{"bad"}, "allow_issuers": []any{"good"}, "deny_issuers": []any{"evil"},
		"token":            tree{"header": "X-Token", "scheme": "Bearer", "leeway": "5s", "max_bytes": 4096, "forward": "always"},
		"targets":          tree{"encoded_slash": "allow", "semicolon": "refuse", "path_case": "fold"},
		"respond":          tree{"status": 403, "body": "no", "content_type": "text/plain", "details": false},
		"privacy":          tree{"device_id": "raw", "ip": "raw"},
		"report":           tree{"app_version": "X-App-Version"},
		"binding":          tree{"from": []any{"header:Authorization", "cookie:session", "query:q", "const:x"}, "trim_scheme": true, "missing_pay": "reject", "absent": "const:none"},
		"upstream_headers": tree{"verdict": "X-V", "reason": "X-R", "device": "X-D"},
		"keys": []any{
			tree{"name": "account", "alg": "HS256", "secret": "file:" + p.path("account"), "encoding": "base64", "jwe": true, "kid": "k",
				"not_before": until(-time.Hour), "not_after": until(time.Hour)},
			tree{"name": "public", "alg": "ES256", "public_key": "file:" + p.path("control.pem")},
			tree{"name": "set", "jwks": "file:" + p.path("set.json"), "algs": []any{"ES256"}},
			tree{"name": "far", "jwks": p.server.url + "/set", "algs": []any{"ES256", "RS256"}, "ca": p.path("ca.pem"), "refresh": "1m"},
			tree{"name": "fleet", "ring": p.server.url + "/ring", "refresh": "5s"},
		},
		"routes": []any{
			tree{"name": "pay", "hosts": []any{"api.example.com"}, "methods": []any{"POST"}, "paths": []any{"/pay", "/pay/**"}, "keys": []any{"account"},
				"mode": "enforce", "rollout": 10, "format": "jws", "binding": "none", "audience": "pay"},
			tree{"name": "open", "paths": "/open", "check": "none"},
		},
		"control": p.control(tree{"file": p.path("control.json"), "token": "file:" + p.path("account"), "cache": p.folder, "seal": "file:" + p.path("account")}),
	}
}

// wrongValues makes a policy for every field and every value that may be wrong there. The drivers must find the same
// problems.
func wrongValues(p *player) {
	p.write("set.json", p.signer.set("one"))
	attempts, refused := 0, 0
	try := func(path string, policy tree) {
		p.gate = "edge"
		answer := p.run(tree{"do": "make", "policy": policy, "now": until(0)})
		p.script[len(p.script)-1] = p.plain(path) + " " + p.script[len(p.script)-1]
		attempts++
		if answer["made"] != true {
			refused++
		}
	}
	try("as it is", p.whole())
	if refused > 0 {
		p.Fatalf("got %s, want a gate", p.script[0])
	}
	for _, place := range places(p.whole(), nil) {
		for _, value := range []any{nil, "", 7, "wrong"} {
			try(fmt.Sprint(place, " = ", value), changed(p.whole(), place, value).(tree))
		}
		try(fmt.Sprint(place, " deleted"), changed(p.whole(), place, deleted{}).(tree))
	}
	if attempts < 400 || refused < attempts/2 {
		p.Errorf("got %d of %d policies refused, want more than half of more than 400", refused, attempts)
	}
}

// places are the paths of all that is in a tree.
func places(value any, at []any) [][]any {
	var all [][]any
	below := func(key, value any) {
		path := append(slices.Clone(at), key)
		all = append(append(all, path), places(value, path)...)
	}
	switch v := value.(type) {
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below(key, v[key])
		}
	case []any:
		for i, one := range v {
			below(i, one)
		}
	}
	return all
}

// deleted stands for what is to be gone.
type deleted struct{}

// changed is a tree in which one place holds another value.
func changed(value any, place []any, to any) any {
	if len(place) == 0 {
		return to
	}
	switch v := value.(type) {
	case tree:
		key := place[0].(string)
		if v[key] = changed(v[key], place[1:], to); v[key] == any(deleted{}) {
			delete(v, key)
		}
		return v
	case []any:
		i := place[0].(int)
		if v[i] = changed(v[i], place[1:], to); v[i] == any(deleted{}) {
			return slices.Delete(v, i, i+1)
		}
		return v
	}
	return value
}

// references names secrets, keys and key sets in all forms, most of them wrong.
func references(p *player) {
	secret := secretOf("account")
	texts := []string{
		secretText("account"), base64.RawURLEncoding.EncodeToString(secret), " " + secretText("account") + "\r\n", "", "short", "-----BEGIN PUBLIC KEY-----\nMFkw\n",
		secretText("account")[:44] + "=", "ä" + secretText("account"), strings.Repeat("A", 45), strings.Repeat("-", 40) + strings.Repeat("+", 40),
		strings.Repeat("a2", 40), strings.Repeat("A2", 40) + "======", strings.Repeat("aA", 40), strings.Repeat("1", 80), strings.Repeat("x", 40) + "\n",
		strings.Repeat("x", 70000),
	}
	for i, text := range texts {
		p.write("text", text)
		for _, encoding := range []string{"base64", "base32", "raw"} {
			p.try(fmt.Sprint("text ", i), tree{"name": "k", "alg": "HS256", "secret": "file:" + p.path("text"), "encoding": encoding})
		}
		p.try(fmt.Sprint("text as key ", i), tree{"name": "k", "alg": "RS256", "public_key": "file:" + p.path("text")})
		p.try(fmt.Sprint("text as set ", i), tree{"name": "k", "jwks": "file:" + p.path("text"), "algs": []any{"HS256"}})
	}
	p.writeMode("readable", secretText("account"), 0o644)
	p.writeMode("writable", secretText("account"), 0o622)
	for _, reference := range []string{
		"file:" + p.path("readable"), "file:" + p.path("writable"), "file:" + p.path("missing"), "file:" + p.folder, "file:", "env:", "env:APPROOVGATE_NONE", "inline:",
		"inline:" + secretText("account"), "vault:x", secretText("account"), "file:/dev/zero",
	} {
		p.try(reference, tree{"name": "k", "alg": "HS256", "secret": reference})
		p.try(reference, tree{"name": "k", "alg": "ES256", "public_key": reference})
	}
	p.keySets()
}

// keySets reads sets with entries of every kind.
func (p *player) keySets() {
	good := strings.TrimSuffix(strings.TrimPrefix(p.signer.set("one"), `{"keys":[`), `]}`)
	n := base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, 255)...))
	for i, set := range []string{
		`{"keys":[` + good + `]}`, `{"keys":[` + good + `,` + good + `]}`, `{"keys":[{}]}`, `{"keys":[{"kty":"oct"}]}`, `{"keys":[{"kty":"OKP"}]}`, `{"keys":{}}`, `[]`,
		`{}`, `{"keys":[` + good + `]`, `{"keys":[{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString(secretOf("k")) + `"}]}`,
		`{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString(secretOf("k")) + `"},` + good + `]}`,
		`{"keys":[{"kty":"RSA","n":"` + n + `","e":"AQAB"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"RSA","n":"` + n + `","e":"Ag"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		strings.Replace(`{"keys":[`+good+`]}`, `"kty"`, `"use":"enc","kty"`, 1), strings.Replace(`{"keys":[`+good+`]}`, `"kty"`, `"key_ops":["sign"],"kty"`, 1),
		strings.Replace(`{"keys":[`+good+`]}`, `"kty"`, `"key_ops":["verify"],"use":"sig","kty"`, 1), strings.Replace(`{"keys":[`+good+`]}`, `"kty"`, `"d":"AA","kty"`, 1),
		strings.Replace(`{"keys":[`+good+`]}`, `"one"`, `1`, 1), strings.Replace(`{"keys":[`+good+`]}`, `"ES256"`, `"RS256"`, 1),
	} {
		p.write("set", set)
		for _, algs := range [][]any{{"ES256"}, {"HS256"}, {"RS256"}, {"RS256", "PS256"}, {"ES256", "RS256", "HS256"}} {
			p.try(fmt.Sprint("set ", i, algs), tree{"name": "k", "jwks": "file:" + p.path("set"), "algs": algs})
		}
	}
}

// try makes a gate with one key and asks for its status, if there is one.
func (p *player) try(name string, key tree) {
	p.Helper()
	p.gate = "try"
	p.script = append(p.script, p.plain(name))
	if p.run(tree{"do": "make", "policy": tree{"keys": []any{key}}, "now": until(0)})["made"] == true {
		p.run(tree{"do": "status"})
	}
}
