package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// handler takes a request through the gate and on to the upstream.
type handler struct {
	gate    *gate.Gate
	forward *httputil.ReverseProxy
	log     *slog.Logger
}

func newHandler(g *gate.Gate, forward *httputil.ReverseProxy, log *slog.Logger) *handler {
	return &handler{gate: g, forward: forward, log: log}
}

// ServeHTTP is a request's way: the gate's answer, then either the one refusal or the upstream.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.admit(w, r) {
		h.forward.ServeHTTP(w, r)
	}
}

// admit asks the gate. It reports whether the request, which is then as the upstream should get it,
// may be forwarded; if not, it has answered. A panic on the way is a fault of ours: the request is
// answered 500 and not forwarded, and the process lives.
func (h *handler) admit(w http.ResponseWriter, r *http.Request) (forward bool) {
	defer func() {
		if value := recover(); value != nil {
			panicked(r.Context(), h.log, value)
			answerConstant(w, http.StatusInternalServerError, bodyInternal)
			forward = false
		}
	}()
	answer := h.gate.Ask(r)
	h.report(r, &answer)
	if answer.Action != engine.Forward {
		answer.Refuse(w, r)
		return false
	}
	if answer.Target == "" && (r.Method == http.MethodConnect || r.RequestURI == "*") {
		// A gate-wide bypass forwards even what it could not read. These are not forwarded by any proxy.
		answerConstant(w, http.StatusMethodNotAllowed, bodyNotAllowed)
		return false
	}
	dropUpgrade(r.Header)
	answer.Apply(r)
	return true
}

// report writes one line for a request that fails its check, whatever becomes of it, and for one that is
// let through without the binding its route asks for. At debug level every request gets a line.
func (h *handler) report(r *http.Request, answer *gate.Answer) {
	level, message := slog.LevelInfo, "request rejected"
	switch {
	case answer.Action == engine.Forward && answer.Verdict == engine.Fail:
		message = "request would be rejected"
	case answer.Action == engine.Forward && answer.Unbound:
		message = "request accepted without binding"
	case answer.Action == engine.Forward:
		level, message = slog.LevelDebug, "request forwarded"
	}
	if !h.log.Enabled(r.Context(), level) {
		return
	}
	// Not Logger.LogAttrs, which looks up its caller for every line: under a flood that shows.
	line := slog.NewRecord(time.Now(), level, message, 0)
	line.AddAttrs(answer.Attrs(r)...)
	_ = h.log.Handler().Handle(r.Context(), line) // a log that cannot be written must not stop requests
}
