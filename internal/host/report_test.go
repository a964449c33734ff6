package host

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

var update = flag.Bool("update", false, "write the golden files of testdata again")

// watched is a gate with a reporter, whose clock the test moves.
type watched struct {
	t    testing.TB
	gate *gate.Gate
	*Reporter
	mu   sync.Mutex // guards the fields below
	time time.Time
	tree map[string]any
}

var reportKey = []byte("TEST KEY of the report, never use: sixty-four bytes of an account")

// newWatched makes a gate in mode log with a bound route, an exempt one and what no route matches.
func newWatched(t testing.TB) *watched {
	t.Helper()
	w := &watched{t: t, time: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC), tree: map[string]any{
		"name": "edge", "mode": "log", "report": map[string]any{"app_version": "X-App-Version"},
		"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString(reportKey)}},
		"routes": []any{
			map[string]any{"name": "transfers", "paths": []any{"/transfers"}, "binding": map[string]any{"from": []any{"header:Authorization"}, "missing_pay": "accept"}},
			map[string]any{"name": "health", "paths": []any{"/healthz"}, "check": "none"},
		},
	}}
	g, problems := gate.New(gate.Options{Now: w.clock, Load: func() (config.Policy, []config.Problem) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return config.Decode(w.tree)
	}})
	if g == nil {
		t.Fatal(problems)
	}
	w.gate, w.Reporter = g, NewReporter(g, w.clock)
	return w
}

func (w *watched) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *watched) after(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// mint makes a token that expires in an hour; bind is what it is bound to, if anything.
func (w *watched) mint(bind string) string {
	w.t.Helper()
	claims := map[string]any{"exp": w.clock().Add(time.Hour).Unix()}
	if bind != "" {
		claims["pay"] = token.Pay([]byte(bind))
	}
	minted, err := mint.Sign("HS256", "", reportKey, claims)
	if err != nil {
		w.t.Fatal(err)
	}
	return minted
}

// ask has the gate decide n times on the same request. Headers are pairs of name and value.
func (w *watched) ask(n int, target string, headers ...string) gate.Answer {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	var a gate.Answer
	for range n {
		a = w.gate.Ask(r)
		w.Note(&a, r)
	}
	return a
}

const (
	app   = "okhttp/4.12.0"
	login = "Bearer alice"
)

// app sends n genuine requests to every checked route.
func (w *watched) genuine(n int) {
	w.ask(n, "/transfers", "User-Agent", app, "Authorization", login, "Approov-Token", w.mint(login))
	w.ask(n, "/shapes", "User-Agent", app, "Approov-Token", w.mint(login))
}

func TestReportSaysYesOnlyWhenNothingIsInTheWay(t *testing.T) {
	for _, row := range []struct {
		name   string
		seen   func(w *watched)
		within time.Duration // of the watch
		want   string        // part of what is in the way; empty: yes
	}{
		{"a day of genuine requests", func(w *watched) {}, 25 * time.Hour, ""},
		{"an hour of them", func(w *watched) {}, time.Hour, "less than 24 hours"},
		{"attackers' tools without tokens are no reason to wait", func(w *watched) { w.ask(50000, "/shapes", "User-Agent", "curl/8.0") }, 25 * time.Hour, ""},
		{"nor are a few forged tokens", func(w *watched) { w.ask(10, "/shapes", "Approov-Token", w.mint("")+"x") }, 25 * time.Hour, ""},
		{"old versions of the app are", func(w *watched) { w.ask(300, "/shapes", "User-Agent", "okhttp/3.0", "X-App-Version", "2.9.1") }, 25 * time.Hour, "okhttp 2.9.1"},
		{"and so are apps that could not fetch a token", func(w *watched) { w.ask(300, "/shapes", "User-Agent", app, "Approov-Token", "NO_NETWORK") }, 25 * time.Hour, "look like the app"},
		{"many wrong signatures", func(w *watched) { w.ask(500, "/shapes", "Approov-Token", strings.TrimRight(w.mint(""), "AQgw")+"A") }, 25 * time.Hour, "wrong signature"},
		{"stolen or stale bindings", func(w *watched) {
			w.ask(20, "/transfers", "Authorization", "Bearer bob", "Approov-Token", w.mint(login))
		}, 25 * time.Hour, "fail with binding_mismatch"},
		{"tokens that are not bound", func(w *watched) { w.ask(20, "/transfers", "Authorization", login, "Approov-Token", w.mint("")) }, 25 * time.Hour, "without being bound"},
		{"a bypass", func(w *watched) {
			c := config.Control{Version: 1, Override: config.Override{Mode: config.Bypass}, Until: w.clock().Add(100 * time.Hour)}
			if problems := w.gate.SetControl(gate.Local, c); config.Failed(problems) {
				w.t.Fatal(problems)
			}
		}, 25 * time.Hour, "is in mode bypass"},
		{"files that broke", func(w *watched) {
			w.mu.Lock()
			w.tree = map[string]any{"mode": "open"}
			w.mu.Unlock()
			w.gate.Refresh()
		}, 25 * time.Hour, "cannot be read again"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWatched(t)
			w.genuine(2000)
			row.seen(w)
			w.after(row.within)
			got := w.Reporter.Report(0)
			text := got.Text()
			if row.want == "" && (!got.Ready || !strings.Contains(text, "YES.")) {
				t.Errorf("got %v in the way, want yes\n%s", got.InTheWay, text)
			}
			if row.want != "" && (got.Ready || !slices.ContainsFunc(got.InTheWay, func(o Obstacle) bool { return strings.Contains(o.What, row.want) && o.Do != "" })) {
				t.Errorf("got %v in the way, want %q", got.InTheWay, row.want)
			}
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 110 {
					t.Errorf("a line has %d columns, want at most 110: %s", n, line)
				}
			}
		})
	}
}

// A slow and simple tally must come to the same figures, whatever is asked and whenever.
func TestReportCountsWhatHappens(t *testing.T) {
	const asked = 3000
	random := rand.New(rand.NewSource(1))
	w := newWatched(t)
	good, bound := w.mint(""), w.mint(login)
	type event struct {
		at            time.Time
		route, reason string
	}
	var all []event
	for range asked {
		if random.Intn(20) == 0 {
			w.after(markEvery)
			w.remember()
			w.after(time.Second)
		}
		target := []string{"/transfers", "/shapes", "/healthz"}[random.Intn(3)]
		value := []string{"", good, bound, good + "x", "NO_NETWORK", "a.b"}[random.Intn(6)]
		headers := []string{"Approov-Token", value}
		if random.Intn(2) == 0 {
			headers = append(headers, "Authorization", login)
		}
		if value == "" {
			headers = headers[2:]
		}
		a := w.ask(1, target, headers...)
		all = append(all, event{w.clock(), a.Route, string(a.Reason)})
	}
	for _, hours := range []float64{0, 0.5, 2, 7, 1000} {
		got := w.Reporter.Report(hours)
		if hours > 0 && hours < 24 {
			if span := got.To.Sub(got.From).Hours(); span < hours || span > hours+2*markEvery.Hours() {
				t.Errorf("%g hours: got a report of %g", hours, span)
			}
		}
		for _, route := range got.Routes {
			want := map[string]int64{}
			for _, e := range all {
				if e.route == route.Route && (e.at.After(got.From) || got.From.Equal(w.start.at)) {
					want[e.reason]++
				}
			}
			sum := route.Unchecked + route.Genuine
			for _, reason := range route.Reasons {
				sum += reason.N
				if reason.N != want[string(reason.Reason)] {
					t.Errorf("%g hours, route %q: got %d times %s, want %d", hours, route.Route, reason.N, reason.Reason, want[string(reason.Reason)])
				}
			}
			if route.Genuine != want["ok"] || route.Unchecked != want["exempt"] {
				t.Errorf("%g hours, route %q: got %d genuine and %d unchecked, want %d and %d", hours, route.Route, route.Genuine, route.Unchecked, want["ok"], want["exempt"])
			}
			total := int64(0)
			for _, n := range want {
				total += n
			}
			if sum != total {
				t.Errorf("%g hours, route %q: got %d requests, want %d", hours, route.Route, sum, total)
			}
		}
	}
}

// A flood of names must neither hide the clients that are there nor take memory.
func TestReportOutlivesAFloodOfNames(t *testing.T) {
	w := newWatched(t)
	w.genuine(200)
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := range 5000 {
				w.ask(1, "/shapes", "User-Agent", fmt.Sprintf("n%dx%d/1", part, i), "X-App-Version", fmt.Sprintf("\x1b[2J<b>%d", i))
				if i%10 == 0 {
					w.ask(1, "/shapes", "User-Agent", app, "X-App-Version", "2.9.1")
				}
			}
		})
	}
	all.Wait()
	if n := len(w.hours[0].without); n > mostKept {
		t.Errorf("got %d clients in the table, want at most %d", n, mostKept)
	}
	got := w.Reporter.Report(0)
	if c := got.Clients[0]; c.Family != "okhttp" || c.AppVersion != "2.9.1" || c.Looks != "app" || c.N < 2000 {
		t.Errorf("got %+v first, want okhttp 2.9.1 at least 2000 times, which looks like the app", c)
	}
	for _, c := range got.Clients {
		if strings.ContainsAny(c.AppVersion, "\x1b<>") {
			t.Errorf("got the version %q, want plain letters", c.AppVersion)
		}
	}
}

func TestReportKeepsAWeek(t *testing.T) {
	w := newWatched(t)
	for range 9 * 24 * 6 {
		w.after(markEvery)
		w.ask(1, "/shapes", "User-Agent", app)
		w.remember()
	}
	if marks, hours := len(w.marks), len(w.hours); marks != mostMarks || hours > mostMarks/6+1 {
		t.Errorf("got %d marks and %d hours, want %d and at most %d", marks, hours, mostMarks, mostMarks/6+1)
	}
	if got := w.Reporter.Report(24); got.Routes[2].Requests != 144 {
		t.Errorf("got %d requests in the last day, want 144", got.Routes[2].Requests)
	}
}

func TestFamiliesOfClients(t *testing.T) {
	for agent, want := range map[string]string{
		"": "none", "okhttp/4.12.0": "okhttp", "MyBank/7 CFNetwork/1410.0.3 Darwin/22.6.0": "CFNetwork", "Dart/3.1 (dart:io)": "Dart",
		"Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36": "Chrome", "curl/8.4.0": "curl",
		"python-requests/2.31": "Python", "Shapes/1.0 (Android)": "Shapes", "\x1b[31mred/1": "31mred", strings.Repeat("a", 300): strings.Repeat("a", 32), "///": "none",
		"Mozilla/5.0 (compatible; SomeBot/2.1)": "bot",
	} {
		if got := family(agent); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
}

// TestReportPage compares the page and the JSON of one story with golden files.
func TestReportPage(t *testing.T) {
	w := newWatched(t)
	w.genuine(3000)
	w.ask(120, "/shapes", "User-Agent", "okhttp/3.0", "X-App-Version", "2.9.1")
	w.ask(40, "/shapes", "User-Agent", "curl/8.0")
	w.ask(30, "/transfers", "Authorization", "Bearer bob", "Approov-Token", w.mint(login))
	w.ask(7, "/transfers", "Authorization", login, "Approov-Token", w.mint(""))
	w.ask(5, "/healthz")
	w.after(26 * time.Hour)
	got := w.Reporter.Report(0)
	indented, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"testdata/report.txt": got.Text(), "testdata/report.json": string(indented) + "\n"} {
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || text != string(want) {
			t.Errorf("%s (%v): got\n%s\nwant\n%s", file, err, text, want)
		}
	}
}

// What a genuine request pays for the report.
func BenchmarkNote(b *testing.B) {
	w := newWatched(b)
	r := httptest.NewRequest(http.MethodGet, "/shapes", nil)
	r.Header.Set("User-Agent", app)
	r.Header.Set("Approov-Token", w.mint(""))
	pass := w.gate.Ask(r)
	r.Header.Del("Approov-Token")
	missing := w.gate.Ask(r)
	for name, a := range map[string]*gate.Answer{"pass": &pass, "missing": &missing} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Note(a, r)
			}
		})
	}
}
