package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/approovgate/approovgate/engine"
)

// Matcher matches requests whose Approov token passes the checks of a gate policy. It refuses nothing. A handler with
// the same policy and the matcher verify and count a request once between them; only the handler logs it. Syntax in a
// Caddyfile: as of the directive, with a block.
type Matcher struct {
	Source

	gate *use
}

// CaddyModule describes the matcher to Caddy.
func (Matcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.approov", New: func() caddy.Module { return new(Matcher) }}
}

// Provision takes up the gate of the policy. An error names every problem, with key and fix.
func (m *Matcher) Provision(ctx caddy.Context) (err error) {
	m.gate, err = m.Source.open(ctx)
	return err
}

// Cleanup gives the gate back.
func (m *Matcher) Cleanup() error { return m.gate.release() }

// MatchWithError reports whether the request passes. It has no errors.
func (m *Matcher) MatchWithError(r *http.Request) (bool, error) {
	return ask(m.gate.live, r).answer.Verdict == engine.Pass, nil
}

// Match is MatchWithError without its error.
func (m *Matcher) Match(r *http.Request) bool {
	matched, _ := m.MatchWithError(r)
	return matched
}

// Interface guards.
var (
	_ caddy.Provisioner                 = (*Matcher)(nil)
	_ caddy.CleanerUpper                = (*Matcher)(nil)
	_ caddyfile.Unmarshaler             = (*Matcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Matcher)(nil)
)
