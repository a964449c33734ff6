// Package asker is interpreted. It answers one case after another, as a plugin host would.
package asker

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

var gates = map[string]*gate.Gate{}

// Ask answers a case. All of it goes in and out as text, because interpreted types mean nothing to
// compiled code.
func Ask(policy, now, peer, scheme, request string) string {
	out := map[string]interface{}{}
	g, problems := gateFor(policy, now)
	if g == nil {
		out["RefusedBy"] = "policy"
		out["Problems"] = problems
		return text(out)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		out["Error"] = err.Error()
		return text(out)
	}
	r.RemoteAddr = peer
	if scheme == "https" {
		r.TLS = &tls.ConnectionState{}
	}
	answer := g.Ask(r)
	out["Logged"] = len(answer.Attrs(r))
	out["Verdict"] = string(answer.Verdict)
	out["Action"] = string(answer.Action)
	out["Reason"] = string(answer.Reason)
	out["Mode"] = string(answer.Mode)
	out["Route"] = answer.Route
	out["Key"] = answer.Key
	out["Unbound"] = answer.Unbound
	if answer.Action != engine.Forward {
		w := httptest.NewRecorder()
		answer.Refuse(w, r)
		out["Status"] = w.Code
		out["Body"] = w.Body.String()
		out["CacheControl"] = w.Header().Get("Cache-Control")
		return text(out)
	}
	answer.Apply(r)
	out["Status"] = 200
	out["Target"] = r.URL.RequestURI()
	out["Host"] = r.Host
	out["Header"] = map[string][]string(r.Header)
	return text(out)
}

// Show answers a case and returns everything that a host could come to log of it: the log line, what fmt
// makes of the gate, its status and counters, and the problems of the policy.
func Show(policy, now, peer, scheme, request string) string {
	var log bytes.Buffer
	g, problems := gateFor(policy, now)
	fmt.Fprintln(&log, problems)
	if g == nil {
		return log.String()
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		return err.Error()
	}
	r.RemoteAddr = peer
	answer := g.Ask(r)
	slog.New(slog.NewJSONHandler(&log, nil)).LogAttrs(r.Context(), slog.LevelInfo, "request", answer.Attrs(r)...)
	for _, format := range []string{"%v", "%+v", "%#v"} {
		fmt.Fprintf(&log, format+format+format, g, g.Status(), g.Counters())
	}
	return log.String()
}

func gateFor(policy, now string) (*gate.Gate, []string) {
	if g := gates[now+policy]; g != nil {
		return g, nil
	}
	tree := map[string]interface{}{}
	if err := json.Unmarshal([]byte(policy), &tree); err != nil {
		return nil, []string{err.Error()}
	}
	moment, err := time.Parse(time.RFC3339Nano, now)
	if err != nil {
		return nil, []string{err.Error()}
	}
	g, problems := gate.New(gate.Options{
		Load: func() (config.Policy, []config.Problem) { return config.Decode(tree) },
		Now:  func() time.Time { return moment },
	})
	var found []string
	for _, p := range problems {
		if !p.Warning {
			found = append(found, p.String())
		}
	}
	if g != nil {
		gates[now+policy] = g
	}
	return g, found
}

func text(out map[string]interface{}) string {
	raw, err := json.Marshal(out)
	if err != nil {
		return `{"Error":"` + err.Error() + `"}`
	}
	return string(raw)
}
