package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// statuses is the status of each code.
var statuses = map[string]int{
	attestapi.CodeMalformed:    http.StatusBadRequest,
	attestapi.CodeInvalid:      http.StatusUnprocessableEntity,
	attestapi.CodeUnauthorized: http.StatusUnauthorized,
	attestapi.CodeForbidden:    http.StatusForbidden,
	attestapi.CodeNotFound:     http.StatusNotFound,
	attestapi.CodeConflict:     http.StatusConflict,
	attestapi.CodeStale:        http.StatusPreconditionFailed,
	attestapi.CodeLimit:        http.StatusConflict,
	attestapi.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	attestapi.CodeRateLimited:  http.StatusTooManyRequests,
	attestapi.CodeUnavailable:  http.StatusServiceUnavailable,
	attestapi.CodeInternal:     http.StatusInternalServerError,
	attestapi.CodeUnreachable:  http.StatusBadGateway,
}

const problemType = "application/problem+json"

// retryUnavailable is when to try again if the database cannot be reached, or too much goes on, in seconds.
const retryUnavailable = "5"

// problem is an attestapi.Problem as huma writes it.
type problem struct {
	attestapi.Problem
	cause error         // for the log; nil: the client's fault
	wait  time.Duration // until it may be tried again, of those that may; 0: retryUnavailable
}

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return problemType }

// newProblem makes a problem; a status of 0 is that of the code.
func newProblem(code string, status int, detail string) *problem {
	if status == 0 {
		status = statuses[code]
	}
	return &problem{Problem: attestapi.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: code}}
}

var errStale = errors.New("manage: the account has changed since If-Match")

// problemOf tells a person what went wrong. What is not the asker's fault is told to the log only.
func problemOf(err error) *problem {
	var refused *account.Error
	var already *problem
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &refused):
		return newProblem(refused.Code, 0, refused.Text)
	case errors.Is(err, errStale):
		return newProblem(attestapi.CodeStale, 0, "the account has changed since it was read; read it again, and then decide")
	case errors.Is(err, store.ErrNotFound):
		return newProblem(attestapi.CodeUnauthorized, 0, account.Unauthorized)
	}
	p := newProblem(attestapi.CodeUnavailable, 0, "the service cannot reach its database; try again in a few seconds")
	p.cause = err
	return p
}

// internal is the problem of a fault of ours.
func internal(cause error) *problem {
	p := newProblem(attestapi.CodeInternal, 0, "the service has failed; whoever runs it finds the reason in its log under the request's ID")
	p.cause = cause
	return p
}

// asProblem turns huma's own errors into problems. What they repeat of the request is left out: it may be a secret.
func (a *API) asProblem(ctx huma.Context, _ string, v any) (any, error) {
	var p *problem
	switch v := v.(type) {
	case *huma.ErrorModel:
		p = fromHuma(v)
	case *problem:
		p = v
	default:
		return v, nil
	}
	shared := *p // a problem may be a value that others use
	r := requestOf(ctx.Context())
	shared.Request = r.id
	r.problem = &shared
	switch shared.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		after := retryUnavailable
		if shared.wait > 0 {
			after = retryAfter(shared.wait)
		}
		ctx.SetHeader("Retry-After", after)
	case http.StatusUnauthorized:
		ctx.SetHeader("WWW-Authenticate", challenge)
	}
	return &shared, nil
}

// fromHuma says of huma's errors where they are and what they want.
func fromHuma(v *huma.ErrorModel) *problem {
	code := attestapi.CodeInvalid
	switch v.Status {
	case http.StatusUnprocessableEntity:
	case http.StatusRequestEntityTooLarge:
		return newProblem(attestapi.CodeTooLarge, 0, fmt.Sprintf("the request is longer than %d bytes", attestapi.MaxManageRequest))
	case http.StatusBadRequest, http.StatusRequestTimeout:
		code = attestapi.CodeMalformed
	case http.StatusUnsupportedMediaType:
		return newProblem(attestapi.CodeMalformed, v.Status, "the request must be JSON: send Content-Type: application/json")
	default:
		return internal(errors.New(v.Detail))
	}
	var details []string
	for _, e := range v.Errors {
		if e == nil {
			continue
		}
		text := e.Message
		if e.Location != "" {
			text = strings.TrimPrefix(e.Location, "body.") + ": " + text
		}
		if details = append(details, text); len(details) == maxDetails {
			break
		}
	}
	detail := v.Detail
	if len(details) > 0 {
		detail = strings.Join(details, "; ")
	}
	return newProblem(code, v.Status, shorten(detail))
}

const (
	maxDetails = 5
	maxDetail  = 1000 // bytes
)

// shorten bounds what may repeat names of members that a client made up.
func shorten(text string) string {
	if len(text) > maxDetail {
		return strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}

// challenge is the answer's WWW-Authenticate (RFC 6750 §3).
const challenge = `Bearer realm="management"`

// write answers with a problem, outside huma.
func (p *problem) write(w http.ResponseWriter, r *request) {
	shared := *p
	shared.Request = r.id
	r.problem = &shared
	body, err := json.Marshal(shared.Problem)
	if err != nil {
		panic("manage: " + err.Error()) // strings and a number are always JSON
	}
	header := w.Header()
	header.Set("Content-Type", problemType)
	switch shared.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", retryUnavailable)
	}
	w.WriteHeader(shared.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
