package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/h1"
)

// The constant bodies of our own answers. Clients learn nothing else; the log knows more.
const (
	bodyNotAllowed = `{"error":"method_not_allowed"}`
	bodyInternal   = `{"error":"internal_error"}`
	bodyBadGateway = `{"error":"bad_gateway"}`
	bodyTimeout    = `{"error":"gateway_timeout"}`
	bodyOverloaded = `{"error":"overloaded"}`
	bodyMalformed  = `{"error":"bad_request"}`
	bodySlow       = `{"error":"request_timeout"}`
)

// answerFault answers a request that could not be served, a gRPC call in gRPC's way.
func answerFault(w http.ResponseWriter, r *http.Request, status int, body string) {
	if !gate.AnswerGRPC(w, r, status, strings.ToLower(http.StatusText(status))) {
		answerConstant(w, status, body)
	}
}

// answerConstant writes one of our own answers.
func answerConstant(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that is gone cannot be told
}

// upstreamFailed answers 502, or 504 where time ran out, and writes one log line. Where the client is at
// fault the answer is 400, or 408, and the line shows at debug level only, as does that of one that hung up.
func upstreamFailed(log *requestLog) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		// The outgoing request may carry what a bound query parameter holds: the log shows its path only.
		request := slog.Group("request", "method", gate.Printable(r.Method), "host", gate.Printable(r.Host), "path", gate.Printable(r.URL.Path))
		if f, ok := r.Context().Value(onwardKey{}).(*onward); ok && f.body != nil {
			if fault := f.body.fault(r.Context()); fault != nil {
				err = fault
			}
		}
		switch {
		case clientFault(err) != nil:
			status, body := http.StatusBadRequest, bodyMalformed
			if timedOut(clientFault(err)) {
				status, body = http.StatusRequestTimeout, bodySlow
			}
			log.LogAttrs(r.Context(), slog.LevelDebug, "request body not readable", slog.Int("status", status), request)
			if r.ProtoMajor < 2 {
				w.Header().Set("Connection", "close") // HTTP/2 would end the streams beside this one
			}
			answerFault(w, r, status, body)
			return
		case errors.Is(err, context.Canceled) || r.Context().Err() != nil:
			log.LogAttrs(r.Context(), slog.LevelDebug, "client went away", request)
			answerFault(w, r, http.StatusBadGateway, bodyBadGateway)
			return
		}
		if code := cancelled(r, err); code != "" && gate.AnswerGRPCCode(w, r, code, "the call was cancelled") {
			return
		}
		status, body := http.StatusBadGateway, bodyBadGateway
		if timedOut(err) {
			status, body = http.StatusGatewayTimeout, bodyTimeout
		}
		log.failed(r, slog.Int("status", status), slog.String("error", upstreamText(err)), request)
		answerFault(w, r, status, body)
	}
}

// streamReset is net/http's error of an HTTP/2 stream that the upstream has reset, which it makes itself into.
type streamReset struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamReset) Error() string { return "the upstream has reset the stream" }

// cancelled is the status of a gRPC call that the upstream has cancelled; empty: it has not. Servers do when the
// call's own time is up. UNAVAILABLE would invite clients to try again what the service had begun.
func cancelled(r *http.Request, err error) string {
	const cancel = 8 // RFC 9113 §7
	var reset streamReset
	switch {
	case !errors.As(err, &reset) || reset.Code != cancel:
		return ""
	case r.Header["Grpc-Timeout"] != nil:
		return "4" // DEADLINE_EXCEEDED
	}
	return "1" // CANCELLED
}

// clientFault is the part of err that is about the content which the client sends; nil if nothing is.
func clientFault(err error) error {
	var (
		reading *clientError
		content *h1.BodyError
	)
	switch {
	case errors.As(err, &reading):
		return reading
	case errors.As(err, &content):
		return content
	case errors.Is(err, h1.ErrUnsendable):
		return h1.ErrUnsendable
	}
	return nil
}

func timedOut(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// upstreamText is err for the log. Only errors known to speak of connections and certificates are
// quoted: others may quote what the upstream sent, and an upstream may echo a request, token and all.
func upstreamText(err error) string {
	var (
		op         *net.OpError
		record     tls.RecordHeaderError
		alert      tls.AlertError
		verify     *tls.CertificateVerificationError
		authority  x509.UnknownAuthorityError
		dnsFailure *net.DNSError
	)
	switch {
	case errors.As(err, &op), errors.As(err, &dnsFailure), errors.As(err, &verify), errors.As(err, &authority), errors.As(err, &alert):
		return err.Error()
	case errors.As(err, &record):
		return "the upstream does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the upstream closed the connection before it answered"
	case timedOut(err):
		return "the upstream did not answer in time"
	}
	return "the upstream's answer is not valid HTTP"
}

// panicked writes the log line of a recovered panic. A panic's value is quoted only when the runtime
// made it: any other may hold request data.
func panicked(ctx context.Context, log *slog.Logger, value any) {
	text := "panic outside the runtime"
	if fault, ok := value.(runtime.Error); ok {
		text = fault.Error()
	}
	log.LogAttrs(ctx, slog.LevelError, "panic while checking a request; it was not forwarded",
		slog.String("error", text), slog.String("stack", string(debug.Stack())))
}
