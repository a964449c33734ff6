package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/internal/conformance"
)

// The moment at which the whole corpus plays, unless a case moves it: 1800000000 in Unix seconds.
var now = time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)

// corpus collects the cases. The first error is kept, and reported at the end.
type corpus struct {
	keys  keys
	cases []conformance.Case
	files map[string]bool
	err   error
}

func newCorpus(dir string) *corpus {
	g := &corpus{files: map[string]bool{}}
	g.keys, g.err = readKeys(dir)
	return g
}

func (g *corpus) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf(format, args...)
	}
}

// add is one case: its file below testdata/vectors, its name, what it proves, the policy with $names for the
// test keys, the request, and what must come of it. The case may be changed further through the result.
func (g *corpus) add(file, name, about, policy, request string, w want) *conformance.Case {
	if g.files[file] {
		g.fail("%s: two cases have this file", file)
	}
	g.files[file] = true
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(g.keys.expand(policy)), "", "  "); err != nil {
		g.fail("%s: policy: %w", file, err)
	}
	g.cases = append(g.cases, conformance.Case{
		File: file, Name: name, About: strings.Split(about, ", "), Now: now,
		Policy: indented.String(), Request: request, Want: conformance.Want(w),
	})
	return &g.cases[len(g.cases)-1]
}

// noHost in the place of a header leaves out the Host line.
const noHost = "-"

// send is a request: the request line, with or without its version, and the header lines. A Host line is added
// unless there is one.
func send(line string, headers ...string) string {
	if !strings.Contains(line, " HTTP/") {
		line += " HTTP/1.1"
	}
	host := "Host: api.example.com\r\n"
	lines := ""
	for _, h := range headers {
		if strings.HasPrefix(strings.ToLower(h), "host:") || h == noHost {
			host = ""
		}
		if h != noHost {
			lines += h + "\r\n"
		}
	}
	return line + "\r\n" + host + lines + "\r\n"
}

// get is a request with this value in the Approov-Token header.
func get(token string, headers ...string) string {
	return send("GET /v1/items", append([]string{"Approov-Token: " + token}, headers...)...)
}

// want is what must come of a case; the methods below add to it.
type want conformance.Want

func pass() want { return want{Verdict: "pass", Action: "forward", Reason: "ok", Status: 200} }

// deny is a fail that an enforcing gate answers with 401.
func deny(reason string) want {
	return want{Verdict: "fail", Action: "reject", Reason: reason, Status: 401}
}

// refuse is a request whose target is not unambiguous.
func refuse() want {
	return want{Verdict: "fail", Action: "reject", Reason: "target_refused", Status: 400}
}

// logged is a fail that is forwarded all the same.
func logged(reason string) want {
	return want{Verdict: "fail", Action: "forward", Reason: reason, Status: 200}
}

// unchecked is exempt, preflight or bypassed.
func unchecked(reason string) want {
	return want{Verdict: "none", Action: "forward", Reason: reason, Status: 200}
}

// badRequest is what net/http refuses before any gate is asked.
func badRequest() want {
	return want{RefusedBy: conformance.RefusedByHost, Action: "reject", Status: 400}
}

// badPolicy is a policy that no gate starts with, because of the field at path.
func badPolicy(path string) want {
	return want{RefusedBy: conformance.RefusedByPolicy, Problem: path}
}

func (w want) target(target string) want { w.Target = target; return w }
func (w want) host(host string) want     { w.Host = host; return w }
func (w want) route(name string) want    { w.Route = name; return w }
func (w want) mode(mode string) want     { w.Mode = mode; return w }
func (w want) key(name string) want      { w.Key = name; return w }
func (w want) body(text string) want     { w.Body = text; return w }
func (w want) status(code int) want      { w.Status = code; return w }
func (w want) unbound() want             { w.Unbound = true; return w }

// with adds expectations of the form Name=value, Name=present or Name=absent.
func (w want) with(headers ...string) want {
	w.Headers = append(w.Headers[:len(w.Headers):len(w.Headers)], expectations(headers)...)
	return w
}

// hop is with for the headers that the host handles.
func (w want) hop(headers ...string) want {
	w.HopHeaders = expectations(headers)
	return w
}

func expectations(headers []string) []conformance.HeaderExpect {
	var all []conformance.HeaderExpect
	for _, h := range headers {
		name, value, _ := strings.Cut(h, "=")
		all = append(all, conformance.HeaderExpect{Name: name, Value: value})
	}
	return all
}
