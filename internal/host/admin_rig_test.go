package host

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// noon is where the clock of the tests of the admin interface starts.
var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

const adminPolicy = `{"name": "edge", "keys": [{"name": "account", "alg": "HS256", "secret": "file:account.secret"}],
	"control": {"file": "state/control.json"}, "routes": [
		{"name": "transfers", "paths": ["/transfers"]}, {"name": "feed", "paths": ["/feed"], "mode": "log"}, {"name": "health", "paths": ["/healthz"], "check": "none"}]}`

// desk is a gate with its admin interface, in a folder of its own.
type desk struct {
	*Admin
	own    *gate.Gate
	t      *testing.T
	dir    string
	file   string // control.file
	clocks clocks
	events Events
	log    book
	loader *Loader
}

// newDesk makes a gate of a policy, JSON, and its admin interface as change has it, which runs until the test ends.
func newDesk(t *testing.T, policy string, change ...func(*Admin)) *desk {
	t.Helper()
	d := deskIn(t, t.TempDir(), policy, change...)
	d.run()
	return d
}

func deskIn(t *testing.T, dir, policy string, change ...func(*Admin)) *desk {
	t.Helper()
	d := &desk{t: t, dir: dir, file: filepath.Join(dir, "state", "control.json"), clocks: clocks{wall: noon}}
	do(t, os.MkdirAll(filepath.Dir(d.file), 0o700), os.WriteFile(filepath.Join(dir, "account.secret"), []byte(secretText), 0o600))
	d.loader = &Loader{Read: func() (Document, []config.Problem) {
		tree, problems := ParseTree([]byte(policy))
		p, found := config.Decode(tree)
		return Document{Policy: p, Prefix: "policy.", Dir: dir}, append(problems, found...)
	}}
	g, problems := d.loader.New(gate.Options{Now: d.clocks.now, Notify: d.events.Notify})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	log := slog.New(slog.NewJSONHandler(&d.log, nil))
	d.events.Log(log)
	d.own, d.Admin = g, &Admin{Gate: g, Log: log, Now: d.clocks.now, Retry: 5 * time.Millisecond}
	for _, one := range change {
		one(d.Admin)
	}
	return d
}

// run runs the interface until the test ends.
func (d *desk) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	d.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// told is an answer of the admin interface, read.
type told struct {
	status int
	header http.Header
	text   string
	body   struct {
		InForce  string       `json:"in_force"`
		Local    *controlTold `json:"local"`
		Remote   *controlTold `json:"remote"`
		Warnings []string     `json:"warnings"`
		Title    string       `json:"title"`
		Status   int          `json:"status"`
		Problems []struct{ Path, Text string }
	}
}

type controlTold struct {
	Version int64                   `json:"version"`
	Mode    string                  `json:"mode"`
	Rollout *int                    `json:"rollout"`
	Routes  map[string]overrideJSON `json:"routes"`
	Until   string                  `json:"until"`
	Reason  string                  `json:"reason"`
	By      string                  `json:"by"`
	InForce bool                    `json:"in_force"`
}

// problem is the first problem in one line; empty: there is none.
func (a told) problem() string {
	if len(a.body.Problems) == 0 {
		return ""
	}
	return a.body.Problems[0].Path + ": " + a.body.Problems[0].Text
}

// ask sends a request with header lines. It has the Host approovgate and JSON as content, unless they say otherwise;
// a line without a value deletes.
func (d *desk) ask(method, target, content string, lines ...string) told {
	d.t.Helper()
	var body io.Reader
	if content != "" {
		body = strings.NewReader(content)
	}
	r := httptest.NewRequest(method, target, body)
	r.Host = "approovgate"
	if content != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Add(name, value)
		}
	}
	return d.serve(r)
}

func (d *desk) serve(r *http.Request) told {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	a := told{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.HasSuffix(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal([]byte(a.text), &a.body); err != nil {
			d.t.Errorf("%s %s: %v in %q", r.Method, r.URL, err, a.text)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		d.t.Errorf("%s %s: got headers %v, want no-store and nosniff", r.Method, r.URL, a.header)
	}
	if problem := strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json"); problem != (a.status >= 400) ||
		problem && (a.body.Status != a.status || a.body.Title != http.StatusText(a.status) || a.problem() == "") {
		d.t.Errorf("%s %s: got %d %s %q, want problems for errors, and for them alone", r.Method, r.URL, a.status, a.header.Get("Content-Type"), a.text)
	}
	return a
}

// put changes control, which must succeed.
func (d *desk) put(content string, lines ...string) told {
	d.t.Helper()
	a := d.ask("PUT", "/control", content, lines...)
	if a.status != http.StatusOK {
		d.t.Fatalf("PUT %s: got %d %q, want 200", content, a.status, a.text)
	}
	return a
}

// kept is the document in the control file.
func (d *desk) kept() config.Control {
	d.t.Helper()
	tree, problems := ReadTree(d.file)
	c, found := config.DecodeControl(tree)
	if problems = append(problems, found...); config.Failed(problems) {
		d.t.Errorf("the control file: got %v, want no problem", problems)
	}
	return c
}

// modes are the modes in force for transfers, feed and what no route matches.
func (d *desk) modes() string {
	var all []string
	for _, route := range d.Gate.Status().Routes {
		if !route.Exempt {
			all = append(all, string(route.Mode))
		}
	}
	return strings.Join(all, " ")
}
