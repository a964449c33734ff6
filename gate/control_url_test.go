package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// urlFleet is a fleet whose gate polls /control every five seconds. more is added to its policy's control.
func urlFleet(t testing.TB, more tree) *fleet {
	t.Helper()
	control := tree{"url": "{plane}/control", "keys": "env:CONTROL_KEY", "ca": "ca.pem"}
	for k, v := range more {
		control[k] = v
	}
	policy := tree{"control": control}
	for k, v := range controlled {
		policy[k] = v
	}
	return newFleet(t, policy)
}

func bypass(minutes int) tree {
	return tree{"mode": "bypass", "until": noon.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)}
}

func with2(a, b tree) tree {
	both := tree{}
	for _, one := range []tree{a, b} {
		for k, v := range one {
			both[k] = v
		}
	}
	return both
}

// What is wrong with a document changes nothing but the status, and is told once.
func TestRemoteDocumentsThatAreRefused(t *testing.T) {
	f := urlFleet(t, nil)
	p := f.plane
	f.start(t)
	p.put("/control", p.control(t, 5, tree{"mode": "log"}))
	f.poll()
	f.wantEvents(t, "a good one", "control_set remote 5")
	foreign, _ := signingKey(t)
	sign := func(alg string, key any, header, payload string) string {
		compact, err := mint.SignRaw(alg, key, header, payload)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	payload := fmt.Sprintf(`{"aud":"edge","iat":%d,"version":6,"mode":"bypass","until":"2030-01-31T13:00:00Z"}`, noon.Unix())
	header := `{"alg":"ES256","typ":"approov-control+jwt"}`
	untrusted := "the envelope cannot be trusted: "
	for _, row := range []struct{ name, text, err string }{
		{"signed by another key", envelope(t, foreign, jose.ControlType, with2(bypass(60), tree{"version": 6})), untrusted + "signature_invalid"},
		{"HS256 under the public key's text", sign("HS256", []byte(p.public), `{"alg":"HS256","typ":"approov-control+jwt"}`, payload), untrusted + "algorithm_refused"},
		{"HS256 under it, called ES256", sign("HS256", []byte(p.public), header, payload), untrusted + "signature_invalid"},
		{"alg none", cutSignature(sign("HS256", []byte("x"), `{"alg":"none","typ":"approov-control+jwt"}`, payload)), untrusted + "algorithm_refused"},
		{"no signature", cutSignature(sign("ES256", p.key, header, payload)), untrusted + "signature_invalid"},
		{"a ring in its place", p.ring(t, 6, member("a", nil)), untrusted + "algorithm_refused"},
		{"for another gate", p.control(t, 6, with2(bypass(60), tree{"aud": "edge2"})), "aud: the document is for other gates; this one is edge"},
		{"for other gates", p.control(t, 6, with2(bypass(60), tree{"aud": []any{"a", "b"}})), "aud: the document is for other gates"},
		{"an older version", p.control(t, 4, bypass(60)), "version: 4 is not higher than 5"},
		{"the same version with other content", p.control(t, 5, bypass(60)), "version: 5 is not higher than 5"},
		{"without an end", p.control(t, 6, tree{"mode": "bypass", "until": ""}), "until: a remote override must say when it ends"},
		{"issued in six minutes", p.control(t, 6, with2(bypass(60), tree{"iat": noon.Unix() + 360})), "iat: "},
		{"an unknown member", p.control(t, 6, with2(bypass(60), tree{"modes": "log"})), "the control document is not valid: modes: unknown key"},
		{"garbage", "garbage", untrusted + "malformed"},
		{"nothing", "", untrusted + "malformed"},
		{"a page of HTML", "<!doctype html><title>Sign in</title>", untrusted + "malformed"},
		{"oversized", p.control(t, 6, with2(bypass(60), tree{"reason": strings.Repeat("x", 70000)})), "the document has more than 65536 bytes"},
	} {
		before := f.source(t, "control.url")
		p.put("/control", row.text)
		f.poll()
		f.poll()
		s := f.source(t, "control.url")
		if !strings.HasPrefix(s.Failure, row.err) || s.Tries != before.Tries+2 || s.Fails != before.Fails+2 {
			t.Errorf("%s: got %+v, want failure %q, counted twice", row.name, s, row.err)
		}
		if got := modes(t, f.g); got != "log log log" || f.g.Control(gate.Remote).Version != 5 {
			t.Errorf("%s: got %s under version %d, want what was in force", row.name, got, f.g.Control(gate.Remote).Version)
		}
		f.wantEvents(t, row.name, "source_failing control.url: "+row.err)
		p.put("/control", p.control(t, 5, tree{"mode": "log"}))
		f.poll()
		f.wantEvents(t, row.name+", then the good one again", "source_recovered control.url")
	}
}

func cutSignature(compact string) string { return compact[:strings.LastIndexByte(compact, '.')+1] }

func TestRemoteDocumentsThatAreTaken(t *testing.T) {
	for _, row := range []struct {
		name    string
		members tree
		modes   string
		event   string
	}{
		{"a bypass", bypass(60), "bypass bypass bypass", "control_set remote 6"},
		{"one of several gates", tree{"mode": "log", "aud": []any{"other", "edge"}}, "log log log", "control_set remote 6"},
		{"a route", tree{"routes": tree{"pay": "log"}}, "log log enforce", "control_set remote 6"},
		{"a route that other gates have", tree{"routes": tree{"pay": "log", "elsewhere": tree{"mode": "log", "rollout": 10}, "else where": "log"}}, "log log enforce",
			`control_set remote 6: routes.elsewhere: the policy has no route of this name; use one of feed, pay; routes["else where"]: the policy has no route`},
		{"one that has ended, for its version's sake", bypass(0), "enforce log enforce", "control_cleared remote 6: until: has passed"},
		{"an empty one, for the same", tree{"until": ""}, "enforce log enforce", "control_cleared remote 6"},
		{"issued in five minutes", with2(bypass(60), tree{"iat": noon.Unix() + 300}), "bypass bypass bypass", "control_set remote 6"},
		{"issued years ago", with2(bypass(60), tree{"iat": 1}), "bypass bypass bypass", "control_set remote 6"},
	} {
		f := urlFleet(t, nil)
		f.start(t)
		f.plane.put("/control", " "+f.plane.control(t, 6, row.members)+"\n")
		f.poll()
		if s := f.source(t, "control.url"); s.Failure != "" || s.Tries != 1 || s.Fails != 0 || !s.Good.Equal(noon) || !s.Tried.Equal(noon) || s.Kept {
			t.Errorf("%s: got %+v, want one good attempt at noon", row.name, s)
		}
		if got := modes(t, f.g); got != row.modes {
			t.Errorf("%s: got %s, want %s", row.name, got, row.modes)
		}
		f.wantEvents(t, row.name, row.event)
		f.poll() // signed again, it is the same document
		f.plane.put("/control", f.plane.control(t, 6, row.members))
		f.poll()
		f.wantEvents(t, row.name+", seen again")
		f.plane.put("/control", f.plane.control(t, 5, bypass(60)))
		f.poll()
		f.wantEvents(t, row.name+", then an older one", "source_failing control.url: version: 5 is not higher than 6")
	}
}

// A bypass whose source is gone stays to its end, and not a moment longer.
func TestABypassEndsWhileItsSourceIsDown(t *testing.T) {
	f := urlFleet(t, nil)
	f.start(t)
	f.plane.put("/control", f.plane.control(t, 1, bypass(15)))
	f.poll()
	f.wantEvents(t, "begun", "control_set remote 1")
	f.plane.Close()
	for _, step := range []struct {
		after  time.Duration
		modes  string
		events []string
	}{
		{time.Minute, "bypass bypass bypass", []string{"source_failing control.url: no answer"}},
		{15*time.Minute - 1, "bypass bypass bypass", nil},
		{15 * time.Minute, "enforce log enforce", []string{"control_ended remote 1"}},
		{16 * time.Minute, "enforce log enforce", nil},
		{time.Minute, "bypass bypass bypass", []string{"control_set remote 1: until: lies ahead again, because the clock was set back"}},
		{366 * 24 * time.Hour, "enforce log enforce", []string{"control_ended remote 1"}},
	} {
		f.after(step.after)
		if got := modes(t, f.g); got != step.modes { // before anything has looked at the clock
			t.Errorf("%v after noon: got %s, want %s", step.after, got, step.modes)
		}
		f.poll()
		f.g.Refresh()
		if got := modes(t, f.g); got != step.modes {
			t.Errorf("%v after noon, looked at: got %s, want %s", step.after, got, step.modes)
		}
		f.wantEvents(t, step.after.String(), step.events...)
	}
}

func TestLocalControlWinsOverRemote(t *testing.T) {
	f := urlFleet(t, nil)
	f.start(t)
	f.plane.put("/control", f.plane.control(t, 7, tree{"mode": "log", "until": noon.Add(2 * time.Hour).Format(time.RFC3339)}))
	f.poll()
	says := func() string {
		all := ""
		for _, r := range f.g.Status().Routes {
			all += r.Says + " "
		}
		return all
	}
	for _, step := range []struct {
		name        string
		do          func()
		modes, says string
	}{
		{"remote alone", func() {}, "log log log", "remote policy remote "},
		{"local for one route", func() {
			c := config.Control{Version: 1, Routes: map[string]config.Override{"feed": {Mode: config.Bypass}}, Until: noon.Add(time.Hour)}
			f.g.SetControl(gate.Local, c)
		}, "enforce bypass enforce", "policy local policy "},
		{"a remote change under it", func() { f.plane.put("/control", f.plane.control(t, 8, bypass(120))); f.poll() }, "enforce bypass enforce", "policy local policy "},
		{"resumed", func() { f.g.SetControl(gate.Local, config.Control{Version: 2}) }, "bypass bypass bypass", "remote remote remote "},
		{"remote resumed", func() { f.plane.put("/control", f.plane.control(t, 9, tree{"until": ""})); f.poll() }, "enforce log enforce", "policy policy policy "},
	} {
		step.do()
		if got := modes(t, f.g); got != step.modes || says() != step.says {
			t.Errorf("%s: got %s as said by %s, want %s by %s", step.name, got, says(), step.modes, step.says)
		}
	}
}

func TestTheBearerToken(t *testing.T) {
	f := urlFleet(t, tree{"token": "env:BEARER"})
	seen := ""
	f.plane.show("/control", page{answer: func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, seen)
	}})
	f.start(t)
	f.poll()
	if seen != "Bearer TEST-bearer-token-never-use" {
		t.Errorf("got Authorization %q, want the token without its line break", seen)
	}
	for _, row := range []struct{ name, token, err string }{
		{"two words", "two words", "the bearer token must be one word on one line"},
		{"two lines", "two\r\nlines", "the bearer token must be one word on one line"},
		{"nothing but a line break", "\n", "the bearer token must be one word on one line"},
		{"a control character", "a\x00b", "the bearer token must be one word on one line"},
		{"a new one", "another", "the server answers 401; is the bearer token right?"},
	} {
		seen = ""
		f.change(func(d *desk) { d.secrets["env:BEARER"] = row.token })
		f.poll()
		if got := f.source(t, "control.url").Failure; !strings.HasPrefix(got, row.err) || strings.Contains(got, row.token) || (seen != "") != (row.token == "another") {
			t.Errorf("%s: got failure %q with %q sent, want %q", row.name, got, seen, row.err)
		}
	}
	f.change(func(d *desk) { delete(d.secrets, "env:BEARER") })
	f.poll()
	if got := f.source(t, "control.url").Failure; !strings.HasPrefix(got, "the bearer token: nothing is there") {
		t.Errorf("not there: got failure %q, want one that names the token", got)
	}
}

func TestProblemsOfASourceNameTheirField(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(f *fleet)
		path  string
	}{
		{"no authorities", func(f *fleet) { delete(f.secrets, "file:ca.pem") }, "control.ca"},
		{"authorities in another form", func(f *fleet) { f.secrets["file:ca.pem"] = "garbage" }, "control.ca"},
		{"no signing key", func(f *fleet) { delete(f.secrets, "env:CONTROL_KEY") }, "control.keys[0]"},
		{"a signing key in another form", func(f *fleet) { f.secrets["env:CONTROL_KEY"] = "garbage" }, "control.keys[0]"},
		{"no seal", func(f *fleet) { delete(f.secrets, "env:SEAL") }, "control.seal"},
		{"a weak seal", func(f *fleet) { f.secrets["env:SEAL"] = "c2hvcnQ=" }, "control.seal"},
		{"authorities of a key set", func(f *fleet) {
			f.policy["keys"] = append(f.policy["keys"].([]any), tree{"name": "set", "jwks": f.plane.URL + "/jwks", "algs": "ES256", "ca": "set.pem"})
		}, "keys[1].ca"},
		{"a URL that is none", func(f *fleet) { f.policy["control"].(tree)["url"] = "https://a:b/" }, "control.url"},
	} {
		f := urlFleet(t, tree{"cache": "{dir}", "seal": "env:SEAL"})
		row.spoil(f)
		g, problems := gate.New(f.options())
		if g != nil || len(problems) != 1 || problems[0].Path != row.path {
			t.Errorf("%s: got gate %v and problems %v, want none and one at %s", row.name, g != nil, problems, row.path)
		}
	}
}

// A document that was judged good is judged again when what it is judged by changes.
func TestOtherSigningKeysAskForTheDocumentAgain(t *testing.T) {
	f := urlFleet(t, nil)
	f.start(t)
	f.plane.show("/control", page{text: f.plane.control(t, 1, bypass(60)), tag: `"1"`})
	f.poll()
	_, other := signingKey(t)
	f.change(func(d *desk) { d.secrets["env:CONTROL_KEY"] = other })
	f.g.Refresh()
	if !f.g.Due() {
		t.Error("after other signing keys: got not due, want the source asked at once")
	}
	f.g.Poll(context.Background())
	if got := f.source(t, "control.url").Failure; !strings.Contains(got, "signature_invalid") {
		t.Errorf("got failure %q, want the document judged by the new keys", got)
	}
}
