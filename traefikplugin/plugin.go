// Package traefikplugin is the gate as a middleware of Traefik, which interprets it with Yaegi.
//
// It owns the way from a middleware's configuration to a policy, the gates that a Traefik process holds, when they are
// brought up to date, and the plugin's own lines and figures. It decides nothing, never wraps a ResponseWriter, and is
// written in the dialect of the packages it uses: standard library only, in the subset that Yaegi runs.
//
// Start reading at [New] for a configuration's path and at handler.ServeHTTP for a request's.
package traefikplugin

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"

	"github.com/approovgate/approovgate/engine"
)

// Config is a middleware's configuration: the gate policy as a tree of the keys that config.Policy describes, and
// beside them secretFile, secretEnv, policyFile and metrics (see readConfig). It is a map, so that no key is lost
// before it can be refused.
type Config map[string]interface{}

// CreateConfig returns a configuration that Traefik fills in.
func CreateConfig() *Config { return &Config{} }

// New makes the middleware of one router. Routers with the same middleware share one gate, and so do the ones before
// and after a reload that leaves its configuration as it is. It reads files and waits for no network: keys behind
// URLs come later, and until then no token that needs them passes. An error is one line,
// which begins with the middleware's name and names every field that is wrong and its fix; Traefik then disables the
// router.
func New(ctx context.Context, next http.Handler, configuration *Config, name string) (http.Handler, error) {
	m := &making{name: name}
	m.take(*configuration, ctx.Done())
	if m.err != nil {
		return nil, m.err
	}
	return m.running.gate.Shortcut(next, &handler{running: m.running, next: next}), nil
}

// making is a middleware on its way: a gate or an error, also where the plugin has a fault.
type making struct {
	name    string
	running *running
	err     error
}

func (m *making) take(c Config, ended <-chan struct{}) {
	defer m.survive()
	r, err := shared.take(c, m.name, ended)
	m.running = r
	m.err = err
}

func (m *making) survive() {
	if value := recover(); value != nil {
		m.err = errors.New(m.name + ": a fault of the plugin; please report it with this configuration, without secrets")
	}
}

// handler enforces a gate's decisions in front of the rest of a router.
type handler struct {
	running *running
	next    http.Handler
}

// ServeHTTP passes a request on, or answers it. It is the long way: requests like those before go the short one.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := &passage{w: w}
	h.admit(p, r)
	if p.open {
		h.next.ServeHTTP(w, r)
	}
}

// admit asks the gate. The passage is open if the request, which is then as the backend should get it, may be
// forwarded; if not, it was answered.
func (h *handler) admit(p *passage, r *http.Request) {
	defer p.survive()
	h.running.keep()
	a := h.running.gate.Ask(r)
	h.running.lines.decided(&a, r)
	if a.Action != engine.Forward {
		a.Refuse(p.w, r)
		return
	}
	a.Apply(r)
	p.open = true
}

// passage is closed until all that can go wrong has gone right. A fault of the plugin is answered 500.
type passage struct {
	w    http.ResponseWriter
	open bool
}

func (p *passage) survive() {
	if value := recover(); value != nil {
		log.Println("approovgate: a fault of the plugin; a request was answered 500")
		p.w.Header().Set("Content-Type", "application/json")
		p.w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(p.w, `{"error":"internal"}`) // a client that has gone needs no answer
	}
}
