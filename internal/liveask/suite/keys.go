package suite

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// rotation changes the secret of a fleet: both verify in the overlap, and the old one goes by itself.
func rotation(p *player) {
	keys := []any{tree{"name": "fleet", "ring": p.server.url + "/ring", "refresh": "5s"}}
	p.open("edge", p.policy(tree{"keys": keys, "control": tree{"keys": []any{"file:" + p.path("control.pem")}, "ca": p.path("ca.pem")}}))
	before, after := p.token("old", "", "device", 24*time.Hour), p.token("new", "", "device", 24*time.Hour)
	wants := func(step, old, young string) {
		p.Helper()
		p.reason(step+": the old secret", before, old)
		p.reason(step+": the new secret", after, young)
	}
	if ready := p.run(tree{"do": "ready"})["ready"]; ready != false {
		p.Errorf("no ring yet: got ready %v, want false", ready)
	}
	wants("no ring yet", "key_unknown", "key_unknown")
	ring := func(document string) {
		p.server.set("/ring", answers(http.StatusOK, document))
		p.poll(long)
	}
	ring(p.ring(1, member("old", 0, 0)))
	p.events("the first ring", "keys_changed local from keys[0].ring")
	wants("the first ring", "ok", "signature_invalid")
	if ready := p.run(tree{"do": "ready"})["ready"]; ready != true {
		p.Errorf("the first ring: got ready %v, want true", ready)
	}
	ring(p.ring(2, member("old", 0, 60), member("new", 10, 0)))
	p.events("the second ring", "keys_changed local from keys[0].ring")
	wants("before the overlap", "ok", "signature_invalid")
	p.at(10 * time.Minute)
	wants("the overlap begins", "ok", "ok")
	p.poll(long)
	p.run(tree{"do": "status"})
	ring(p.ring(2, member("old", 0, 60), member("new", 10, 0)))
	p.run(tree{"do": "events"})
	wants("signed again", "ok", "ok")
	ring(p.ring(1, member("old", 0, 0)))
	p.source("an older ring", "keys[0].ring", "version: 1 is lower than 2")
	p.at(time.Hour - time.Nanosecond)
	wants("the last moment", "ok", "ok")
	p.at(time.Hour)
	wants("the end", "signature_invalid", "ok")
	p.poll(long)
	p.run(tree{"do": "events"})
	p.run(tree{"do": "status"})
	ring(p.ring(3, member("new", 10, 0)))
	wants("the old one has gone", "signature_invalid", "ok")
	p.run(tree{"do": "status"})
	p.run(tree{"do": "counters"})
}

// badRings serves rings of which none may change anything.
func badRings(p *player) {
	keys := []any{
		tree{"name": "account", "alg": "HS256", "secret": "file:" + p.path("account")},
		tree{"name": "fleet", "ring": p.server.url + "/ring", "not_after": until(2 * time.Hour)},
	}
	p.server.set("/ring", serves(p.ring(5, member("good", 0, 0)), `"1"`))
	p.open("edge", p.policy(tree{"keys": keys, "control": tree{"keys": []any{"file:" + p.path("control.pem")}, "ca": p.path("ca.pem")}}))
	p.poll(0)
	token := p.token("good", "", "device", 24*time.Hour)
	p.reason("a good ring", token, "ok")
	weak := tree{"name": "weak", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString([]byte("too short to be one"))}
	for _, step := range []struct{ name, document, failure string }{
		{"forged", newSigner(p).sign(p, ringType, tree{"version": 6, "keys": []any{member("other", 0, 0)}}), "signature_invalid"},
		{"a control document", p.override(6, "bypass", time.Hour), "algorithm_refused"},
		{"for another gate", p.signer.sign(p, ringType, tree{"version": 6, "aud": "other", "keys": []any{member("other", 0, 0)}}), "aud"},
		{"without keys", p.ring(6), "keys"},
		{"without version", p.signer.sign(p, ringType, tree{"keys": []any{member("other", 0, 0)}}), "version: is missing"},
		{"older", p.ring(4, member("other", 0, 0)), "version: 4 is lower than 5"},
		{"a weak secret", p.ring(6, weak), "weak"},
		{"a secret elsewhere", p.ring(6, tree{"name": "other", "alg": "HS256", "secret": "file:" + p.path("account")}), "inline:"},
		{"a ring in a ring", p.ring(6, tree{"name": "other", "ring": p.server.url + "/ring"}), "keys[0]"},
		{"two of one name", p.ring(6, member("other", 0, 0), member("other", 0, 0)), "keys[1]"},
		{"garbled", "garbled", "cannot be trusted"},
	} {
		p.server.set("/ring", answers(http.StatusOK, step.document))
		p.poll(long)
		p.source(step.name, "keys[1].ring", step.failure)
		p.reason(step.name, token, "ok")
		p.run(tree{"do": "events"})
	}
	p.at(2 * time.Hour)
	p.reason("the end of the entry itself", token, "signature_invalid")
	p.run(tree{"do": "status"})
}

// set is a key set with the signer's public key under kids.
func (s *signer) set(kids ...string) string {
	raw, err := s.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return err.Error()
	}
	keys := []any{}
	for _, kid := range kids {
		keys = append(keys, tree{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": kid,
			"x": base64.RawURLEncoding.EncodeToString(raw[1:33]), "y": base64.RawURLEncoding.EncodeToString(raw[33:]),
		})
	}
	text, err := json.Marshal(tree{"keys": keys})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// keySet fetches a JSON Web Key Set, and earlier than planned when a token names a key that it lacks.
func keySet(p *player) {
	signed := func(kid string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": noon.Add(24 * time.Hour).Unix(), "did": "device"})
		token.Header["kid"] = kid
		text, err := token.SignedString(p.signer.key)
		if err != nil {
			p.Fatal(err)
		}
		return text
	}
	keys := []any{tree{"name": "set", "jwks": p.server.url + "/set", "algs": []any{"ES256"}, "ca": p.path("ca.pem"), "refresh": "10m"}}
	p.server.set("/set", serves(p.signer.set("one"), `"1"`))
	p.open("edge", p.policy(tree{"keys": keys}))
	p.poll(0)
	p.reason("the first set", signed("one"), "ok")
	p.server.set("/set", serves(p.signer.set("one", "two"), `"2"`))
	wants := func(step string, asked int, due bool) {
		p.Helper()
		if got := p.run(tree{"do": "due"})["due"]; got != due {
			p.Errorf("%s: got due %v, want %v", step, got, due)
		}
		p.run(tree{"do": "poll"})
		if got := p.server.count("/set"); got != asked {
			p.Errorf("%s: got %d requests, want %d", step, got, asked)
		}
	}
	asked := p.server.count("/set")
	p.run(tree{"do": "pass", "elapsed": 4000})
	wants("nothing new", asked, false)
	p.reason("a new kid", signed("two"), "key_unknown")
	wants("a new kid", asked+1, true)
	p.reason("after that", signed("two"), "ok")
	p.reason("a kid of nobody", signed("three"), "key_unknown")
	for i := 0; i < 3; i++ {
		p.run(tree{"do": "pass", "elapsed": 100})
		p.reason("a flood of kids", signed("four"), "key_unknown")
		p.run(tree{"do": "due"})
	}
	if got := p.server.count("/set"); got != asked+1 {
		p.Errorf("a flood of kids: got %d requests, want %d", got, asked+1)
	}
	p.run(tree{"do": "pass", "elapsed": (11 * time.Minute).Milliseconds()})
	p.reason("an interval later", signed("four"), "key_unknown")
	wants("an interval later", asked+2, true)
	p.run(tree{"do": "status"})
	for _, step := range []struct{ name, text, failure string }{
		{"garbled", "<html>", "key set"},
		{"shared secrets", `{"keys":[{"kty":"oct","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString(secretOf("oct")) + `"}]}`, "key set"},
		{"no keys", `{"keys":[]}`, "holds no key"},
		{"one kid twice", p.signer.set("one", "one"), "its kid stands twice"},
		{"oversized", strings.Repeat(" ", 65537), "more than 65536 bytes"},
	} {
		p.server.set("/set", answers(http.StatusOK, step.text))
		p.poll(11 * time.Minute)
		p.source(step.name, "keys[0].jwks", step.failure)
		p.reason(step.name, signed("two"), "ok")
		p.run(tree{"do": "events"})
	}
	p.server.set("/set", serves(p.signer.set("two"), `"3"`))
	p.poll(11 * time.Minute)
	p.reason("a key has gone", signed("one"), "key_unknown")
	p.reason("another stays", signed("two"), "ok")
	p.run(tree{"do": "status"})
}
