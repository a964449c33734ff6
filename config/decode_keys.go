package config

import (
	"fmt"
	"strconv"
	"strings"
)

const inline = "inline:"

const inlineWarning = "an inline secret ends up in backups, logs of deployments and process lists; " +
	"use file:PATH or env:NAME"

var algorithms = []string{"HS256", "RS256", "PS256", "ES256"}

// decodeKeys reads the key ring. A policy without a key could let nothing through, so one is required.
func decodeKeys(t *Tree) []Key {
	var keys []Key
	first := map[string]int{}
	for i, sub := range t.Subs("keys") {
		k := decodeKey(sub)
		if k.Name != "" {
			if j, taken := first[k.Name]; taken {
				sub.Refuse("name", fmt.Sprintf("is already the name of keys[%d]; names must be unique", j))
			} else {
				first[k.Name] = i
			}
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 && !badList(t, "keys") {
		t.Refuse("keys", "is missing; add at least one key with name, alg and secret")
	}
	return keys
}

// badList reports whether key holds something that is no list, which its getter has refused already.
func badList(t *Tree, key string) bool {
	if !t.Has(key) {
		return false
	}
	items, ok := listed(t.values[key])
	return !ok || len(items) > 0
}

func decodeKey(t *Tree) Key {
	k := Key{
		Secret:    reference(t, "secret", false),
		PublicKey: reference(t, "public_key", false),
		JWKS:      reference(t, "jwks", true),
		Ring:      t.Text("ring", ""),
		Alg:       t.Choice("alg", "", algorithms...),
		Encoding:  t.Choice("encoding", "", "base64", "base32", "raw"),
		Algs:      t.List("algs"),
		Kid:       t.Text("kid", ""),
		JWE:       t.Bool("jwe", false),
		NotBefore: t.Time("not_before"),
		NotAfter:  t.Time("not_after"),
	}
	if t.Has("name") {
		k.Name = readName(t, "name", "")
		if strings.Contains(k.Name, "/") {
			t.Refuse("name", "must not contain /, which stands between the name of a set and those of its keys")
		}
	} else if t.values != nil {
		t.Refuse("name", "is missing; logs, metrics and routes[].keys use it")
	}
	if t.values == nil {
		return k // refused already
	}
	set := 0
	for _, field := range keyFields {
		if t.Has(field) {
			set++
		}
	}
	decodeFetch(t, &k)
	if set != 1 {
		t.Refuse("", "must have exactly one of secret, public_key, jwks and ring; it has "+strconv.Itoa(set))
		return k
	}
	switch {
	case t.Has("secret"):
		checkSecretKey(t, &k)
	case t.Has("public_key"):
		checkPublicKey(t, k)
	case t.Has("ring"):
		checkRing(t)
	default:
		checkKeySet(t, k)
	}
	if !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter) {
		t.Refuse("not_after", "must be later than not_before, or the key is never valid")
	}
	return k
}

func checkSecretKey(t *Tree, k *Key) {
	if !t.Has("alg") {
		t.Refuse("alg", "is missing; a secret's alg is HS256")
	} else if k.Alg != "HS256" && k.Alg != "" {
		t.Refuse("alg", k.Alg+" needs public_key instead of secret")
	}
	forbid(t, "stands only beside jwks; delete it", "algs")
	if k.Encoding == "" {
		k.Encoding = "base64"
	}
	if strings.HasPrefix(k.Secret, inline) && k.Secret != inline {
		t.Warn("secret", inlineWarning)
	}
}

func checkPublicKey(t *Tree, k Key) {
	if !t.Has("alg") {
		t.Refuse("alg", "is missing; a public key's alg is RS256, PS256 or ES256")
	} else if k.Alg == "HS256" {
		t.Refuse("alg", "HS256 needs secret instead of public_key")
	}
	forbid(t, "stands only beside jwks; delete it", "algs")
	forbid(t, "stands only beside secret; delete it", "encoding", "jwe")
}

func checkKeySet(t *Tree, k Key) {
	forbid(t, "is each entry's own in a key set; delete it", "alg", "kid", "encoding", "jwe")
	if !t.Has("algs") || k.Algs != nil && len(k.Algs) == 0 {
		t.Refuse("algs", "is missing; list the algorithms accepted from the set, such as [ES256]")
	}
	for i, alg := range k.Algs {
		switch {
		case !contains(algorithms, alg):
			t.Refuse(element("algs", i), "must be "+strings.Join(algorithms, " or ")+saw(alg))
		case alg == "HS256" && !strings.HasPrefix(k.JWKS, "file:"):
			t.Refuse(element("algs", i), "HS256 is accepted from file: sets only; delete it")
		}
	}
}

// forbid refuses fields that have no meaning for this kind of key, unless they hold their zero value.
func forbid(t *Tree, fix string, fields ...string) {
	for _, f := range fields {
		if !t.Has(f) {
			continue
		}
		switch v := t.values[f].(type) {
		case bool:
			if !v {
				continue
			}
		case string:
			if v == "" || f == "jwe" && v == "false" {
				continue
			}
		}
		t.Refuse(f, fix)
	}
}

// reference reads where a secret or key is found. What it holds is never repeated: it may be the secret.
func reference(t *Tree, key string, set bool) string {
	ref := t.Text(key, "")
	if _, ok := t.values[key].(string); !ok {
		return "" // absent, or refused already
	}
	if fix := badReference(ref, set); fix != "" {
		t.Refuse(key, fix)
	}
	return ref
}

// badReference returns what is wrong with a reference, or "". A key set may also be behind an https:// URL.
func badReference(ref string, set bool) string {
	i := strings.IndexByte(ref, ':')
	scheme, rest := "", ""
	if i >= 0 {
		scheme, rest = ref[:i], ref[i+1:]
	}
	if set && strings.HasPrefix(ref, "https://") && len(rest) > len("//") && !hasControl(rest) {
		return ""
	}
	switch {
	case scheme == "file" && (rest == "" || hasControl(rest)):
		return "file: must be followed by a path"
	case scheme == "env" && !variable(rest):
		return "env: must be followed by the name of an environment variable, without $ and without its value"
	case scheme == "inline" && rest == "":
		return "inline: is followed by nothing; use file:PATH or env:NAME"
	case scheme == "file" || scheme == "env" || scheme == "inline":
		return ""
	case set:
		return "must begin with file:, env:, inline: or https://, such as file:/run/secrets/keys.json"
	}
	return "must begin with file:, env: or inline:, such as file:/run/secrets/approov or env:APPROOV_SECRET"
}

// variable reports whether s can be the name of an environment variable. Encoded secrets mostly cannot.
func variable(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
