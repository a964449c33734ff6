package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Each row is the policy's control, beside a policy with one secret.
var controlRules = []struct {
	name    string
	control string
	want    []string
}{
	{"what is not set may be written out", `{"file": "", "url": "", "keys": [], "ca": "", "token": "", "cache": "", "seal": "", "interval": "5s"}`, nil},
	{"a file alone", `{"file": "/var/lib/approovgate/control.json"}`, nil},
	{"a URL", `{"url": "https://control.example.com/documents/edge?a=b", "keys": "file:control.pem"}`, nil},
	{"all of it", `{"file": "c.json", "url": "https://[::1]:8443/c", "keys": ["file:a.pem", "env:B"], "ca": "ca.pem", "token": "env:TOKEN", "cache": "/var/lib", "seal": "file:seal", "interval": "1h"}`, nil},
	{"an unknown field", `{"urls": "https://a/"}`, []string{"control.urls: unknown key; did you mean url?"}},
	{"a file is a plain path", `{"file": "file:/c.json"}`, []string{"control.file: must be a plain path"}},
	{"a file with a line break", `{"file": "a\nb"}`, []string{"control.file: must be a plain path"}},
	{"a URL needs keys", `{"url": "https://a/"}`, []string{"control.keys: is missing"}},
	{"keys of the wrong type are one problem", `{"url": "https://a/", "keys": 1}`, []string{"control.keys: must be a list of strings"}},
	{"a bare path among the keys", `{"url": "https://a/", "keys": ["file:a", "b.pem"]}`, []string{"control.keys[1]: must begin with file:, env: or inline:"}},
	{"plain http", `{"url": "http://a/", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"capital letters", `{"url": "HTTPS://a/", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"no host", `{"url": "https:///x", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a port alone", `{"url": "https://:443/x", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a port that is none", `{"url": "https://a:b/x", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a user", `{"url": "https://user:password@a/", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a space", `{"url": "https://a b/", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a half address", `{"url": "https://[::1/", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a bad escape", `{"url": "https://a/%zz", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"a line break", `{"url": "https://a/\r\nX: y", "keys": "env:A"}`, []string{"control.url: must be a URL such as https://"}},
	{"an interval too short", `{"interval": "999ms"}`, []string{"control.interval: must be from 1s to 1h0m0s"}},
	{"an interval too long", `{"interval": "61m"}`, []string{"control.interval: must be from 1s to 1h0m0s"}},
	{"what a URL needs, without one", `{"keys": "env:A", "ca": "ca.pem", "token": "env:T"}`,
		[]string{"control.ca: has no effect without", "control.keys: has no effect without", "control.token: has no effect without"}},
	{"a seal without a cache", `{"url": "https://a/", "keys": "env:A", "seal": "env:S"}`, []string{"control.seal: has no effect without cache"}},
	{"a bare token", `{"url": "https://a/", "keys": "env:A", "token": "t0ken"}`, []string{"control.token: must begin with file:, env: or inline:"}},
	{"an inline token", `{"url": "https://a/", "keys": "env:A", "token": "inline:t0ken"}`, []string{"warning: control.token: an inline secret"}},
	{"an inline seal", `{"url": "https://a/", "keys": "env:A", "cache": "c", "seal": "inline:s"}`, []string{"warning: control.seal: an inline secret"}},
}

func TestControlRules(t *testing.T) {
	for _, row := range controlRules {
		t.Run(row.name, func(t *testing.T) {
			_, problems := Decode(withKey(t, `{"control": `+row.control+`}`))
			sameProblems(t, problems, row.want)
		})
	}
}

// Each row is the only entry of keys; control.keys is set.
var remoteKeyRules = []struct {
	name string
	key  string
	want []string
}{
	{"a ring", `{"name": "a", "ring": "https://k.example/ring", "not_before": "2030-01-31T12:00:00Z", "refresh": "10s"}`, nil},
	{"a key set", `{"name": "a", "jwks": "https://k.example/set", "algs": "ES256", "ca": "ca.pem", "refresh": "24h"}`, nil},
	{"a ring over plain http", `{"name": "a", "ring": "http://k.example/ring"}`, []string{"keys[0].ring: must be a URL such as https://"}},
	{"a ring from a file", `{"name": "a", "ring": "file:ring"}`, []string{"keys[0].ring: must be a URL such as https://"}},
	{"an empty ring", `{"name": "a", "ring": ""}`, []string{"keys[0].ring: must be a URL such as https://"}},
	{"a ring's ca is control's", `{"name": "a", "ring": "https://k.example/ring", "ca": "ca.pem"}`, []string{"keys[0].ca: stands only beside jwks; set control.ca"}},
	{"a ring's keys say what they are", `{"name": "a", "ring": "https://k.example/ring", "alg": "HS256", "algs": ["ES256"], "kid": "k", "encoding": "raw", "jwe": true}`,
		[]string{"keys[0].alg: is each key's own", "keys[0].algs: is each key's own", "keys[0].encoding: is each key's own", "keys[0].jwe: is each key's own", "keys[0].kid: is each key's own"}},
	{"a key set's URL with a user", `{"name": "a", "jwks": "https://u@k.example/set", "algs": "ES256"}`, []string{"keys[0].jwks: must be a URL such as https://"}},
	{"a file is not refreshed", `{"name": "a", "jwks": "file:set", "algs": "ES256", "ca": "ca.pem", "refresh": "1m"}`,
		[]string{"keys[0].ca: stands only beside a URL", "keys[0].refresh: stands only beside a URL"}},
	{"a refresh too often", `{"name": "a", "jwks": "https://k.example/set", "algs": "ES256", "refresh": "0s"}`, []string{"keys[0].refresh: must be from 1s to 24h"}},
	{"a name with a slash", `{"name": "a/b", "ring": "https://k.example/ring"}`, []string{"keys[0].name: must not contain /"}},
	{"a set and a ring", `{"name": "a", "ring": "https://k.example/ring", "jwks": "https://k.example/set", "algs": "ES256"}`, []string{"keys[0]: must have exactly one of"}},
}

func TestRemoteKeyRules(t *testing.T) {
	for _, row := range remoteKeyRules {
		t.Run(row.name, func(t *testing.T) {
			control := `{"url": "https://a/", "keys": "env:A"}`
			_, problems := Decode(tree(t, `{"keys": [`+row.key+`], "control": `+control+`}`))
			sameProblems(t, problems, row.want)
		})
	}
}

func TestDefaultsOfSources(t *testing.T) {
	p, problems := Decode(tree(t, `{"keys": [{"name": "a", "ring": "https://k.example/ring"}, {"name": "b", "jwks": "https://k.example/set", "algs": ["ES256"]},
		{"name": "c", "ring": "https://k.example/ring", "refresh": "1m"}, {"name": "d", "jwks": "file:set", "algs": ["ES256"]}], "control": {"keys": "env:A", "interval": "7s"}}`))
	sameProblems(t, problems, nil)
	var got []string
	for _, k := range p.Keys {
		got = append(got, k.Remote()+" "+k.Refresh.String())
	}
	want := []string{"https://k.example/ring 7s", "https://k.example/set 1m0s", "https://k.example/ring 1m0s", " 0s"}
	if !reflect.DeepEqual(got, want) || p.Control.Interval != 7*time.Second {
		t.Errorf("got %q every %v, want %q every 7s", got, p.Control.Interval, want)
	}
	_, problems = Decode(tree(t, `{"keys": [{"name": "a", "ring": "https://k.example/ring"}]}`))
	sameProblems(t, problems, []string{"keys[0].ring: needs control.keys"})
}

// What a ring holds is not known in advance: its keys may well open encrypted tokens.
func TestARingMayOpenEncryptedTokens(t *testing.T) {
	for _, doc := range []string{
		`{"format": "jwe", "keys": [{"name": "a", "ring": "https://k.example/ring"}], "control": {"keys": "env:A"}}`,
		`{"routes": [{"format": "any", "keys": "a"}], "keys": [{"name": "a", "ring": "https://k.example/ring"}], "control": {"keys": "env:A"}}`,
	} {
		_, problems := Decode(tree(t, doc))
		sameProblems(t, problems, nil)
	}
	_, problems := Decode(tree(t, `{"format": "jwe", "keys": [{"name": "a", "jwks": "https://k.example/set", "algs": "ES256"}]}`))
	sameProblems(t, problems, []string{"format: accepts encrypted tokens"})
}

func TestDecodeRing(t *testing.T) {
	const one = `{"name": "one", "alg": "HS256", "secret": "inline:secret"}`
	for _, row := range []struct {
		name, doc string
		want      []string
	}{
		{"one key", `{"version": 1, "keys": [` + one + `]}`, nil},
		{"keys of both kinds", `{"version": "9007199254740992", "keys": [` + one + `, {"name": "two", "alg": "ES256", "public_key": "inline:x", "kid": "k", "not_after": "2030-01-31T12:00:00Z"}]}`, nil},
		{"no version", `{"keys": [` + one + `]}`, []string{"version: is missing"}},
		{"version 0", `{"version": 0, "keys": [` + one + `]}`, []string{"version: must be from 1"}},
		{"no keys", `{"version": 1}`, []string{"keys: is missing"}},
		{"a reference", `{"version": 1, "keys": [{"name": "one", "alg": "HS256", "secret": "env:SECRET"}]}`, []string{"keys[0]: must have secret or public_key, written out"}},
		{"a key set", `{"version": 1, "keys": [{"name": "one", "jwks": "inline:{}", "algs": "ES256"}]}`, []string{"keys[0]: must have secret or public_key"}},
		{"a ring", `{"version": 1, "keys": [{"name": "one", "ring": "https://a/"}]}`, []string{"keys[0]: must have secret or public_key"}},
		{"two things", `{"version": 1, "keys": [{"name": "one", "alg": "HS256", "secret": "inline:a", "public_key": "inline:b"}]}`, []string{"keys[0]: must have exactly one"}},
		{"one name twice", `{"version": 1, "keys": [` + one + `, ` + one + `]}`, []string{"keys[1].name: is already the name of keys[0]"}},
		{"an unknown field", `{"version": 1, "keys": [` + one + `], "until": ""}`, []string{"until: unknown key"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring, problems := DecodeRing(tree(t, row.doc))
			sameProblems(t, problems, row.want)
			if Failed(problems) != reflect.DeepEqual(ring, Ring{}) {
				t.Errorf("got ring %+v with problems %q, want one or the other", ring, lines(problems))
			}
		})
	}
}

// FuzzDecodeRing decodes documents. Oracle: what is accepted refers to nothing outside itself.
func FuzzDecodeRing(f *testing.F) {
	f.Add(`{"version": 1, "keys": [{"name": "one", "alg": "HS256", "secret": "inline:secret", "encoding": "raw", "jwe": true}]}`)
	f.Add(`{"version": "2", "keys": [{"name": "one", "alg": "ES256", "public_key": "inline:x", "kid": "k", "not_before": "2030-01-31T12:00:00Z"}]}`)
	for _, row := range append(keyRules, remoteKeyRules...) {
		f.Add(`{"version": 1, "keys": [` + row.key + `]}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		ring, problems := DecodeRing(doc)
		if Failed(problems) {
			if !reflect.DeepEqual(ring, Ring{}) {
				t.Errorf("a refused ring is %+v, want none", ring)
			}
			return
		}
		if ring.Version < 1 || len(ring.Keys) == 0 {
			t.Errorf("got version %d with %d keys, want both", ring.Version, len(ring.Keys))
		}
		names := map[string]bool{}
		for _, k := range ring.Keys {
			if !strings.HasPrefix(k.Secret+k.PublicKey, "inline:") || k.Secret != "" && k.PublicKey != "" || k.JWKS != "" || k.Ring != "" || k.Remote() != "" {
				t.Errorf("got key %+v, want one that is written out", k)
			}
			if k.Alg == "" || k.Name == "" || names[k.Name] || strings.Contains(k.Name, "/") {
				t.Errorf("got key %+v, want an alg and a name of its own", k)
			}
			names[k.Name] = true
		}
	})
}

// FuzzControlTree makes documents and reads them again. Oracle: what is accepted says the same afterwards.
func FuzzControlTree(f *testing.F) {
	f.Add(`{"version": 7, "mode": "log", "rollout": 50, "routes": {"a": "bypass", "b": {"mode": "enforce", "rollout": 0}, "c": {"rollout": 100}},
		"until": "2030-01-31T12:00:00.123456789+02:00", "reason": "incident 12", "by": "ops"}`)
	f.Add(`{"version": "9007199254740992"}`)
	f.Add(`{"version": 1, "routes": {"": "log", "a b": "log", "a.b": {"rollout": "7"}}, "until": "9999-12-31T23:59:59.999999999-23:59"}`)
	f.Add(`{"version": 1, "mode": "bypass", "until": "0000-01-01T00:00:00+23:59"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		c, problems := DecodeControl(doc)
		if Failed(problems) {
			if !reflect.DeepEqual(c, Control{}) {
				t.Errorf("a refused document is %+v, want none", c)
			}
			return
		}
		raw, err := json.Marshal(c.Tree())
		if err != nil {
			t.Fatal(err)
		}
		var carried map[string]any // as it is written to a file and read again
		if err := json.Unmarshal(raw, &carried); err != nil {
			t.Fatal(err)
		}
		for _, tree := range []map[string]any{c.Tree(), carried} {
			again, problems := DecodeControl(tree)
			if Failed(problems) || !again.Same(c) || !c.Same(again) {
				t.Errorf("got %+v with problems %q, want %+v", again, lines(problems), c)
			}
		}
		for _, other := range others(c) {
			if c.Same(other) || other.Same(c) {
				t.Errorf("got %+v the same as %+v, want them told apart", c, other)
			}
		}
		if !c.Until.IsZero() && (!c.At(c.Until).Empty() || c.At(c.Until.Add(-1)).Empty() != c.Empty()) {
			t.Errorf("got %+v in force otherwise than up to its end", c)
		}
	})
}

// others are documents that each differ from c in one thing.
func others(c Control) []Control {
	all := []Control{c, c, c, c, c, c, c}
	all[0].Version++
	all[1].Mode += "x"
	all[2].Rollout++
	all[3].HasRollout = !c.HasRollout
	all[4].Until = c.Until.Add(1)
	all[5].Reason += "x"
	all[6].By += "x"
	more := c
	more.Routes = map[string]Override{"one more": {Mode: Log}}
	changed, renamed := c, c
	changed.Routes, renamed.Routes = map[string]Override{}, map[string]Override{}
	for name, o := range c.Routes {
		more.Routes[name] = o
		renamed.Routes[name+" x"] = o
		o.Rollout++
		changed.Routes[name] = o
	}
	if _, taken := c.Routes["one more"]; !taken {
		all = append(all, more)
	}
	if len(c.Routes) > 0 {
		all = append(all, changed, renamed)
	}
	return all
}
