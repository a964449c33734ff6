// Package manageclient talks to the management API of an attestation server, for the programs that people and
// pipelines use: one request with a management token, one answer, bounded in size and time.
//
// It owns the transport and what its failures are called. What is asked for, and what is printed, is the caller's.
// It must not print, keep or repeat a token.
//
// Start reading at New, then Client.Do.
package manageclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	// Timeout bounds one request, from the first byte of the connection to the last of the answer.
	Timeout = 15 * time.Second

	maxAnswer  = 8 << 20          // bytes of an answer
	maxHeader  = 64 << 10         // bytes of its header
	attempts   = 3                // of a read that the server puts off
	defaultPut = time.Second      // how long it is put off if the server does not say
	longestPut = 10 * time.Second // a server that asks for more is not waited for
)

// Client asks one server with one management token. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	agent string
	http  *http.Client
	wait  func(context.Context, time.Duration) error
}

// Options are what a Client is made of.
type Options struct {
	Server      string         // https://host:port; http:// for loopback addresses only
	Token       string         // the management token
	Authorities *x509.CertPool // who may have signed the server's certificate; nil: the system's
	Agent       string         // User-Agent

	Wait func(context.Context, time.Duration) error // nil: the time passes
}

// New makes a Client. It does not connect.
func New(o Options) (*Client, error) {
	base, err := parseServer(o.Server)
	if err != nil {
		return nil, err
	}
	if err := CheckToken(o.Token); err != nil {
		return nil, err
	}
	if o.Wait == nil {
		o.Wait = pass
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Authorities},
		DisableCompression:     true, // so that what is counted is what arrives
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, token: o.Token, agent: o.Agent, wait: o.Wait,
		http: &http.Client{Transport: transport, CheckRedirect: stay, Timeout: Timeout}}, nil
}

// Close ends the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Server is the server's address.
func (c *Client) Server() string { return c.base.String() }

// parseServer reads a server's address. The power over an account must not cross a network in the clear.
func parseServer(text string) (*url.URL, error) {
	const form = "must be a URL such as https://attest.example.com:8484"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the server's address %s", form)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the server's address %q %s", text, form)
	case u.Scheme == "http" && !loopback:
		return nil, fmt.Errorf("the server's address %q %s; http:// is for loopback addresses only, the management token would cross the network in the clear", text, form)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// maxToken is how long a management token may be, in bytes: it must fit into a header line.
const maxToken = 8 << 10

// CheckToken reports what cannot be a management token, without repeating it.
func CheckToken(token string) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsFunc(token, odd) {
		return errors.New("is not a management token: want three parts of letters and digits with dots between them, such as eyJhbGciO….eyJhY2N0I….q0Vf…")
	}
	return nil
}

// Request is a request of the management API.
type Request struct {
	Method  string // empty: GET
	Path    string // one of attestapi's Path constants
	Query   url.Values
	Body    any    // sent as JSON; nil: none
	IfMatch string // the entity tag that a change relies on; empty: none
	DryRun  bool   // the change is judged and not made
}

// Answer is what the server answered.
type Answer struct {
	Text []byte // the document, as JSON
	Tag  string // the entity tag: the account's version; empty: none
}

// Do sends a request and decodes the answer into a document, unless that is nil. A read that the server puts off, by
// 429 or 503, is tried again; a change never is. The error is a *Refusal, an *Unreachable, the context's, or that of a
// body that cannot be JSON.
func (c *Client) Do(ctx context.Context, r Request, into any) (Answer, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	for attempt := 1; ; attempt++ {
		answer, later, err := c.once(ctx, r)
		if err == nil && into != nil {
			if err := json.Unmarshal(answer.Text, into); err != nil {
				return Answer{}, c.unreachable("answers %s with something else than the management API's document; is it an attestation server of this version?", r.Path)
			}
		}
		if err == nil || r.Method != http.MethodGet || later < 0 || later > longestPut || attempt == attempts {
			return answer, err
		}
		if err := c.wait(ctx, later); err != nil {
			return Answer{}, err
		}
	}
}

// once sends a request. When the server puts it off, later is for how long; otherwise it is negative.
func (c *Client) once(ctx context.Context, r Request) (answer Answer, later time.Duration, err error) {
	request, err := c.request(ctx, r)
	if err != nil {
		return Answer{}, -1, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, -1, c.failed(ctx, r, err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")) // empty if it is none
	switch {
	case err != nil:
		return Answer{}, -1, c.failed(ctx, r, err)
	case len(text) > maxAnswer:
		return Answer{}, -1, c.unreachable("answers %s with more than %d bytes; is it an attestation server?", r.Path, maxAnswer)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return Answer{}, postponed(response), c.refused(response.StatusCode, kind, r.Path, text)
	case len(text) > 0 && !(kind == "application/json" && json.Valid(text)):
		return Answer{}, -1, c.unreachable("does not answer %s as an attestation server does; is the address right?", r.Path)
	}
	if len(text) == 0 {
		text = []byte("{}") // 204
	}
	return Answer{Text: text, Tag: response.Header.Get("ETag")}, -1, nil
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	u := *c.base
	u.Path += r.Path
	query := url.Values{}
	for name, values := range r.Query {
		query[name] = values
	}
	if r.DryRun {
		query.Set("dry_run", "true")
	}
	u.RawQuery = query.Encode()
	var body io.Reader
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json, application/problem+json")
	request.Header.Set("User-Agent", c.agent)
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.IfMatch != "" {
		request.Header.Set("If-Match", r.IfMatch)
	}
	return request, nil
}

// postponed is for how long a server puts a request off; negative: it does not.
func postponed(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return -1
	}
	text := response.Header.Get("Retry-After")
	if text == "" {
		return defaultPut
	}
	seconds, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return -1 // a date: none of our servers sends one
	}
	return time.Duration(seconds) * time.Second
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refusal is a server's word on what it has not done.
type Refusal struct{ attestapi.Problem }

func (r *Refusal) Error() string {
	text := r.Detail
	if text == "" {
		text = r.Title
	}
	if text == "" {
		text = fmt.Sprintf("the server refuses it (%d)", r.Status)
	}
	if r.Request != "" {
		text += " (request " + r.Request + ")"
	}
	return text
}

// Unreachable is why no attestation server answered.
type Unreachable struct{ text string }

func (u *Unreachable) Error() string { return u.text }

func (c *Client) unreachable(format string, args ...any) error {
	return &Unreachable{c.base.String() + " " + fmt.Sprintf(format, args...)}
}

// refused makes an error of an answer that is not a success.
func (c *Client) refused(status int, kind, path string, text []byte) error {
	var p attestapi.Problem
	if kind != "application/problem+json" || json.Unmarshal(text, &p) != nil {
		if status == http.StatusUnauthorized {
			return &Refusal{attestapi.Problem{Status: status, Code: attestapi.CodeUnauthorized}}
		}
		if status == http.StatusBadRequest && c.base.Scheme == "http" { // the word of a server that wants TLS
			return c.unreachable("answers 400 to %s, and not as an attestation server does; is it https://, and is the address right?", path)
		}
		return c.unreachable("answers %d to %s, and not as an attestation server does; is the address right?", status, path)
	}
	p.Status = status
	return &Refusal{p}
}

// failed says why there was no answer. It repeats nothing of the request but its path: a query may hold what is
// nobody else's business.
func (c *Client) failed(ctx context.Context, r Request, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var late net.Error // also of an answer that has begun
	if errors.As(err, &late) && late.Timeout() {
		hint := "is it overloaded, or a firewall in the way?"
		if r.Method != http.MethodGet && !r.DryRun {
			hint = "it may have made the change all the same: look before you try again"
		}
		return c.unreachable("did not answer within %s; %s", Timeout, hint)
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var authority x509.UnknownAuthorityError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return c.unreachable("has a certificate of an unknown authority; name the authority's file with -ca")
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return c.unreachable("does not speak TLS; is it http://, on this machine?")
	}
	return c.unreachable("cannot be reached: %v; is the server running there? -server or APPROOV_SERVER says where it is", err)
}
