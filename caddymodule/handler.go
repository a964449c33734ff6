package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/approovgate/approovgate/engine"
)

func init() {
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(Matcher{})
	caddy.RegisterModule(adminAPI{})
	httpcaddyfile.RegisterHandlerDirective("approov", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("approov", httpcaddyfile.Before, "basic_auth")
}

// Handler lets requests through that carry a valid Approov token, as the gate policy says. Requests are judged as they
// were received, before any rewrite.
//
// It sets the placeholders {http.approov.result} (pass, fail or none), {http.approov.reason} (such as ok or
// token_expired), {http.approov.key}, {http.approov.device} and {http.approov.claims.NAME}; those of which nothing is
// known are empty. Where the site has handle_errors, a refusal goes there as an error of status 401, or of what
// respond.status says; else the policy's own answer is sent.
type Handler struct {
	Source

	gate *use
	log  requestLog
}

// CaddyModule describes the handler to Caddy.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.approov", New: func() caddy.Module { return new(Handler) }}
}

// Provision takes up the gate of the policy. An error names every problem, with key and fix.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	h.log = newRequestLog(ctx)
	h.gate, err = h.Source.open(ctx)
	return err
}

// Cleanup gives the gate back. What was left out of the log has been counted there when it returns.
func (h *Handler) Cleanup() error {
	h.log.close()
	return h.gate.release()
}

// ServeHTTP passes a request on, or refuses it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	a := ask(h.gate.live, r)
	if !a.logged {
		h.log.Decided(a.received, &a.answer, "")
		a.logged = true
	}
	if a.answer.Action != engine.Forward {
		return a.refuse(w, r)
	}
	if a.answer.Target == "" && (r.Method == http.MethodConnect || r.RequestURI == "*") {
		// A gate-wide bypass forwards even what it could not read. These are not forwarded by any proxy.
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("no request for a proxy"))
	}
	a.apply(r)
	return next.ServeHTTP(w, r)
}

// refuse answers a request that is not passed on. A gRPC call is always answered here: its client understands no
// page.
func (a *asked) refuse(w http.ResponseWriter, r *http.Request) error {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Errors == nil || len(server.Errors.Routes) == 0 || !a.answer.Announce(w, r) {
		a.answer.Refuse(w, r)
		return nil
	}
	return caddyhttp.Error(a.answer.Status(r), errors.New("approov: "+string(a.answer.Reason)))
}

// apply makes a request fit to be passed on. Where the site has rewritten it, what it was rewritten to stays.
func (a *asked) apply(r *http.Request) {
	if !a.rewritten {
		a.answer.Apply(r)
		return
	}
	url, uri := r.URL, r.RequestURI
	a.answer.Apply(r)
	r.URL, r.RequestURI = url, uri
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
