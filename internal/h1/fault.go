package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrMalformed is what every error is that says that a response breaks HTTP/1.1, or our bounds.
var ErrMalformed = errors.New("the upstream's answer is not valid HTTP/1.1")

// malformed says what is wrong with a response. It is always a constant: what the upstream sent may hold a
// token, and errors are logged.
type malformed string

func (m malformed) Error() string { return "the upstream's answer is not valid HTTP/1.1: " + string(m) }

// Is makes every malformed an ErrMalformed.
func (m malformed) Is(target error) bool { return target == ErrMalformed }

// ErrUnsendable is what every error is that says that a request cannot be written as HTTP/1.1, or that there
// is no Fallback to send it. The upstream has seen nothing of the request.
var ErrUnsendable = errors.New("the request cannot be sent")

// unsendable says why. It is always a constant, too.
type unsendable string

func (u unsendable) Error() string { return "the request cannot be sent: " + string(u) }

// Is makes every unsendable an ErrUnsendable.
func (u unsendable) Is(target error) bool { return target == ErrUnsendable }

// BodyError is a failure to read a request's content from its sender. The upstream has seen nothing of
// the request, and has no part in the failure. A timeout in it is the sender's: look for a BodyError first.
type BodyError struct{ Err error }

// Error does not quote Err, which may quote the sender.
func (e *BodyError) Error() string { return "the request's content could not be read" }

// Unwrap returns the error of Request.Body.
func (e *BodyError) Unwrap() error { return e.Err }

// timeout is the error of an upstream that takes too long. It implements net.Error.
type timeout struct{}

func (timeout) Error() string   { return "the upstream did not answer in time" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// Is makes it a context.DeadlineExceeded, as http.Transport's is.
func (timeout) Is(target error) bool { return target == context.DeadlineExceeded }

var (
	errNoAnswer = fmt.Errorf("the upstream closed the connection before it answered: %w", io.EOF)
	errCutHead  = fmt.Errorf("the upstream closed the connection within a header: %w", io.ErrUnexpectedEOF)

	errNotTaken = unsendable("it needs a transport for more than plain HTTP/1.1")

	// errStale is a connection that has ended, or holds bytes that nobody asked for, before a request was
	// sent on it. It does not leave the package.
	errStale = errors.New("stale connection")
)
