package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/tracing"
)

// handler takes a request through the gate and on to the upstream.
type handler struct {
	gate     *gate.Gate
	reporter *host.Reporter
	relay    *relay                 // for the plain kind of request
	forward  *httputil.ReverseProxy // for all others
	inFlight *inFlight
	log      *requestLog
	stats    *requestStats
	draining *atomic.Bool
	tracer   *tracing.Tracer // nil: no spans

	trusted     Peers
	requestID   string // the header; empty: none
	bodyTimeout time.Duration
	stallAfter  time.Duration // of an HTTP/2 stream whose client takes nothing
}

// ServeHTTP is a request's way: the gate's answer, then either the one refusal, or a place among those in
// flight and the upstream.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if conn := connOf(r); conn != nil {
		conn.begin()
		defer conn.end()
	}
	if h.draining.Load() {
		w.Header().Set("Connection", "close") // the client goes elsewhere with its next request
	}
	boundBody(w, r, h.bodyTimeout)
	e := exchange{origin: originOf(r, &h.trusted)}
	if h.requestID != "" {
		e.id = requestID(r.Header, h.requestID)
	}
	r, e.span = h.trace(r)
	if r.ProtoMajor >= 2 || !r.ProtoAtLeast(1, 1) || h.log.access || e.span != nil {
		watched := newResponse(w, r, h.stallWait(r))
		defer func() { e.span.End(watched.status) }()
		if r.ProtoMajor >= 2 {
			// What is still buffered goes out when the handler has returned: from then on, net/http watches.
			defer func() { _ = http.NewResponseController(watched).SetWriteDeadline(time.Now().Add(h.stallAfter)) }() // fails where the stream has ended
		}
		if h.log.access {
			defer h.log.ended(r, &e, watched, time.Now())
		}
		w = watched
	}
	if h.admit(w, r, &e) {
		h.pass(w, r, &e)
	}
}

// exchange is what is known of a request on its way.
type exchange struct {
	id     string // empty: request ids are switched off
	origin origin
	answer gate.Answer
	span   *tracing.Span // nil: the request is not traced
}

func (h *handler) stallWait(r *http.Request) time.Duration {
	if r.ProtoMajor >= 2 {
		return h.stallAfter
	}
	return 0 // the connection watches itself
}

// admit asks the gate. It reports whether the request, which is then as the upstream should get it,
// may be forwarded; if not, it has answered. A panic on the way is a fault of ours: the request is
// answered 500 and not forwarded, and the process lives.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, e *exchange) (forward bool) {
	defer func() {
		if value := recover(); value != nil {
			panicked(r.Context(), h.log.Logger, value)
			h.stats.panics.Add(1)
			answerConstant(w, http.StatusInternalServerError, bodyInternal)
			forward = false
		}
	}()
	if e.origin.believed {
		r.RemoteAddr = net.JoinHostPort(e.origin.client, "0")
	}
	begin := monotonic()
	e.answer = h.gate.Ask(r)
	h.stats.check.Observe(time.Duration(monotonic() - begin))
	h.reporter.Note(&e.answer, r)
	h.log.Decided(r, &e.answer, e.id)
	e.span.Decision(tracing.Decision{Verdict: string(e.answer.Verdict), Reason: string(e.answer.Reason), Action: string(e.answer.Action),
		Mode: string(e.answer.Mode), Route: e.answer.Route})
	answer := &e.answer
	if answer.Action != engine.Forward {
		h.nameRequest(w, e)
		answer.Refuse(w, r)
		return false
	}
	if answer.Target == "" && (r.Method == http.MethodConnect || r.RequestURI == "*") {
		// A gate-wide bypass forwards even what it could not read. These are not forwarded by any proxy.
		h.nameRequest(w, e)
		answerConstant(w, http.StatusMethodNotAllowed, bodyNotAllowed)
		return false
	}
	answer.Apply(r)
	e.origin.write(r.Header)
	deleteClaims(r.Trailer)
	if h.requestID != "" {
		delete(r.Trailer, h.requestID)
	}
	return true
}

// nameRequest tells a client whom we turn away the id that support can ask for.
func (h *handler) nameRequest(w http.ResponseWriter, e *exchange) {
	if e.id != "" {
		w.Header()[h.requestID] = []string{e.id}
	}
}

// pass sends an admitted request to the upstream as soon as there is a place for it.
func (h *handler) pass(w http.ResponseWriter, r *http.Request, e *exchange) {
	at := &place{inFlight: h.inFlight}
	defer at.leave()
	var body *clientBody
	if r.Body != nil && r.Body != http.NoBody {
		// In a copy: net/http looks at the body it made to see whether the client waits for 100 (Continue).
		outgoing := *r
		body = newClientBody(w, r, h.bodyTimeout)
		defer body.release()
		outgoing.Body, outgoing.Trailer = body, body.trailers
		r = &outgoing
	}
	placed := true
	if h.relay.takes(r) {
		placed = h.relay.pass(w, r, at)
	} else if placed = at.enter(r.Context()) == nil; placed {
		h.forward.ServeHTTP(newPlaceWriter(w, at), r.WithContext(context.WithValue(r.Context(), onwardKey{}, &onward{at, body})))
	}
	if !placed {
		h.nameRequest(w, e)
		h.shed(w, r)
	}
}

// onward is what ReverseProxy's hooks need to know of a request.
type onward struct {
	place *place
	body  *clientBody // nil: none
}

// onwardKey is where the context of a request that ReverseProxy forwards has its onward.
type onwardKey struct{}

// errStatus is what an upstream's answer with an impossible status is.
var errStatus = errors.New("the status is no HTTP status")

// accept is a ReverseProxy's ModifyResponse: it looks at a response that begins.
func (h *handler) accept(response *http.Response) error {
	if response.StatusCode < http.StatusContinue {
		return errStatus // net/http would panic
	}
	if h.draining.Load() && response.StatusCode != http.StatusSwitchingProtocols {
		response.Header["Connection"] = []string{"close"} // the request may have come before the end began
	}
	if f, ok := response.Request.Context().Value(onwardKey{}).(*onward); ok && streams(response) {
		f.place.leave()
	}
	return nil
}

// streams reports whether a response that begins may stay open for as long as both sides like.
func streams(response *http.Response) bool {
	kind := response.Header.Get("Content-Type")
	return response.StatusCode == http.StatusSwitchingProtocols || strings.HasPrefix(kind, "text/event-stream") || strings.HasPrefix(kind, "application/grpc")
}

// shed turns a request away that there was no place for.
func (h *handler) shed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	answerFault(w, r, http.StatusServiceUnavailable, bodyOverloaded)
}
