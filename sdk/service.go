package sdk

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// fault is what went wrong with one request to the service.
type fault struct {
	kind  kind
	final Status // kind final: what the fetch comes to, without asking anyone else
	err   error
	after time.Duration // the service asks to be left alone for so long
}

// kind is what a fault says of the network and the service.
type kind int

const (
	unreachable kind = iota // no answer in time, a connection that broke, a name that is not found
	noRoute                 // the system has no way to send anything there
	down                    // the network works, and the service does not
	overloaded              // the service works, and wants to be asked later
	intercepted             // whoever answered is not the service
	final
)

// failure is what a whole fetch came to, if not to tokens.
type failure struct {
	status Status
	err    error
	after  time.Duration
}

func failed(status Status, err error) *failure { return &failure{status: status, err: err} }

// pauseBetween is the time between two attempts at the same address.
const pauseBetween = 200 * time.Millisecond

// ask asks the addresses of the service in turn, the primary ones first, each several times, until one answers. Every
// address gets its share of the time that ctx leaves, so that one that hangs does not take the failover's.
func (c *Client) ask(ctx context.Context, s *settings, once func(context.Context, string) *fault) *failure {
	if !s.local && !c.online() {
		return failed(NoNetwork, errOffline)
	}
	var v verdict
	end, _ := ctx.Deadline()
	for i, base := range s.bases {
		share := time.Until(end) / time.Duration(len(s.bases)-i)
		shared, cancel := context.WithTimeoutCause(ctx, share, errTimeout)
		worst := c.askOne(shared, s, base, once)
		cancel()
		if worst == nil {
			return nil
		}
		if worst.kind == final {
			return failed(worst.final, worst.err)
		}
		v.note(worst, i < s.primary)
		if ctx.Err() != nil {
			break
		}
	}
	return v.failure()
}

// askOne asks one address, and again if that may help. It returns nil, or the last fault.
func (c *Client) askOne(ctx context.Context, s *settings, base string, once func(context.Context, string) *fault) *fault {
	for try := 0; ; try++ {
		f := once(ctx, base)
		if f == nil || f.kind == final || f.kind == intercepted || f.kind == overloaded || try == s.retries || !sleep(ctx, pauseBetween) {
			return f
		}
		if f.kind == unreachable {
			// A connection that went quiet, as when a telephone changes networks, is not to be had again. The request
			// that was given up had the pause to leave it: only then is it idle.
			s.service.CloseIdleConnections()
		}
	}
}

var errOffline = errors.New("there is no network")

// verdict gathers the faults of all addresses.
type verdict struct {
	asked, routeless         int
	intercepted              *fault
	primaryUp, failoverThere bool // an address that may be up, for all we know
	last                     *fault
	after                    time.Duration
}

func (v *verdict) note(f *fault, primary bool) {
	v.asked++
	v.last = f
	v.after = max(v.after, f.after)
	switch {
	case f.kind == noRoute:
		v.routeless++
	case f.kind == intercepted:
		v.intercepted = f
	}
	// A failover that is not in service answers 503. One that cannot be reached may be in service.
	if primary {
		v.primaryUp = v.primaryUp || f.kind != down
	} else {
		v.failoverThere = v.failoverThere || f.kind != down && f.kind != overloaded
	}
}

// failure is what the faults come to.
func (v *verdict) failure() *failure {
	switch {
	case v.intercepted != nil:
		return &failure{MITMDetected, v.intercepted.err, v.after}
	case v.asked == v.routeless:
		return &failure{NoNetwork, v.last.err, v.after}
	case !v.primaryUp && !v.failoverThere:
		return &failure{NoApproovService, v.last.err, v.after}
	}
	return &failure{PoorNetwork, v.last.err, v.after}
}

// post sends a request and decodes the answer.
func post(ctx context.Context, s *settings, url string, request, response any) *fault {
	body, err := json.Marshal(request)
	if err != nil {
		return &fault{kind: final, final: InternalError, err: err}
	}
	answer, _, f := send(ctx, s, url, body, nil)
	if f != nil || answer == nil {
		return f
	}
	if err := json.Unmarshal(answer, response); err != nil {
		return &fault{kind: down, err: errors.New("the service's answer is no JSON of ours")}
	}
	return nil
}

// send sends a body and returns what came with status 200. It is nil for 304.
func send(ctx context.Context, s *settings, url string, body []byte, header http.Header) ([]byte, http.Header, *fault) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.attempt, errTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, &fault{kind: final, final: InternalError, err: err}
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.service.Do(request)
	if err != nil {
		return nil, nil, classify(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	answer, err := io.ReadAll(io.LimitReader(response.Body, attestapi.MaxResponse+1))
	switch {
	case err != nil:
		return nil, nil, classify(ctx, err)
	case len(answer) > attestapi.MaxResponse:
		return nil, nil, &fault{kind: down, err: fmt.Errorf("the service's answer has more than %d bytes", attestapi.MaxResponse)}
	case response.StatusCode == http.StatusNotModified:
		return nil, nil, nil
	case response.StatusCode != http.StatusOK:
		return nil, nil, refusal(response, answer)
	}
	return answer, response.Header, nil
}

// refusal is the fault of an answer with another status.
func refusal(response *http.Response, answer []byte) *fault {
	var problem attestapi.Problem
	_ = json.Unmarshal(answer, &problem) // what is no problem of ours has no code of ours
	err := fmt.Errorf("the service answered with status %d", response.StatusCode)
	after := retryAfter(response.Header.Get("Retry-After"))
	switch status := response.StatusCode; {
	case status == http.StatusForbidden && problem.Code == attestapi.CodeAccountUnknown:
		return &fault{kind: final, final: NoApproovService, err: errors.New("the service does not know the account")}
	case status == http.StatusBadRequest && problem.Code == attestapi.CodeMalformed, status == http.StatusRequestEntityTooLarge && problem.Code == attestapi.CodeTooLarge:
		return &fault{kind: final, final: InternalError, err: fmt.Errorf("the service does not understand the request (%s); is the SDK too old for it?", problem.Code)}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && after > 0:
		return &fault{kind: overloaded, err: err, after: after}
	}
	return &fault{kind: down, err: err}
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3) in its form in seconds: a date would need the wall clock.
// One that is there in another form counts as a second.
func retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // one out of range comes out as the largest
		seconds = 1
	}
	return time.Duration(max(seconds, 1)) * time.Second
}

const wsaeConnRefused = syscall.Errno(10061) // what Windows calls ECONNREFUSED

// classify is the fault of a request that got no whole answer.
func classify(ctx context.Context, err error) *fault {
	var (
		pin         *PinError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &pin), errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return &fault{kind: intercepted, err: err}
	case errors.Is(err, syscall.ECONNREFUSED), runtime.GOOS == "windows" && errors.Is(err, wsaeConnRefused):
		return &fault{kind: down, err: err}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return &fault{kind: noRoute, err: err}
	case ctx.Err() != nil:
		return &fault{kind: unreachable, err: context.Cause(ctx)}
	}
	return &fault{kind: unreachable, err: err}
}
