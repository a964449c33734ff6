package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzDecode decodes JSON documents. Oracle: a policy that is accepted satisfies invariants checked by other,
// slower code; a refused one is empty; problems repeat no reference; decoding again gives the same.
func FuzzDecode(f *testing.F) {
	f.Add(full)
	f.Add(`{}`)
	for _, row := range rules {
		f.Add(`{"keys": [{"name": "account", "alg": "HS256", "secret": "file:/run/secret"}], ` + row.doc[1:])
	}
	for _, row := range keyRules {
		f.Add(`{"keys": [` + row.key + `]}`)
	}
	for _, row := range remoteKeyRules {
		f.Add(`{"keys": [` + row.key + `], "control": {"keys": "env:A"}}`)
	}
	for _, row := range controlRules {
		f.Add(`{"keys": [{"name": "account", "alg": "HS256", "secret": "file:/run/secret"}], "control": ` + row.control + `}`)
	}
	for _, row := range shadows {
		f.Add(`{"keys": [{"name": "a", "alg": "HS256", "secret": "inline:fuzz-test-key", "jwe": "true"}], "routes": [` + row.routes + `]}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		p, problems := Decode(doc)
		again, same := Decode(doc)
		if !reflect.DeepEqual(problems, same) || !reflect.DeepEqual(p, again) {
			t.Fatalf("decoding twice gives\n%q\nand\n%q", lines(problems), lines(same))
		}
		for _, problem := range problems {
			if problem.Text == "" || strings.Contains(problem.Text, "\n") {
				t.Errorf("problem %q, want one line", problem)
			}
		}
		if Failed(problems) {
			if !reflect.DeepEqual(p, Policy{}) {
				t.Errorf("a refused policy is %+v, want none", p)
			}
			return
		}
		invariants(t, p)
	})
}

// invariants checks what packages that use a policy rely on.
func invariants(t *testing.T, p Policy) {
	names := map[string]bool{}
	for _, k := range p.Keys {
		if k.Name == "" || names[k.Name] {
			t.Errorf("key name %q is empty or not unique", k.Name)
		}
		names[k.Name] = true
		kinds := fmt.Sprint(k.Secret != "", k.PublicKey != "", k.JWKS != "", k.Ring != "")
		switch {
		case kinds == "true false false false" && k.Alg == "HS256" && k.Encoding != "" && k.Algs == nil:
		case kinds == "false true false false" && strings.Contains("RS256 PS256 ES256", k.Alg) && k.Alg != "" && !k.JWE && k.Algs == nil:
		case kinds == "false false true false" && k.Alg == "" && len(k.Algs) > 0 && !k.JWE && k.Kid == "":
		case kinds == "false false false true" && k.Alg == "" && k.Algs == nil && !k.JWE && k.Kid == "" && k.Encoding == "" && len(p.Control.Keys) > 0:
		default:
			t.Errorf("key %+v is none of the four kinds", k)
		}
		if remote := k.Remote(); remote != "" && (!strings.HasPrefix(remote, "https://") || k.Refresh < time.Second) || remote == "" && k.Refresh != 0 {
			t.Errorf("key %+v: its URL or interval is out of bounds", k)
		}
	}
	if len(p.Keys) == 0 || p.Token.Header == "" || p.Name == "" {
		t.Errorf("policy %+v lacks keys, token header or name", p)
	}
	if p.Token.MaxBytes < 512 || p.Token.MaxBytes > 65536 || p.Token.Leeway < 0 || p.Token.Leeway > 5*time.Minute {
		t.Errorf("token %+v is out of bounds", p.Token)
	}
	if c := p.Control; c.Interval < time.Second || c.URL != "" && (!strings.HasPrefix(c.URL, "https://") || len(c.Keys) == 0) {
		t.Errorf("control %+v is out of bounds", c)
	}
	if p.Respond.Status < 400 || p.Respond.Status > 499 || strings.ContainsAny(p.Respond.ContentType, "\r\n") {
		t.Errorf("respond %+v is out of bounds", p.Respond)
	}
	sound(t, "default", p.Default, p)
	routes := map[string]bool{}
	for _, r := range p.Routes {
		if r.Name == "" || routes[r.Name] {
			t.Errorf("route name %q is empty or not unique", r.Name)
		}
		routes[r.Name] = true
		sound(t, r.Name, r.Rule, p)
		for _, path := range r.Paths {
			if !strings.HasPrefix(path, "/") || strings.Contains(strings.TrimSuffix(path, "/**"), "*") {
				t.Errorf("route %q: path %q has no meaning", r.Name, path)
			}
		}
	}
	if len(p.Routes) <= 6 {
		hosts, methods, paths := sampleSpace(p)
		if got := slowShadowed(p.Routes, hosts, methods, paths); !p.Targets.FoldCase && got != nil {
			t.Errorf("routes %v can never match, want all to match", got)
		}
	}
}

// sound checks one rule.
func sound(t *testing.T, name string, r Rule, p Policy) {
	if !known(r.Mode) || r.Rollout < 0 || r.Rollout > 100 || r.AllowIssuers != nil && len(r.AllowIssuers) == 0 {
		t.Errorf("rule %q: %+v is out of bounds", name, r)
	}
	usable := r.Format == JWS || r.Exempt
	for _, k := range p.Keys {
		usable = usable || (k.JWE || k.Ring != "") && (r.Keys == nil || contains(r.Keys, k.Name))
	}
	if !usable {
		t.Errorf("rule %q: format %s, but no key opens it", name, r.Format)
	}
	for _, key := range r.Keys {
		found := false
		for _, k := range p.Keys {
			found = found || k.Name == key
		}
		if !found {
			t.Errorf("rule %q: key %q does not exist", name, key)
		}
	}
	for _, s := range r.Binding.From {
		if s.Name == "" || s.Kind == "header" && strings.EqualFold(s.Name, p.Token.Header) {
			t.Errorf("rule %q: source %+v cannot be bound", name, s)
		}
	}
}

// sampleSpace is, for every pattern of p, a value it matches and one that nothing names.
func sampleSpace(p Policy) (hosts, methods, paths []string) {
	hosts, methods, paths = []string{"other-of-the-sample"}, []string{"OTHER-OF-THE-SAMPLE", "HEAD"}, []string{"/", "/other-of-the-sample"}
	for _, r := range p.Routes {
		hosts = append(hosts, r.Hosts...)
		methods = append(methods, r.Methods...)
		for _, path := range r.Paths {
			base := strings.TrimSuffix(path, "/**")
			paths = append(paths, base, base+"/other-of-the-sample")
		}
	}
	return hosts, methods, paths
}

// FuzzControl decodes JSON documents as changes and as control documents. Oracle: what is accepted is the same
// after it was written as a tree and read again, and never has an end without an override.
func FuzzControl(f *testing.F) {
	f.Add(`{"mode": "log", "rollout": 25, "routes": {"a": "bypass", "b": {"rollout": 0}}, "for": "15m", "reason": "a", "by": "b"}`)
	f.Add(`{"version": 3, "mode": "enforce", "until": "2030-01-31T12:00:00.5+02:00"}`)
	f.Add(`{"version": 1, "mode": "log", "until": "9999-12-31T23:59:59-23:59"}`)
	f.Add(`{"version": 1, "mode": "log", "until": "0000-01-01T00:00:00+23:59"}`)
	f.Add(`{"version": 9007199254740992, "routes": {"a": {}}, "until": ""}`)
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		change, problems := DecodeChange(doc, now)
		if Failed(problems) && !reflect.DeepEqual(change, Control{}) {
			t.Errorf("a refused change is %+v, want none", change)
		}
		if change.Empty() && !change.Until.IsZero() || change.Version != 0 {
			t.Errorf("change %+v has the end of nothing, or a version", change)
		}
		change.Version = 1
		control, problems := DecodeControl(doc)
		if Failed(problems) {
			control = change
		}
		for _, c := range []Control{change, control} {
			again, problems := DecodeControl(c.Tree())
			if Failed(problems) || !again.Same(c) {
				t.Errorf("%+v is %+v after it was written and read, with problems %q; want the same and none", c, again, lines(problems))
			}
		}
	})
}
