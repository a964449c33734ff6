package manage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// request is what is known of a request on its way.
type request struct {
	id      string
	at      time.Time
	token   string // text of the management token
	by      account.Actor
	account *account.Account // the shared one
	domain  string           // that was looked at
	problem *problem         // what it was answered with; nil: it went well
}

type requestKey struct{}

func requestOf(ctx context.Context) *request { return ctx.Value(requestKey{}).(*request) }

// ServeHTTP is the way of every request: it gets an ID, its address may ask, its token is verified and may ask, its
// path exists and its role is allowed there. Only then anything else of it is looked at.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &request{id: requestID(), at: a.o.Now()}
	out := &recorder{ResponseWriter: w}
	began := time.Now()
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			a.failed(out, req, fault)
		}
		a.log(r, req, out.status, time.Since(began))
	}()
	header := out.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Request-Id", req.id)
	if p := a.admit(out, r, req); p != nil {
		p.write(out, req)
		return
	}
	if r.URL.Path == attestapi.PathOpenAPI {
		header.Set("Content-Type", "application/openapi+json")
		_, _ = out.Write(a.openAPI) // the client may be gone
		return
	}
	r.Header.Set("Accept", "application/json") // there is nothing else
	a.mux.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), requestKey{}, req)))
}

// admit is everything that is asked of a request before its endpoint sees it.
func (a *API) admit(w http.ResponseWriter, r *http.Request, req *request) *problem {
	if wait, ok := a.clients.take(a.o.Address(r), req.at); !ok {
		w.Header().Set("Retry-After", retryAfter(wait))
		return newProblem(attestapi.CodeRateLimited, 0, "too many requests come from your address; wait a little")
	}
	public := r.URL.Path == attestapi.PathOpenAPI
	if !public {
		if p := a.authenticate(w, r, req); p != nil {
			return p
		}
	}
	methods := a.rights[r.URL.Path]
	if public {
		methods = map[string]account.Operation{http.MethodGet: ""}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	right, known := methods[method]
	switch {
	case methods == nil:
		return newProblem(attestapi.CodeNotFound, 0, fmt.Sprintf("there is nothing at %.200q; see %s", r.URL.Path, attestapi.PathOpenAPI))
	case !known:
		allowed := sortedKeys(methods)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return newProblem(attestapi.CodeMalformed, http.StatusMethodNotAllowed, fmt.Sprintf("%s takes %s", r.URL.Path, strings.Join(allowed, " and ")))
	case !public && !req.by.Role.May(right):
		return problemOf(req.by.Check(right))
	}
	return checkQuery(r)
}

// authenticate verifies the management token by the account this node knows. A change does so once more, by the
// account as it is then.
func (a *API) authenticate(w http.ResponseWriter, r *http.Request, req *request) *problem {
	refused := newProblem(attestapi.CodeUnauthorized, 0, account.Unauthorized)
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return refused
	}
	scheme, text, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refused
	}
	name, ok := account.TokenAccount(text)
	if !ok {
		return refused
	}
	if req.account = a.o.Accounts.Account(name); req.account == nil {
		if err := a.o.Accounts.Ready(); err != nil {
			return problemOf(err)
		}
		return refused
	}
	by, err := req.account.Verify(text, req.at)
	if err != nil {
		return refused
	}
	by.Request = req.id
	req.by, req.token = by, text
	if wait, ok := a.tokens.take(name+" "+by.TokenID, req.at); !ok {
		w.Header().Set("Retry-After", retryAfter(wait))
		return newProblem(attestapi.CodeRateLimited, 0, "too many requests come with your management token; wait a little")
	}
	return nil
}

// checkQuery refuses a query that could be read in two ways. In particular dry_run without a value must not make a
// change that was only to be tried.
func checkQuery(r *http.Request) *problem {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(attestapi.CodeMalformed, 0, "the query cannot be read; percent-encode names and values")
	}
	for name, given := range values {
		if len(given) != 1 || given[0] == "" {
			return newProblem(attestapi.CodeMalformed, 0, fmt.Sprintf("the query must have %.100q once, with a value", name))
		}
	}
	return nil
}

// failed answers after a panic, if nothing has been answered yet.
func (a *API) failed(out *recorder, req *request, fault any) {
	cause := fmt.Errorf("panic: %T", fault) // another value may be anything, also a secret
	if e, ok := fault.(runtime.Error); ok {
		cause = fmt.Errorf("panic: %w", e)
	}
	a.o.Log.Error("management request panicked", "rid", req.id, "error", cause.Error(), "stack", string(debug.Stack()))
	if out.status == 0 {
		internal(nil).write(out, req)
	}
}

// log writes the one line of a request. Its query is not in it: a token may be.
func (a *API) log(r *http.Request, req *request, status int, took time.Duration) {
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("rid", req.id), slog.String("method", r.Method), slog.String("path", shorten(r.URL.Path)),
		slog.Int("status", status), slog.Duration("took", took),
	}
	if req.by.TokenID != "" {
		attributes = append(attributes, slog.String("account", req.account.Name), slog.String("token", req.by.TokenID),
			slog.String("by", req.by.Name), slog.String("role", string(req.by.Role)))
	}
	if req.domain != "" {
		attributes = append(attributes, slog.String("domain", req.domain))
	}
	if req.problem != nil {
		attributes = append(attributes, slog.String("code", req.problem.Code))
		if req.problem.cause != nil {
			level = slog.LevelError
			attributes = append(attributes, slog.String("error", req.problem.cause.Error()))
		}
	}
	a.o.Log.LogAttrs(r.Context(), level, "management request", attributes...)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func requestID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
