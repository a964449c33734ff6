package tracing

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Span is one traced request, from Start to End. It belongs to the goroutine that serves the request.
// All methods of a nil Span do nothing.
type Span struct {
	span       trace.Span
	method     string
	failure    string
	attributes []attribute.KeyValue // set all at once, by End
}

// Decision is what the gate made of a request, in the words of the policy and the list of reasons.
type Decision struct {
	Verdict, Reason, Action, Mode, Route string
}

// newSpan notes what a request says of itself, by the names of OpenTelemetry's semantic conventions for
// HTTP servers.
func newSpan(s trace.Span, method string, r *http.Request) *Span {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	span := &Span{span: s, method: method, attributes: make([]attribute.KeyValue, 0, mostAttributes)}
	span.add(semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme(scheme), semconv.URLPath(r.URL.EscapedPath()))
	if address := hostname(r.Host); address != "" {
		span.add(semconv.ServerAddress(address))
	}
	if version := protocolVersion(r); version != "" {
		span.add(semconv.NetworkProtocolVersion(version))
	}
	return span
}

func (s *Span) add(attributes ...attribute.KeyValue) {
	s.attributes = append(s.attributes, attributes...)
}

// Decision notes the gate's decision. The span is then named after the method and the route.
func (s *Span) Decision(d Decision) {
	if s == nil {
		return
	}
	if d.Route != "" {
		s.span.SetName(s.method + " " + d.Route)
	}
	s.add(attribute.String("approovgate.verdict", d.Verdict), attribute.String("approovgate.reason", d.Reason),
		attribute.String("approovgate.action", d.Action), attribute.String("approovgate.mode", d.Mode),
		attribute.String("approovgate.route", d.Route))
}

// Upstream notes the status that the API answered with or, if it gave no answer, what went wrong, as one
// of a few words such as "timeout". Without an answer the status is 0, with one the failure is empty.
func (s *Span) Upstream(status int, failure string) {
	if s == nil {
		return
	}
	if status != 0 {
		s.add(attribute.Int("approovgate.upstream.status_code", status))
	}
	s.failure = failure
}

// End ends the span with the status that the client got, or 0 if it got none. A status of 500 or above
// makes it a failed one.
func (s *Span) End(status int) {
	if s == nil {
		return
	}
	if status != 0 {
		s.add(semconv.HTTPResponseStatusCode(status))
	}
	if s.failure == "" && status >= http.StatusInternalServerError {
		s.failure = strconv.Itoa(status)
	}
	if s.failure != "" {
		s.add(semconv.ErrorTypeKey.String(s.failure))
		s.span.SetStatus(codes.Error, "")
	}
	s.span.SetAttributes(s.attributes...)
	s.span.End()
}

// knownMethod is a method, or the word that the conventions have for all that are not well known:
// clients could make up any number of them.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

// hostname is an authority without user information, which must not be there (RFC 9110 §4.2.4), and port.
// What is not UTF-8 is left out: the encoding of spans refuses a whole batch for it.
func hostname(authority string) string {
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if host, _, err := net.SplitHostPort(authority); err == nil {
		authority = host
	}
	return strings.ToValidUTF8(strings.Trim(authority, "[]"), "")
}

// protocolVersion is the version as the conventions write it: 1.0, 1.1, 2.
func protocolVersion(r *http.Request) string {
	switch {
	case r.ProtoMajor == 1:
		return "1." + strconv.Itoa(r.ProtoMinor)
	case r.ProtoMajor > 1:
		return strconv.Itoa(r.ProtoMajor)
	}
	return ""
}
