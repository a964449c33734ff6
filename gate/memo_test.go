package gate_test

import (
	"maps"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sort"
	"strings"
	"sync/atomic"
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
	told, toldShort    teller       // what a host of each would have written lines about
	short              http.Handler // the interpreted gate's
	long               bool         // it did not take the short way
	got                outcome
	passed, turned     int // requests that went the short way
}

func newTwins(t *testing.T, policy tree) *twins {
	t.Helper()
	w := &twins{desk: newDesk(policy), told: teller{}, toldShort: teller{}}
	w.secrets["env:NEXT"] = encoded("next")
	w.plain = w.open(t)
	o := w.options()
	o.CacheAll = true
	o.NewCache = func() engine.Cache { return everydayCache{} }
	o.Quiet = w.toldShort.quiet
	var problems []config.Problem
	if w.interpreted, problems = gate.New(o); w.interpreted == nil {
		t.Fatal(problems)
	}
	w.short = w.interpreted.Shortcut(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.got = outcomeOf(r)
	}), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.long = true
		w.got = w.ask(w.interpreted, w.toldShort, r)
	}))
	return w
}

// teller counts lines as the Traefik plugin does, by route and reason: the first of a second are written.
type teller map[string]*told

type told struct{ second, written, lines, full, skipped int64 }

const toldPerSecond = 3

func (l teller) of(route string, reason engine.Reason) *told {
	kind := route + " " + string(reason)
	if l[kind] == nil {
		l[kind] = &told{}
	}
	return l[kind]
}

func (l teller) quiet(route string, reason engine.Reason) *gate.Quiet {
	a := l.of(route, reason)
	return &gate.Quiet{Second: &a.full, Skipped: &a.skipped}
}

func (l teller) tell(route string, reason engine.Reason, second int64) {
	a := l.of(route, reason)
	if a.second != second {
		a.second, a.written, a.full = second, 0, 0
	}
	if a.written == toldPerSecond {
		atomic.AddInt64(&a.skipped, 1)
		return
	}
	a.lines++
	if a.written++; a.written == toldPerSecond {
		a.full = second
	}
}

// sums are how many lines of each kind were written, and how many were not.
func (l teller) sums() map[string][2]int64 {
	all := map[string][2]int64{}
	for kind, a := range l {
		if a.lines > 0 || a.skipped > 0 {
			all[kind] = [2]int64{a.lines, a.skipped}
		}
	}
	return all
}

// outcome is what becomes of a request: forwarded as it then is, or refused.
type outcome struct {
	forward           bool
	host, target, url string
	header, trailer   http.Header
	status            int
	body              string
}

func outcomeOf(r *http.Request) outcome {
	return outcome{forward: true, host: r.Host, target: r.RequestURI, url: r.URL.String(), header: r.Header, trailer: r.Trailer}
}

func refusalOf(answer *httptest.ResponseRecorder) outcome {
	return outcome{header: answer.Header(), status: answer.Code, body: answer.Body.String()}
}

// ask is the long way.
func (w *twins) ask(g *gate.Gate, l teller, r *http.Request) outcome {
	a := g.Ask(r)
	if a.Action == engine.Forward {
		a.Apply(r)
		return outcomeOf(r)
	}
	l.tell(a.Route, a.Reason, w.clock().Unix())
	answer := httptest.NewRecorder()
	a.Refuse(answer, r)
	return refusalOf(answer)
}

// both asks the two gates, each about a copy of the request, and compares.
func (w *twins) both(t *testing.T, what string, r *http.Request) {
	t.Helper()
	first, second := r.Clone(t.Context()), r.Clone(t.Context())
	want := w.ask(w.plain, w.told, first)
	w.long, w.got = false, outcome{}
	answer := httptest.NewRecorder()
	w.short.ServeHTTP(answer, second)
	switch {
	case w.long:
	case w.got.forward:
		w.passed++
	default:
		w.turned++
		w.got = refusalOf(answer)
	}
	if !reflect.DeepEqual(w.got, want) {
		t.Fatalf("%s %v (long way %v): got %+v, want %+v", what, r.Header, w.long, w.got, want)
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
	for name, row := range map[string]struct {
		requests int
		policy   tree
	}{
		"everything":        {60000, tree{}},
		"devices in part":   {20000, tree{"rollout": 50}},
		"details, no place": {20000, tree{"respond": tree{"details": true, "status": 403}, "routes": []any{}}},
		"a scheme":          {10000, tree{"token": tree{"scheme": "Bearer", "forward": "always"}, "respond": tree{"body": ""}}},
		"a set of formats":  {10000, tree{"format": "any", "token": tree{"max_bytes": 512}, "preflight": "check"}},
	} {
		t.Run(name, func(t *testing.T) {
			seed := time.Now().UnixNano()
			t.Logf("seed %d", seed)
			policy := tree{
				"keys": []any{tree{"name": "account", "alg": "HS256", "jwe": true, "secret": "env:ACCOUNT", "not_after": at(40 * time.Minute)},
					tree{"name": "next", "alg": "HS256", "jwe": true, "secret": "env:NEXT", "not_before": at(-2 * time.Minute)}},
				"routes": []any{
					tree{"name": "pay", "paths": "/pay/**", "methods": "POST", "binding": tree{"from": "header:Authorization"}},
					tree{"name": "chat", "paths": "/chat", "binding": tree{"from": []any{"header:X-Session", "cookie:id"}, "missing_pay": "accept"}},
					tree{"name": "search", "paths": "/search", "binding": tree{"from": "query:session"}},
					tree{"name": "feed", "paths": "/feed", "mode": "log"},
					tree{"name": "open", "paths": "/open", "check": "none"},
					tree{"name": "admin", "hosts": "admin.example.com", "keys": "account"},
					tree{"name": "delete", "methods": "DELETE", "deny_issuers": "someone"},
				},
			}
			maps.Copy(policy, row.policy)
			w := newTwins(t, policy)
			w.wander(t, rand.New(rand.NewSource(seed)), row.requests)
			if got, want := sorted(w.interpreted.Counters()), sorted(w.plain.Counters()); !reflect.DeepEqual(got, want) {
				t.Errorf("counters: got %+v, want %+v", got, want)
			}
			if got, want := w.interpreted.BindingCounts(), w.plain.BindingCounts(); len(got) != len(want) {
				t.Errorf("bindings: got %+v, want %+v", got, want)
			}
			if got, want := w.toldShort.sums(), w.told.sums(); !reflect.DeepEqual(got, want) {
				t.Errorf("lines: got %v, want %v", got, want)
			}
			if w.passed < row.requests/1000 || w.turned < row.requests/400 && name != "devices in part" {
				t.Errorf("got %d requests passed and %d refused on the short way, want many", w.passed, w.turned)
			}
			t.Logf("on the short way %d requests passed and %d were refused", w.passed, w.turned)
		})
	}
}

// wander sends requests, most of them like others, and changes everything now and then.
func (w *twins) wander(t *testing.T, random *rand.Rand, requests int) {
	pick := func(all ...string) string { return all[random.Intn(len(all))] }
	tokens := w.tokens(t)
	about, _ := w.policy["token"].(tree)
	_, scheme := about["scheme"]
	var recent []*http.Request
	for step := range requests {
		switch random.Intn(1500) {
		case 0:
			w.after(time.Duration(random.Intn(80)-5)*time.Minute + time.Duration(random.Intn(1000))*time.Millisecond)
		case 1:
			end := noon.Add(time.Duration(random.Intn(7200_000)) * time.Millisecond)
			c := config.Control{Version: int64(step), Until: end, Override: config.Override{Mode: config.Mode(pick("log", "bypass", "enforce", ""))}}
			w.plain.SetControl(gate.Local, c)
			w.interpreted.SetControl(gate.Local, c)
		case 2:
			w.change(func(d *desk) { d.policy["deny_annotations"] = []any{pick("a", "b", "c")} })
			w.plain.Refresh()
			w.interpreted.Refresh()
		}
		r := anything(random, tokens, scheme)
		if len(recent) < 50 {
			recent = append(recent, r)
		} else if random.Intn(20) == 0 {
			recent[random.Intn(len(recent))] = r
		} else { // one that came before, or nearly that
			again := recent[random.Intn(len(recent))].Clone(t.Context())
			for _, name := range []string{"Authorization", "X-Session", "Approov-Token", "Connection", "Origin", "Access-Control-Request-Method", "Content-Type", "X-Http-Method-Override"} {
				if random.Intn(10) == 0 {
					delete(again.Header, name)
					if values, ok := r.Header[name]; ok {
						again.Header[name] = values
					}
				}
			}
			again.RemoteAddr = pick("192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1")
			r = again
		}
		w.both(t, r.Method+" "+r.Host+r.RequestURI, r)
	}
}

// tokens are some of every kind: genuine ones first.
func (w *twins) tokens(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, key := range []string{"account", "next", "other"} {
		for _, more := range []tree{{"did": "one"}, {"did": "two", "pay": token.Pay([]byte("Bearer x"))}, {"did": ""}, {"did": "three", "exp": noon.Add(20 * time.Minute).Unix()},
			{"did": "four", "pay": token.Pay([]byte("sx"))}, {"did": "fünf", "iss": "someone"}, {"did": "six", "nbf": noon.Add(5 * time.Minute).Unix()},
			{"did": "seven", "exp": noon.Add(-time.Minute).Unix(), "arc": "ARC1"}, {"did": "eight", "exp": "text"}, {"did": "nine", "pay": token.Pay([]byte("x"))}} {
			c := claims()
			c["exp"] = noon.Add(2 * time.Hour).Unix()
			for name, value := range more {
				c[name] = value
			}
			all = append(all, sign(t, key, c))
		}
	}
	return all
}

// spoilt is a token with a fault that Ask must find.
func spoilt(random *rand.Rand, compact string) string {
	parts := strings.Split(compact, ".")
	at := random.Intn(len(compact))
	switch random.Intn(9) {
	case 0:
		return parts[0] + "." + parts[1] + "."
	case 1:
		return parts[0] + "." + parts[1]
	case 2:
		return compact + "."
	case 3:
		return parts[0] + ".." + parts[2]
	case 4:
		return compact[:at]
	case 5:
		return parts[0] + "." + parts[1] + "." + strings.Repeat("A", []int{43, 44, 600, 9000}[random.Intn(4)])
	case 6:
		return []string{"", "NO_NETWORK", "x", "a.b.c", parts[0] + ".e30.AAAA", "eyJhbGciOiJub25lIn0.e30.", compact + " ", " " + compact}[random.Intn(8)]
	case 7: // of another kind: five parts
		return compact + ".AAAA.AAAA"
	}
	const letters = "AQgwBRhx-_.=\n"
	return compact[:at] + string(letters[random.Intn(len(letters))]) + compact[at+1:]
}

// anything is a request of any kind, the everyday ones more often.
func anything(random *rand.Rand, tokens []string, scheme bool) *http.Request {
	pick := func(all ...string) string { return all[random.Intn(len(all))] }
	r := incoming(pick("GET", "GET", "GET", "POST", "HEAD", "DELETE", "OPTIONS"), pick("/pay/1", "/pay/1?q=2", "/chat", "/feed", "/open", "/search?session=x", "/search?session=y",
		"/x", "/x", "/y", "/a/../x", "/%78", "/pay%2f1", "//feed"))
	r.Host = pick("api.example.com", "api.example.com", "api.example.com", "API.example.com", "admin.example.com")
	set := func(name string, share int, values ...string) {
		if random.Intn(share) == 0 {
			r.Header[name] = append(r.Header[name], pick(values...))
		}
	}
	compact := pick(tokens[0], tokens[0], tokens[1], tokens[2], tokens[9], tokens[11], pick(tokens...))
	if random.Intn(4) == 0 {
		compact = spoilt(random, compact)
	}
	if (random.Intn(10) == 0) != scheme {
		compact = pick("Bearer ", "Bearer ", "bearer", "bearer  ") + compact
	}
	if random.Intn(6) > 0 {
		r.Header["Approov-Token"] = []string{compact}
	}
	set("Approov-Token", 40, "second", tokens[0])
	set("Authorization", 2, "Bearer x", "Bearer y")
	set("Authorization", 40, "Bearer x")
	set("X-Session", 2, "s", "t")
	set("Cookie", 2, "id=x", "id=y; a=b")
	set("Connection", 3, "keep-alive", "close", "X-Approov-Verdict", "upgrade")
	set("User-Agent", 2, "a", "b")
	set("Origin", 2, "https://app.example.com")
	set("Access-Control-Request-Method", 2, "POST")
	set("Content-Type", 3, "application/grpc", "application/json", "application/grpc-web+proto")
	set("X-App-"+pick("A", "B", "C", "D"), 2, "1", "2")
	for _, rare := range []string{"X-Http-Method-Override", "X_approov-Verdict", "X-Approov-Reason", "X-Original-Url", "Upgrade", "X_session", "Approov_token", "Trailer", "Http2-Settings"} {
		set(rare, 60, "DELETE", "websocket", "h2c")
	}
	if random.Intn(30) == 0 { // another middleware has changed the URL alone
		r.URL.Path = "/elsewhere"
	}
	if random.Intn(30) == 0 { // net/http keeps announced trailers apart
		r.Trailer = http.Header{pick("X-Approov-Verdict", "X-Check"): nil}
	}
	return r
}

// A host looks after its gate when it goes the long way, so that must be now and then.
func TestTheShortWayIsLeftEverySecond(t *testing.T) {
	w := newTwins(t, nil)
	short := func() bool {
		w.both(t, "genuine", genuine(t, "/"))
		return !w.long
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

// What stands in one header field must not be taken for two.
func TestTheShortWayTellsATokenFromWhatFollows(t *testing.T) {
	w := newTwins(t, tree{"binding": tree{"from": "header:Authorization"}})
	r := genuine(t, "/")
	for range 3 {
		w.both(t, "genuine", r)
	}
	if w.passed != 1 {
		t.Errorf("got %d requests on the short way, want the third", w.passed)
	}
	forged := incoming("GET", "/")
	forged.Header["Approov-Token"] = []string{r.Header.Get("Approov-Token") + "\nAuthorization: " + bearer + "\r"}
	w.both(t, "with the bound header in the token's", forged)
}
