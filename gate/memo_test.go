package gate_test

import (
	"math/rand"
	"net/http"
	"reflect"
	"sort"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/token"
)

// twins are two gates of one policy on one clock, one of them as for an interpreted host.
type twins struct {
	*desk
	plain, interpreted *gate.Gate
	passed             int // requests that went the short way
}

func newTwins(t *testing.T, policy tree) *twins {
	t.Helper()
	w := &twins{desk: newDesk(policy)}
	w.secrets["env:NEXT"] = encoded("next")
	w.plain = w.open(t)
	o := w.options()
	o.CacheAll = true
	o.NewCache = func() engine.Cache { return everydayCache{} }
	var problems []config.Problem
	if w.interpreted, problems = gate.New(o); w.interpreted == nil {
		t.Fatal(problems)
	}
	return w
}

// outcome is what becomes of a request: forwarded as it then is, or refused.
type outcome struct {
	forward           bool
	host, target, url string
	header            http.Header
}

func outcomeOf(r *http.Request) outcome {
	return outcome{true, r.Host, r.RequestURI, r.URL.String(), r.Header}
}

// both asks the two gates, each about a copy of the request, and compares.
func (w *twins) both(t *testing.T, what string, r *http.Request) {
	t.Helper()
	first, second := r.Clone(t.Context()), r.Clone(t.Context())
	var want, got outcome
	if a := w.plain.Ask(first); a.Action == engine.Forward {
		a.Apply(first)
		want = outcomeOf(first)
	}
	if w.interpreted.Pass(second) {
		w.passed++
		got = outcomeOf(second)
	} else if a := w.interpreted.Ask(second); a.Action == engine.Forward {
		a.Apply(second)
		got = outcomeOf(second)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

func sorted(counts []gate.Count) []gate.Count {
	sort.Slice(counts, func(i, j int) bool {
		a, b := counts[i], counts[j]
		return a.Route+string(a.Mode)+string(a.Reason)+string(a.Action) < b.Route+string(b.Mode)+string(b.Reason)+string(b.Action)
	})
	return counts
}

// The short way must lead where the long one does, whatever requests come in whatever order, while clock, control and
// keys change.
func TestTheShortWayLeadsWhereTheLongOneDoes(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	pick := func(all ...string) string { return all[random.Intn(len(all))] }
	w := newTwins(t, tree{
		"keys":    []any{tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT", "not_after": at(40 * time.Minute)}, tree{"name": "next", "alg": "HS256", "secret": "env:NEXT"}},
		"rollout": 50,
		"routes": []any{
			tree{"name": "pay", "paths": "/pay/**", "methods": "POST", "binding": tree{"from": "header:Authorization"}},
			tree{"name": "chat", "paths": "/chat", "binding": tree{"from": []any{"header:X-Session", "cookie:id"}, "missing_pay": "accept"}},
			tree{"name": "feed", "paths": "/feed", "mode": "log"},
			tree{"name": "admin", "hosts": "admin.example.com"},
			tree{"name": "delete", "methods": "DELETE", "deny_issuers": "someone"},
		},
	})
	var tokens []string
	var recent []*http.Request
	for _, key := range []string{"account", "next", "other"} {
		for _, more := range []tree{{"did": "one"}, {"did": "two", "pay": token.Pay([]byte("Bearer x"))}, {"did": ""}, {"did": "three", "exp": noon.Add(20 * time.Minute).Unix()},
			{"did": "four", "pay": token.Pay([]byte("sx"))}, {"did": "fünf", "iss": "someone"}} {
			c := claims()
			c["exp"] = noon.Add(2 * time.Hour).Unix()
			for name, value := range more {
				c[name] = value
			}
			tokens = append(tokens, sign(t, key, c))
		}
	}
	for step := range 60000 {
		switch random.Intn(1500) {
		case 0:
			w.after(time.Duration(random.Intn(80)-5) * time.Minute)
		case 1:
			c := config.Control{Version: int64(step), Until: noon.Add(time.Hour), Override: config.Override{Mode: config.Mode(pick("log", "bypass", "enforce", ""))}}
			w.plain.SetControl(gate.Local, c)
			w.interpreted.SetControl(gate.Local, c)
		case 2:
			w.change(func(d *desk) { d.policy["deny_annotations"] = []any{pick("a", "b", "c")} })
			w.plain.Refresh()
			w.interpreted.Refresh()
		}
		r := incoming(pick("GET", "GET", "GET", "POST", "DELETE", "OPTIONS"), pick("/pay/1", "/pay/1?q=2", "/chat", "/feed", "/x", "/x", "/y", "/a/../x", "/%78", "/pay%2f1", "//feed"))
		r.Host = pick("api.example.com", "api.example.com", "api.example.com", "API.example.com", "admin.example.com")
		set := func(name string, share int, values ...string) {
			if random.Intn(share) == 0 {
				r.Header[name] = append(r.Header[name], pick(values...))
			}
		}
		r.Header["Approov-Token"] = []string{pick(tokens[0], tokens[0], tokens[1], tokens[2], tokens[7], pick(tokens...))}
		set("Approov-Token", 40, "second", tokens[0])
		set("Authorization", 2, "Bearer x", "Bearer y")
		set("Authorization", 40, "Bearer x")
		set("X-Session", 2, "s", "t")
		set("Cookie", 2, "id=x", "id=y; a=b")
		set("Connection", 3, "keep-alive", "close", "X-Approov-Verdict", "upgrade")
		set("User-Agent", 2, "a", "b")
		set("Origin", 2, "https://app.example.com")
		set("Access-Control-Request-Method", 2, "POST")
		set("X-App-"+pick("A", "B", "C", "D"), 2, "1", "2")
		for _, rare := range []string{"X-Http-Method-Override", "X_approov-Verdict", "X-Approov-Reason", "X-Original-Url", "Upgrade", "X_session", "Approov_token", "Trailer", "Http2-Settings"} {
			set(rare, 60, "DELETE", "websocket", "h2c")
		}
		if random.Intn(60) == 0 {
			r.Header["Approov-Token"][0] = pick(" ", "\t") + r.Header["Approov-Token"][0]
		}
		if random.Intn(30) == 0 { // another middleware has changed the URL alone
			r.URL.Path = "/elsewhere"
		}
		if len(recent) < 50 {
			recent = append(recent, r)
		} else if random.Intn(20) == 0 {
			recent[random.Intn(len(recent))] = r
		} else { // one that came before, or nearly that
			again := recent[random.Intn(len(recent))].Clone(t.Context())
			for _, name := range []string{"Authorization", "X-Session", "Approov-Token", "Connection", "Origin", "Access-Control-Request-Method"} {
				if random.Intn(10) == 0 {
					again.Header[name] = r.Header[name]
				}
			}
			again.RemoteAddr = pick("192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1")
			r = again
		}
		w.both(t, r.Method+" "+r.Host+r.RequestURI, r)
	}
	if got, want := sorted(w.interpreted.Counters()), sorted(w.plain.Counters()); !reflect.DeepEqual(got, want) {
		t.Errorf("counters: got %+v, want %+v", got, want)
	}
	if w.passed < 300 {
		t.Errorf("got %d requests on the short way, want many", w.passed)
	}
	t.Logf("%d requests went the short way", w.passed)
}

// A host looks after its gate when it goes the long way, so that must be now and then.
func TestTheShortWayIsLeftEverySecond(t *testing.T) {
	w := newTwins(t, nil)
	short := func() bool {
		r := genuine(t, "/")
		if w.interpreted.Pass(r) {
			return true
		}
		w.interpreted.Ask(r)
		return false
	}
	short()
	short()
	for second := range 3 {
		w.after(time.Duration(second) * time.Second)
		first := short()
		if again := short(); (first && second > 0) || !again {
			t.Errorf("second %d: got %v, then %v; want the long way once, then the short one", second, first, again)
		}
	}
}

// What one route binds tokens to, clients send everywhere.
func TestTheShortWayWithWhatOtherRoutesBind(t *testing.T) {
	w := newTwins(t, tree{"routes": []any{tree{"name": "pay", "paths": "/pay", "binding": tree{"from": "header:Authorization"}}}})
	for range 3 {
		w.both(t, "another route", genuine(t, "/feed", "Authorization", "Bearer x"))
	}
	if w.passed != 1 {
		t.Errorf("got %d requests on the short way, want the third", w.passed)
	}
}

// A token that is not valid yet, because the clock was set back, must not pass because it did before.
func TestTheShortWayWhenTheClockIsSetBack(t *testing.T) {
	w := newTwins(t, nil)
	c := claims()
	c["did"], c["nbf"] = "one", noon.Unix()
	early := incoming("GET", "/", "Approov-Token", sign(t, "account", c))
	for range 3 {
		w.both(t, "valid", early)
	}
	if w.passed != 1 {
		t.Errorf("got %d requests on the short way, want 1", w.passed)
	}
	w.after(-time.Minute)
	w.both(t, "another", genuine(t, "/another"))
	w.both(t, "not valid yet", early)
}

// What a gate remembers is bounded, whatever is sent.
func TestAMemoIsBounded(t *testing.T) {
	w := newTwins(t, nil)
	for i := range 20000 {
		r := genuine(t, "/"+string(rune('a'+i%26))+time.Duration(i).String(), "X-"+time.Duration(i).String(), "1")
		w.interpreted.Ask(r)
	}
	if requests, names := w.interpreted.Remembered(); requests > 8192 || names > 512 {
		t.Errorf("got %d requests and %d names remembered, want at most 8192 and 512", requests, names)
	}
}
