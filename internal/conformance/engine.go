package conformance

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// Engine asks the gate in this process: policy and request as a host would hand them over, no sockets. Gates
// are kept, one for each policy and time. It is not safe for concurrent use. The zero value is ready.
type Engine struct {
	NewCache func() engine.Cache // makes the cache of each gate; nil: none. With one, every token is cached

	gates map[string]*started
}

// started is a gate, or why there is none.
type started struct {
	gate     *gate.Gate
	problems []string
}

// Differences runs a case and compares: no line means that all is as wanted.
func (e *Engine) Differences(c Case) ([]string, error) {
	got, err := e.Run(c)
	if err != nil {
		return nil, err
	}
	return c.Compare(got), nil
}

// Run asks what becomes of a case. An error means that the case itself cannot be run.
func (e *Engine) Run(c Case) (Outcome, error) {
	policy, err := c.PaddedPolicy()
	if err != nil {
		return Outcome{}, err
	}
	s, err := e.start(policy, c.Now)
	if err != nil {
		return Outcome{}, err
	}
	if s.gate == nil {
		return Outcome{RefusedBy: RefusedByPolicy, Problems: s.problems}, nil
	}
	if c.Want.RefusedBy == RefusedByHost {
		return askHTTP(c.Request)
	}
	r, err := c.httpRequest()
	if err != nil {
		return Outcome{}, fmt.Errorf("net/http refuses the request (%w): such a case needs refused-by: host", err)
	}
	return ask(s.gate, r), nil
}

// start makes the gate for a policy, or returns the one it has.
func (e *Engine) start(policy string, now time.Time) (*started, error) {
	id := now.Format(time.RFC3339Nano) + policy
	if s, ok := e.gates[id]; ok {
		return s, nil
	}
	var tree map[string]any
	if err := json.Unmarshal([]byte(policy), &tree); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	options := gate.Options{
		Load: func() (config.Policy, []config.Problem) { return config.Decode(tree) },
		Now:  func() time.Time { return now },

		NewCache: e.NewCache, CacheAll: e.NewCache != nil,
	}
	s := &started{}
	var problems []config.Problem
	s.gate, problems = gate.New(options)
	for _, p := range problems {
		if !p.Warning {
			s.problems = append(s.problems, p.String())
		}
	}
	if e.gates == nil {
		e.gates = map[string]*started{}
	}
	e.gates[id] = s
	return s, nil
}

// httpRequest is the request as net/http's server hands it to a handler.
func (c Case) httpRequest() (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.Request)))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "192.0.2.1:4711"
	if c.Peer != "" {
		r.RemoteAddr = c.Peer
	}
	if c.Scheme == "https" {
		r.TLS = &tls.ConnectionState{}
	}
	return r, nil
}

// ask does what every host does with a request.
func ask(g *gate.Gate, r *http.Request) Outcome {
	answer := g.Ask(r)
	got := Outcome{
		Verdict: string(answer.Verdict), Action: string(answer.Action), Reason: string(answer.Reason),
		Mode: string(answer.Mode), Route: answer.Route, Key: answer.Key, Unbound: answer.Unbound,
	}
	if answer.Action != engine.Forward {
		w := httptest.NewRecorder()
		answer.Refuse(w, r)
		got.Status, got.Body = w.Code, w.Body.String()
		got.CacheControl = w.Header().Get("Cache-Control")
		return got
	}
	answer.Apply(r)
	got.Status = http.StatusOK
	got.Target, got.Host, got.Header = r.URL.RequestURI(), r.Host, r.Header
	return got
}

// askHTTP sends a request to net/http's own server and reports whether that refused it.
func askHTTP(request string) (Outcome, error) {
	reached := false
	got, err := overWire(request, http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) { reached = true }))
	if err == nil && !reached && got.Status == http.StatusBadRequest {
		got.RefusedBy = RefusedByHost
	}
	return got, err
}
