package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// standIn is a real gate behind the smallest admin interface that does what the gate's does, so that these tests say
// what the commands make of each answer.
type standIn struct {
	gate     *gate.Gate
	now      func() time.Time
	token    string // what requests must bring; empty: nothing
	warnings []string
	program  string
	kept     bool   // sources are as an earlier run kept them
	policy   string // in YAML

	mu        sync.Mutex // guards the fields below, and makes a change one step
	conflicts int        // how many changes somebody else is quicker than
	asked     []string   // method and path of each request
	puts      []string   // the content of each
	override  map[string]http.HandlerFunc
}

// standInPolicy is what the tests' gate enforces.
const standInPolicy = `
name: edge
keys:
  - {name: account, alg: HS256, secret: "inline:dGVzdCBrZXkgb2YgdGhlIHNjcmlwdHMsIG5ldmVyIHVzZWQgZm9yIGFueXRoaW5nIGVsc2Uu"}
  - {name: next, alg: HS256, kid: k-2, not_before: "2030-02-01T00:00:00Z", secret: "inline:c2Vjb25kIHRlc3Qga2V5IG9mIHRoZSBzY3JpcHRzLCBuZXZlciB1c2VkIGVsc2V3aGVyZS4="}
  - {name: retired, alg: HS256, kid: k-0, not_after: "2030-01-31T11:00:00Z", secret: "inline:dGhpcmQgdGVzdCBrZXkgb2YgdGhlIHNjcmlwdHMsIG5ldmVyIHVzZWQgZWxzZXdoZXJlLi4="}
routes:
  - {name: health, paths: [/healthz], check: none}
  - {name: transfers, paths: [/v1/transfers]}
  - {name: accounts, paths: [/v1/accounts], mode: log}
`

// newStandIn makes one of a policy in YAML.
func newStandIn(policy string, now func() time.Time) (*standIn, error) {
	s := &standIn{now: now, program: "1.2.3 go1.26", policy: policy, override: map[string]http.HandlerFunc{}}
	load := func() (config.Policy, []config.Problem) {
		tree, problems := host.ParseTree([]byte(s.policy))
		p, found := config.Decode(tree)
		return p, append(problems, found...)
	}
	var problems []config.Problem
	s.gate, problems = gate.New(gate.Options{Load: load, Now: now, ParseControl: host.ParseTree})
	if s.gate == nil {
		return nil, fmt.Errorf("the policy: %v", problems)
	}
	return s, nil
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	handler := s.override[r.Method+" "+r.URL.Path]
	s.mu.Unlock()
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	switch ip := net.ParseIP(name); {
	case handler != nil:
		handler(w, r)
	case r.Header.Get("Origin") != "" || name != "approovgate" && name != "localhost" && !(ip != nil && ip.IsLoopback()):
		refuse(w, http.StatusForbidden, "", "the Host is not one of a gate's")
	case s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token:
		refuse(w, http.StatusUnauthorized, "Authorization", "must be Bearer and the token")
	case r.URL.Path == "/control":
		s.control(w, r)
	case r.URL.Path == "/status" && r.Method == http.MethodGet:
		answerJSON(w, s.status())
	case r.URL.Path == "/report" && r.Method == http.MethodGet:
		s.report(w, r)
	default:
		refuse(w, http.StatusNotFound, "", "there is nothing here")
	}
}

func refuse(w http.ResponseWriter, status int, path, text string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	problems := []map[string]string{{"path": path, "text": text}}
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "problems": problems})
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (s *standIn) control(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var warnings []string
	if r.Method != http.MethodGet {
		var ok bool
		if warnings, ok = s.change(w, r); !ok {
			return
		}
	}
	state := s.state()
	if warnings = append(warnings, s.warnings...); warnings != nil && r.Method != http.MethodGet {
		state["warnings"] = warnings
	}
	w.Header().Set("ETag", s.tag())
	answerJSON(w, state)
}

func (s *standIn) tag() string {
	return strconv.Quote(strconv.FormatInt(s.gate.Control(gate.Local).Version, 10))
}

// change serves PUT and DELETE. mu is held.
func (s *standIn) change(w http.ResponseWriter, r *http.Request) (warnings []string, ok bool) {
	text, err := io.ReadAll(r.Body)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" || err != nil {
		refuse(w, http.StatusUnsupportedMediaType, "Content-Type", "must be application/json")
		return nil, false
	}
	s.puts = append(s.puts, string(text))
	if s.conflicts > 0 && r.Method == http.MethodPut {
		s.conflicts--
		before := s.gate.Control(gate.Local)
		before.Version++
		before.By = "somebody else"
		s.gate.SetControl(gate.Local, before)
	}
	if match := r.Header.Get("If-Match"); match != "" && match != s.tag() {
		refuse(w, http.StatusPreconditionFailed, "If-Match", "is not "+s.tag())
		return nil, false
	}
	tree := map[string]any{}
	if err := json.Unmarshal(text, &tree); err != nil || tree["version"] != nil {
		refuse(w, http.StatusBadRequest, "version", "is the gate's to give")
		return nil, false
	}
	if span, is := tree["for"].(string); is {
		d, err := time.ParseDuration(span)
		if err != nil || tree["until"] != nil {
			refuse(w, http.StatusBadRequest, "for", "must be a duration, in place of until")
			return nil, false
		}
		delete(tree, "for")
		tree["until"] = s.now().Add(d).Format(time.RFC3339Nano)
	}
	tree["version"] = s.gate.Control(gate.Local).Version + 1
	c, problems := config.DecodeControl(tree)
	if !config.Failed(problems) {
		problems = append(problems, s.gate.SetControl(gate.Local, c)...)
	}
	if config.Failed(problems) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"title": "Bad Request", "status": 400, "problems": problemList(problems)})
		return nil, false
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	return warnings, true
}

func problemList(problems []config.Problem) []map[string]any {
	list := []map[string]any{}
	for _, p := range problems {
		list = append(list, map[string]any{"path": p.Path, "text": p.Text, "warning": p.Warning})
	}
	return list
}

// state is what control says now.
func (s *standIn) state() map[string]any {
	status := s.gate.Status()
	state := map[string]any{"in_force": "policy"}
	for i, c := range []config.Control{status.Local, status.Remote} {
		if c.Version == 0 {
			continue
		}
		tree := c.Tree()
		tree["in_force"] = !c.At(s.now()).Empty() && state["in_force"] == "policy"
		name := []string{"local", "remote"}[i]
		state[name] = tree
		if tree["in_force"] == true {
			state["in_force"] = name
		}
	}
	return state
}

func (s *standIn) status() map[string]any {
	status := s.gate.Status()
	at := func(m map[string]any, times map[string]time.Time) map[string]any {
		for name, t := range times {
			if !t.IsZero() {
				m[name] = t.UTC().Format(time.RFC3339Nano)
			}
		}
		return m
	}
	routes, keys, sources := []any{}, []any{}, []any{}
	for _, r := range status.Routes {
		routes = append(routes, map[string]any{"name": r.Name, "exempt": r.Exempt, "mode": r.Mode, "rollout": r.Rollout, "own_mode": r.Own, "says": r.Says})
	}
	for _, k := range status.Keys {
		keys = append(keys, at(map[string]any{"name": k.Name, "kid": k.Kid, "alg": k.Alg, "usable": k.Usable, "tokens": k.Tokens, "tokens_per_minute": k.PerMinute},
			map[string]time.Time{"not_before": k.NotBefore, "not_after": k.NotAfter, "loaded": k.Loaded, "last_use": k.LastUse}))
	}
	for _, one := range status.Sources {
		sources = append(sources, at(map[string]any{"name": one.Name, "kept": s.kept, "failure": one.Failure, "tries": one.Tries, "fails": one.Fails},
			map[string]time.Time{"tried": one.Tried, "good": one.Good}))
	}
	loaded := at(map[string]any{"generation": status.Generation, "failing": status.Failing, "problems": problemList(status.Problems)},
		map[string]time.Time{"loaded": status.Loaded})
	return at(map[string]any{"name": status.Name, "program": s.program, "ready": s.gate.Ready(), "mode": status.Mode, "routes": routes,
		"control": s.state(), "keys": keys, "sources": sources, "config": loaded}, map[string]time.Time{"clock": s.now()})
}

func (s *standIn) report(w http.ResponseWriter, r *http.Request) {
	hours := r.URL.Query().Get("hours")
	if n, err := strconv.ParseFloat(hours, 64); hours != "" && (err != nil || n > 168) {
		refuse(w, http.StatusBadRequest, "hours", "must be a number above 0, up to 168")
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/plain") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "edge, hours: "+hours+"\n\nCan enforcing be turned on? yes \x1b[31m\n")
		return
	}
	answerJSON(w, map[string]any{"hours": hours, "answer": "yes"})
}

// requests are those so far.
func (s *standIn) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// lastPut is the content of the last change.
func (s *standIn) lastPut() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.puts) == 0 {
		return ""
	}
	return s.puts[len(s.puts)-1]
}

// listen serves on a unix socket, until the test ends.
func (s *standIn) listen(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, l, s)
	return socket
}

func serveUntilEnd(t *testing.T, l net.Listener, h http.Handler) {
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	server.Start()
	t.Cleanup(server.Close)
}
