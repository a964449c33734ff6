package attestserver

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"

	"github.com/approovgate/approovgate/attestapi"
)

// route is an endpoint.
type route struct {
	method string
	handle func(w http.ResponseWriter, r *http.Request, body []byte, id string) error // body: of a POST
}

// fault is a request that is not answered as asked: because of its form, never because of what an attestation says.
type fault struct {
	status int
	code   string
	detail string
	retry  int // seconds; 0: it is not said when to come again
}

func (f *fault) Error() string { return f.detail }

func malformed(format string, args ...any) error {
	return &fault{status: http.StatusBadRequest, code: attestapi.CodeMalformed, detail: fmt.Sprintf(format, args...)}
}

// busy asks the client to come again soon.
func busy(detail string) error {
	return &fault{http.StatusServiceUnavailable, attestapi.CodeUnavailable, detail, 1}
}

// ServeHTTP answers the paths of package attestapi that apps and gates use.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := s.requestID()
	if err == nil {
		err = s.serve(w, r, id)
	}
	if err == nil {
		return
	}
	var f *fault
	if !errors.As(err, &f) {
		s.log.Error("request could not be answered", slog.String("path", r.URL.Path), slog.String("rid", id), slog.Any("error", err))
		f = &fault{status: http.StatusInternalServerError, code: attestapi.CodeInternal, detail: "the request could not be answered"}
	}
	writeProblem(w, f, id)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, id string) error {
	route, known := s.routes[r.URL.Path]
	switch {
	case !known:
		return &fault{status: http.StatusNotFound, code: attestapi.CodeNotFound, detail: "there is nothing at this path"}
	case r.Method != route.method && !(route.method == http.MethodGet && r.Method == http.MethodHead):
		w.Header().Set("Allow", route.method)
		return &fault{status: http.StatusMethodNotAllowed, code: attestapi.CodeMalformed, detail: "use " + route.method}
	}
	var body []byte
	if route.method == http.MethodPost {
		var err error
		if body, err = readBody(w, r); err != nil {
			s.metrics.refused(r.URL.Path)
			return err
		}
	}
	select { // only now: a client that sends slowly takes no place
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		s.metrics.overload.Inc()
		return busy("too many requests are being worked on")
	}
	return route.handle(w, r, body, id)
}

// requestID names a request in logs and answers.
func (s *Server) requestID() (string, error) {
	var raw [8]byte
	if _, err := io.ReadFull(s.o.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("randomness: %w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// readBody reads a JSON body within bounds.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &fault{status: http.StatusUnsupportedMediaType, code: attestapi.CodeMalformed, detail: "Content-Type must be application/json"}
	}
	if r.ContentLength > attestapi.MaxRequest {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, attestapi.MaxRequest))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case err != nil:
		return nil, malformed("the body could not be read")
	}
	return body, nil
}

func tooLarge() error {
	return &fault{status: http.StatusRequestEntityTooLarge, code: attestapi.CodeTooLarge,
		detail: fmt.Sprintf("the body is longer than %d bytes", attestapi.MaxRequest)}
}

// named finds the account a request names. That there is none is said, so that an SDK can tell its app that there
// is no service for it (manual, "Token Fetch Errors": account cancelled). Names of accounts are no secrets: they
// stand in every app. A library that is not there, never was or was removed, is not told apart from a good one: who
// makes one up must not learn that it was seen through.
func (s *Server) named(name string) (*compiled, error) {
	if s.snapshot.Load() == nil {
		return nil, busy("the accounts have not been read yet")
	}
	c := s.find(name)
	if c == nil {
		return nil, &fault{status: http.StatusForbidden, code: attestapi.CodeAccountUnknown, detail: "there is no such account"}
	}
	return c, nil
}

// writeJSON answers 200 with a body.
func writeJSON(w http.ResponseWriter, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	writeBody(w, "application/json", body)
	return nil
}

func writeBody(w http.ResponseWriter, kind string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{kind}
	h["Cache-Control"] = []string{"no-store"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.Write(body) // an error is the client's, who has gone
}

// writeProblem answers with an error (RFC 9457).
func writeProblem(w http.ResponseWriter, f *fault, id string) {
	body, err := json.Marshal(attestapi.Problem{Title: http.StatusText(f.status), Status: f.status, Detail: f.detail, Code: f.code, Request: id})
	if err != nil {
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(f.status)
	w.Write(body) // an error is the client's, who has gone
}
