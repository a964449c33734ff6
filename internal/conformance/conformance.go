// Package conformance is the corpus of testdata/vectors as a library: one set of cases that every host must
// answer alike. A case is a raw HTTP request, the gate policy and the time it meets, and what must come of it.
//
// It owns the file format (Parse, Format, Load), the growing of policies to other table sizes (Case.Sizes) and
// the runners: Engine asks the gate in this process, Wire sends the bytes to a real host over a socket. It never
// decides what is right: the expectations stand in the files, which internal/conformance/generate writes.
//
// Start reading at Case. A host's test is short:
//
//	cases, err := conformance.Load("../testdata/vectors")
//	…
//	start := func(h conformance.Host) (string, func(), error) { … } // a listener that serves h.Policy
//	wire := conformance.Wire{Start: start}
//	wire.Run(conformance.AllSizes(cases), func(r conformance.Result) {
//		t.Run(r.Case.File, func(t *testing.T) {
//			if r.Skipped != "" {
//				t.Skip(r.Skipped)
//			}
//			for _, difference := range r.Differences {
//				t.Error(difference)
//			}
//		})
//	})
package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Case is one request and what must come of it.
type Case struct {
	File  string   // path below the corpus folder, without ".txt", such as "claims/exp-past"; Sizes adds to it
	Name  string   // a sentence, such as "expired token is denied"
	About []string // what the case proves: rows T1 to T83, R1 to R216, ids of published requests

	Now    time.Time // the gate's clock
	Scheme string    // "https": the request arrived over TLS; default http
	Peer   string    // the client's address and port; default whatever the runner has

	AllSizes  bool // the case must come out alike at every table size: see Sizes
	PadRoutes int  // grow the policy to this many routes; 0: as written
	PadHosts  int  // grow each route that names hosts to this many; 0: as written

	Policy  string // the gate policy, JSON
	Request string // what the client sends, byte for byte

	Want Want
}

// Want is what must come of a case. Empty fields are not compared, except where stated.
type Want struct {
	RefusedBy string // RefusedByHost or RefusedByPolicy; empty: the gate decides
	Problem   string // with RefusedByPolicy: path of a field that must be named as wrong

	Verdict string // pass, fail or none
	Action  string // forward or reject
	Reason  string
	Status  int    // what the client sees; 200 from the backend when forwarded
	Body    string // what the client reads when rejected

	Mode    string // in force for the request; the wire does not show it, nor the next three
	Route   string // name of the matched route; "-": none
	Key     string // name of the key that verified the token; "-": none
	Unbound bool   // accepted without pay; always compared

	Target  string         // request target the backend sees
	Host    string         // host the backend sees
	Headers []HeaderExpect // headers the backend sees

	// HopHeaders are headers the backend sees that the host itself must handle, because they belong to the
	// connection (RFC 9110 §7.6.1). They are compared on the wire only.
	HopHeaders []HeaderExpect
}

// Who refuses a request before any gate is asked.
const (
	RefusedByHost   = "host"   // net/http itself answers 400
	RefusedByPolicy = "policy" // the gate does not start
)

// HeaderExpect is one header of the forwarded request: Present, Absent, or its value, where several lines
// are joined by ", ".
type HeaderExpect struct{ Name, Value string }

// Words for HeaderExpect.Value.
const (
	Present = "present"
	Absent  = "absent"
)

// Outcome is what came of a case. A runner leaves empty what it cannot see.
type Outcome struct {
	RefusedBy string
	Problems  []string // with RefusedByPolicy: "path: text"

	Verdict, Action, Reason string
	Status                  int
	Body                    string
	CacheControl            string // of a rejection by the gate

	Mode, Route, Key string
	Unbound          bool

	Target, Host string
	Header       http.Header // of the forwarded request
}

// Compare compares the outcome of a runner that sees everything with what the case wants. Each line of the
// answer reads "field: got …, want …"; none means that all is as wanted.
func (c Case) Compare(got Outcome) []string {
	return c.differences(got, sees{decision: true, problems: true})
}

// sees says which parts of an Outcome a runner can know.
type sees struct{ decision, problems, hop bool }

// differences is Compare for what the runner sees.
func (c Case) differences(got Outcome, view sees) []string {
	var out []string
	compare := func(field, got, want string) {
		if got != want {
			out = append(out, fmt.Sprintf("%s: got %q, want %q", field, got, want))
		}
	}
	w := c.Want
	compare("refused-by", got.RefusedBy, w.RefusedBy)
	if w.RefusedBy != got.RefusedBy {
		return append(out, got.Problems...)
	}
	if w.RefusedBy == RefusedByPolicy {
		if view.problems && !names(got.Problems, w.Problem) {
			compare("problem", strings.Join(got.Problems, "; "), w.Problem)
		}
		return out
	}
	compare("action", got.Action, w.Action)
	compare("status", fmt.Sprint(got.Status), fmt.Sprint(w.Status))
	if w.RefusedBy == RefusedByHost {
		return out
	}
	if view.decision {
		out = append(out, c.decisionDifferences(got)...)
	}
	if got.Action == "reject" {
		compare("cache-control", got.CacheControl, "no-store")
		if w.Body != "" {
			compare("body", got.Body, w.Body)
		}
	}
	out = append(out, forwardedDifferences(got, w)...)
	if view.hop && got.Action == "forward" {
		out = append(out, headerDifferences(got.Header, w.HopHeaders)...)
	}
	return out
}

func (c Case) decisionDifferences(got Outcome) []string {
	var out []string
	for _, f := range []struct{ field, got, want string }{
		{"verdict", got.Verdict, c.Want.Verdict},
		{"reason", got.Reason, c.Want.Reason},
		{"mode", got.Mode, c.Want.Mode},
		{"route", got.Route, c.Want.Route},
		{"key", got.Key, c.Want.Key},
		{"unbound", fmt.Sprint(got.Unbound), fmt.Sprint(c.Want.Unbound)},
	} {
		if f.got == "" {
			f.got = "-"
		}
		if f.want != "" && f.got != f.want {
			out = append(out, fmt.Sprintf("%s: got %q, want %q", f.field, f.got, f.want))
		}
	}
	return out
}

func forwardedDifferences(got Outcome, w Want) []string {
	if got.Action != "forward" || w.Action != "forward" {
		return nil
	}
	var out []string
	if w.Target != "" && got.Target != w.Target {
		out = append(out, fmt.Sprintf("forwarded-target: got %q, want %q", got.Target, w.Target))
	}
	if w.Host != "" && got.Host != w.Host {
		out = append(out, fmt.Sprintf("forwarded-host: got %q, want %q", got.Host, w.Host))
	}
	return append(out, headerDifferences(got.Header, w.Headers)...)
}

func headerDifferences(header http.Header, want []HeaderExpect) []string {
	var out []string
	for _, h := range want {
		values := header[http.CanonicalHeaderKey(h.Name)]
		value := strings.Join(values, ", ")
		switch {
		case h.Value == Present && len(values) > 0:
		case h.Value == Absent && len(values) == 0:
		case h.Value != Present && h.Value != Absent && value == h.Value:
		default:
			out = append(out, fmt.Sprintf("forwarded header %s: got %q, want %q", h.Name, values, h.Value))
		}
	}
	return out
}

// names reports whether one of the problems is about the field at path.
func names(problems []string, path string) bool {
	for _, p := range problems {
		if strings.HasPrefix(p, path+":") {
			return true
		}
	}
	return false
}
