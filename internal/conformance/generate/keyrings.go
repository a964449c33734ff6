package main

import (
	"strings"
	"time"
)

// secrets are the encodings of a secret, which are declared and never guessed.
func secrets(g *corpus) {
	token := get(g.hs(genuine))
	row := func(file, name, about, key, request string, w want) {
		g.add("keys/"+file, name, about, `{"keys": [`+key+`]}`, request, w)
	}
	row("base64", "secret in base64 is the default", "T14, R90", `{"name": "account", "alg": "HS256", "secret": "inline:$b64-account"}`, token, pass().key("account"))
	row("base64-declared", "secret may be declared base64", "T15", `{"name": "account", "alg": "HS256", "encoding": "base64", "secret": "inline:$b64-account"}`, token, pass())
	row("base64url", "secret may be in base64url", "T15", `{"name": "account", "alg": "HS256", "secret": "inline:$b64url-account"}`, token, pass())
	row("base64-white-space", "white space around an encoded secret does not count", "T14, T15", `{"name": "account", "alg": "HS256", "secret": "inline: $b64-account\n"}`, token, pass())
	row("base32", "secret may be in base32", "T15", `{"name": "account", "alg": "HS256", "encoding": "base32", "secret": "inline:$b32-account"}`, token, pass())
	const text = "a text of no fewer than 32 bytes, test only"
	row("raw", "secret may be raw text", "T15", `{"name": "account", "alg": "HS256", "encoding": "raw", "secret": "inline:`+text+`"}`, get(g.sign("HS256", []byte(text), hs256Header, genuine)), pass())
	row("raw-base64", "base64 text declared raw is not decoded", "T15", `{"name": "account", "alg": "HS256", "encoding": "raw", "secret": "inline:$b64-account"}`, token, deny("signature_invalid"))
	row("newline", "secret that ends in a line feed keeps it", "T14, kong, nginx", `$newline`, get(g.sign("HS256", g.keys.newline, hs256Header, genuine)), pass().key("newline"))
	row("newline-cut", "token under a secret without its last line feed is denied", "T14", `$newline`,
		get(g.sign("HS256", g.keys.newline[:63], hs256Header, genuine)), deny("signature_invalid"))
	row("manual", "token under the manual's example secret is accepted", "R116", `$manual`, get(g.sign("HS256", g.keys.manual, hs256Header, genuine)), pass().key("manual"))
}

// publicKeys are key sets (RFC 7517) and kids.
func publicKeys(g *corpus) {
	row := func(file, name, algs, request string, w want) {
		g.add("keys/"+file, name, "T8, T2", `{"keys": [{"name": "set", "jwks": $jwks, "algs": [`+algs+`]}]}`, request, w)
	}
	es := func(kid string) string {
		return get(g.sign("ES256", g.keys.ec, `{"alg":"ES256",`+kid+`"typ":"JWT"}`, genuine))
	}
	rs := func(kid string) string {
		return get(g.sign("RS256", g.keys.rsa, `{"alg":"RS256",`+kid+`"typ":"JWT"}`, genuine))
	}
	row("jwks-es256", "ES256 token with a kid of the set is accepted", `"ES256"`, es(`"kid":"ec-1",`), pass().key("set/ec-1"))
	row("jwks-rs256", "RS256 token with a kid of the set is accepted", `"ES256", "RS256"`, rs(`"kid":"rsa-1",`), pass().key("set/rsa-1"))
	row("jwks-alg-not-listed", "token of an algorithm that is not listed for the set is denied", `"ES256"`, rs(`"kid":"rsa-1",`), deny("algorithm_refused"))
	row("jwks-kid-unknown", "token with a kid the set does not have is denied", `"ES256"`, es(`"kid":"ec-2",`), deny("key_unknown"))
	row("jwks-kid-missing", "token without a kid is denied where all keys of the set have one", `"ES256"`, es(""), deny("key_unknown"))
	row("jwks-kid-of-other-type", "token with the kid of a key of another type is denied", `"ES256", "RS256"`, es(`"kid":"rsa-1",`), deny("key_unknown"))
	row("jwks-kid-case", "kid is case-sensitive", `"ES256"`, es(`"kid":"EC-1",`), deny("key_unknown"))
	row("jwks-foreign", "forged token with a kid of the set is denied", `"ES256"`, get(g.sign("ES256", g.keys.foreignEC, `{"alg":"ES256","kid":"ec-1"}`, genuine)), deny("signature_invalid"))
}

// named is a secret with a kid and further members.
func named(name, secret, more string) string {
	return `{"name": "` + name + `", "alg": "HS256", "secret": "inline:$b64-` + secret + `"` + more + `}`
}

// rotation are rings of several keys, kids and windows: no moment may come at which a genuine token is refused.
func rotation(g *corpus) {
	row := func(file, name, keys, token string, w want) {
		g.add("keys/"+file, name, "T14, R117", `{"keys": [`+keys+`]}`, get(token), w)
	}
	by := func(secret []byte, kid string) string {
		header := hs256Header
		if kid != "" {
			header = `{"alg":"HS256","kid":"` + kid + `","typ":"JWT"}`
		}
		return g.sign("HS256", secret, header, genuine)
	}
	k := &g.keys
	row("two-first", "token under the first of two secrets is accepted", "$account, $next", by(k.account, ""), pass().key("account"))
	row("two-second", "token under the second of two secrets is accepted", "$account, $next", by(k.next, ""), pass().key("next"))
	row("two-neither", "token under neither of two secrets is denied", "$account, $next", by(k.retired, ""), deny("signature_invalid"))
	row("removed", "token under a removed secret is denied", "$next", by(k.account, ""), deny("signature_invalid"))
	row("four", "last of four secrets is tried", "$account, $next, $newline, $manual", by(k.manual, ""), pass().key("manual"))
	row("equal", "two entries with one secret accept its tokens", named("a", "account", "")+", "+named("b", "account", ""), by(k.account, ""), pass().key("a"))

	k1, k2 := named("one", "account", `, "kid": "k1"`), named("two", "next", `, "kid": "k2"`)
	row("kid-match", "token is checked with the key of its kid", k1+", "+k2, by(k.next, "k2"), pass().key("two"))
	row("kid-swapped", "token under another key than its kid's is denied", k1+", "+k2, by(k.next, "k1"), deny("signature_invalid"))
	row("kid-missing", "token without a kid is denied where all keys have one", k1+", "+k2, by(k.account, ""), deny("key_unknown"))
	row("kid-unknown", "token with an unknown kid is denied where all keys have one", k1+", "+k2, by(k.account, "k3"), deny("key_unknown"))
	row("kid-empty", "empty kid is no kid", k1+", "+k2, g.headed(`{"alg":"HS256","kid":""}`), deny("key_unknown"))
	row("kid-prefix", "kid is compared as a whole", k1+", "+k2, by(k.account, "k"), deny("key_unknown"))
	row("kid-escaped", "kid may be written with escapes", k1+", "+k2, g.headed(`{"alg":"HS256","kid":"\u006b1"}`), pass().key("one"))
	row("kid-and-open", "token with a known kid may be under a key without one", k1+", $next", by(k.next, "k1"), pass().key("next"))
	row("open-other-kid", "token with an unknown kid may be under a key without one", k1+", $next", by(k.next, "k9"), pass().key("next"))
	row("kid-key-not-open", "key with a kid is not tried for a token without one", k1+", $next", by(k.account, ""), deny("signature_invalid"))

	window := func(name, secret, member string, offset time.Duration) string {
		return named(name, secret, `, "`+member+`": "`+now.Add(offset).Format(time.RFC3339)+`"`)
	}
	row("window-before-end", "key is used up to its not_after", window("account", "account", "not_after", time.Second), by(k.account, ""), pass())
	row("window-at-end", "key is not used from its not_after on", window("account", "account", "not_after", 0), by(k.account, ""), deny("key_unknown"))
	row("window-past", "key whose window has passed is not used", window("account", "account", "not_after", -time.Hour), by(k.account, ""), deny("key_unknown"))
	row("window-at-start", "key is used from its not_before on", window("account", "account", "not_before", 0), by(k.account, ""), pass())
	row("window-before-start", "key is not used before its not_before", window("account", "account", "not_before", time.Second), by(k.account, ""), deny("key_unknown"))
	row("window-retired", "token under the retired key is denied where the next one is in use", window("retired", "retired", "not_after", -time.Second)+", $account", by(k.retired, ""), deny("signature_invalid"))
	row("window-next", "token under the next key is accepted where the retired one still stands", window("retired", "retired", "not_after", -time.Second)+", $account", by(k.account, ""), pass().key("account"))
	row("window-overlap-old", "token under the old key is accepted during the overlap", window("retired", "retired", "not_after", time.Minute)+", "+window("next", "next", "not_before", -time.Minute), by(k.retired, ""), pass().key("retired"))
	row("window-overlap-new", "token under the new key is accepted during the overlap", window("retired", "retired", "not_after", time.Minute)+", "+window("next", "next", "not_before", -time.Minute), by(k.next, ""), pass().key("next"))
	row("window-early", "token under a key that is not in use yet is denied", "$account, "+window("next", "next", "not_before", time.Minute), by(k.next, ""), deny("signature_invalid"))
	row("window-zone", "window may be in another time zone", named("account", "account", `, "not_after": "2027-01-15T10:00:01+02:00"`), by(k.account, ""), pass())
	g.add("keys/jwe-rotation", "JWE under the second of two secrets is accepted", "T14, R91",
		`{"format": "jwe", "keys": [`+named("next", "next", `, "jwe": true`)+`, $account-jwe]}`, get(g.jwe(jweHeader, genuine, nil)), pass().key("account"))
	g.add("keys/jwe-kid", "JWE is opened with the key of its kid", "T14, R91", `{"format": "jwe", "keys": [`+named("account", "account", `, "jwe": true, "kid": "k1"`)+`]}`,
		get(g.jwe(strings.Replace(jweHeader, "{", `{"kid":"k1",`, 1), genuine, nil)), pass())
	g.add("keys/jwe-kid-unknown", "JWE with an unknown kid is denied", "T14, R91", `{"format": "jwe", "keys": [`+named("account", "account", `, "jwe": true, "kid": "k1"`)+`]}`,
		get(g.jwe(jweHeader, genuine, nil)), deny("key_unknown"))
}

// refusedKeys are policies that no gate may start with: it refuses, rather than run without a check.
func refusedKeys(g *corpus) {
	row := func(file, name, about, policy, problem string) {
		g.add("keys/refused-"+file, name+" is refused", about, policy, send("GET /"), badPolicy(problem))
	}
	key := func(file, name, entry, field string) {
		row(file, name, "T15", `{"keys": [`+entry+`]}`, "keys[0]."+field)
	}
	row("none", "policy without a key", "T15, T44", `{}`, "keys")
	row("empty-list", "policy with an empty list of keys", "T15", `{"keys": []}`, "keys")
	key("secret-empty", "empty secret", `{"name": "account", "alg": "HS256", "secret": "inline:"}`, "secret")
	key("secret-weak", "secret of 31 bytes", `{"name": "account", "alg": "HS256", "encoding": "raw", "secret": "inline:0123456789012345678901234567890"}`, "secret")
	key("secret-weak-decoded", "secret of 24 bytes when decoded", `{"name": "account", "alg": "HS256", "secret": "inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`, "secret")
	key("secret-not-base64", "secret that is not base64", `{"name": "account", "alg": "HS256", "secret": "inline:this is not base64, it is a text in the clear"}`, "secret")
	key("secret-mixed-base64", "secret that mixes two alphabets", `{"name": "account", "alg": "HS256", "secret": "inline:+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_+_"}`, "secret")
	key("secret-not-base32", "base64 text declared base32", `{"name": "account", "alg": "HS256", "encoding": "base32", "secret": "inline:$b64-account"}`, "secret")
	key("secret-encoding", "unknown encoding", `{"name": "account", "alg": "HS256", "encoding": "hex", "secret": "inline:$b64-account"}`, "encoding")
	key("secret-public-key", "public key in place of a secret", `{"name": "account", "alg": "HS256", "encoding": "raw", "secret": $rsa-pem}`, "secret")
	key("secret-plain", "secret that is no reference", `{"name": "account", "alg": "HS256", "secret": "$b64-account"}`, "secret")
	key("secret-no-file", "secret in a file that is not there", `{"name": "account", "alg": "HS256", "secret": "file:/nonexistent/approovgate/secret"}`, "secret")
	key("secret-no-variable", "secret in a variable that is not set", `{"name": "account", "alg": "HS256", "secret": "env:APPROOVGATE_TEST_NEVER_SET"}`, "secret")
	key("alg-missing", "secret without alg", `{"name": "account", "secret": "inline:$b64-account"}`, "alg")
	key("alg-none", "key for alg none", `{"name": "account", "alg": "none", "secret": "inline:$b64-account"}`, "alg")
	key("alg-hs512", "key for an algorithm we do not have", `{"name": "account", "alg": "HS512", "secret": "inline:$b64-account"}`, "alg")
	key("alg-of-secret", "secret for RS256", `{"name": "account", "alg": "RS256", "secret": "inline:$b64-account"}`, "alg")
	key("alg-of-public-key", "EC key for RS256", `{"name": "account", "alg": "RS256", "public_key": $ec-pem}`, "public_key")
	key("public-key-text", "public key that is not PEM", `{"name": "account", "alg": "ES256", "public_key": "inline:MFkwEwYHKoZIzj0CAQ"}`, "public_key")
	key("jwks-no-algs", "key set without algorithms", `{"name": "set", "jwks": $jwks}`, "algs")
	key("jwks-nothing-left", "key set without a key for the algorithm", `{"name": "set", "jwks": $jwks, "algs": ["PS256"]}`, "jwks")
	key("jwks-not-json", "key set that is not JSON", `{"name": "set", "jwks": "inline:keys", "algs": ["ES256"]}`, "jwks")
	key("jwks-duplicate-kid", "key set with one kid twice", `{"name": "set", "algs": ["ES256"], "jwks": "inline:{\"keys\":[{\"kty\":\"OKP\",\"kid\":\"a\"},{\"kty\":\"OKP\",\"kid\":\"a\"}]}"}`, "jwks")
	key("window-reversed", "window that ends before it begins", named("account", "account", `, "not_before": "2027-02-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"`), "not_after")
	key("unknown-member", "key with an unknown member", named("account", "account", `, "expires": "2027-01-01T00:00:00Z"`), "expires")
	row("same-name", "second key of one name", "T15", `{"keys": [$account, $account]}`, "keys[1].name")
	row("jwe-without-key", "format jwe without a key for it", "T3", `{"keys": [$account], "format": "jwe"}`, "format")
	row("unknown-field", "policy with an unknown key", "T44", `{"keys": [$account], "leeway": "5s"}`, "leeway")
	row("mode", "unknown mode", "T44", `{"keys": [$account], "mode": "off"}`, "mode")
	row("route-key", "route with a key that does not exist", "T15", `{"keys": [$account], "routes": [{"name": "a", "paths": ["/a"], "keys": ["acount"]}]}`, "routes[0].keys[0]")
	row("route-shadowed", "route that can never match", "T44", `{"keys": [$account], "routes": [{"name": "a", "paths": ["/a/**"]}, {"name": "b", "paths": ["/a/b"]}]}`, "routes[1]")
	row("binding-source", "binding to an unknown source", "T25", `{"keys": [$account], "binding": {"from": ["body:x"]}}`, "binding.from[0]")
}
