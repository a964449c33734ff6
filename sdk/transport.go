package sdk

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/token"
)

// DefaultHeader is where tokens are put (manual, "Key Components").
const DefaultHeader = "Approov-Token"

// Transport is an http.RoundTripper that puts a token into every request to an API domain of the account, and pins
// its connections. Other requests pass as they are: a token never goes to another domain, be it by a redirect, or over
// plain http. Set its fields before the first request. It may be used by any number of goroutines.
//
// When there is no token, what it does follows the manual's advice: a request goes on with an empty token when the
// service is down, so that the API's operator can decide to serve it (Class Continue); it is not made, and a
// *StatusError is returned, when the network is at fault (Retry) and in case of an Error.
type Transport struct {
	// Header carries the token. Default: DefaultHeader.
	Header string
	// Scheme stands before the token, such as Bearer. Default: nothing does.
	Scheme string
	// BindHeader is the header whose value tokens are bound to, such as Authorization: see
	// Client.SetDataHashInToken. One Client is for one user at a time: every change costs an attestation. Default: none.
	BindHeader string
	// BindNone is bound when a request does not have BindHeader: what the API knows as none. Default: what was bound
	// before stays.
	BindNone string
	// ProceedOnError makes a request of Class Error all the same, with the loggable token in place of the token: the API
	// refuses it, and its operator can see why. Default: no request.
	ProceedOnError bool

	client *Client
	base   http.RoundTripper

	mu     sync.Mutex // guards what follows
	seen   *settings  // those that pinned was last looked through for
	pinned map[string]pinned
}

// pinned is the transport of one domain with pins.
type pinned struct {
	pins  string // all of them
	inner *http.Transport
}

// Transport returns a Transport around base, which makes the requests. Nil is http.DefaultTransport. A base that is
// not an *http.Transport cannot be pinned: requests to domains that have pins are refused; put it around the Transport
// instead.
func (c *Client) Transport(base http.RoundTripper) *Transport {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{Header: DefaultHeader, client: c, base: base, pinned: map[string]pinned{}}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	domain, made, err := t.prepare(request)
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // a RoundTripper closes it, come what may
		}
		return nil, err
	}
	inner, err := t.inner(domain)
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	response, err := inner.RoundTrip(made)
	if pin := (*PinError)(nil); errors.As(err, &pin) {
		t.client.repin()
	}
	return response, err
}

// prepare returns the request to make: the one given, or a copy with a token. The domain is empty unless it is one of
// the account's.
func (t *Transport) prepare(request *http.Request) (domain string, made *http.Request, err error) {
	if !t.client.usable() {
		return "", nil, &StatusError{Status: NotInitialized, Domain: request.URL.Hostname()}
	}
	domain, ok := domainOf(request.URL.Hostname())
	if !ok {
		return "", request, nil // no domain can be registered that reads so
	}
	api, known := t.client.settings.Load().config.APIs[domain]
	if !known {
		return "", request, nil
	}
	if request.URL.Scheme != "https" {
		if api.Protected && !t.ProceedOnError {
			return "", nil, &StatusError{Status: BadURL, Domain: domain, Cause: errors.New("tokens go over https only")}
		}
		return domain, request, nil
	}
	if !api.Protected {
		return domain, request, nil
	}
	result := t.fetch(request, domain)
	value := result.Token
	switch {
	case result.Status == UnknownURL, result.Status == UnprotectedURL: // the configuration has just changed
		return domain, request, nil
	case result.Status.Class() == Continue:
	case result.Status.Class() == Error && t.ProceedOnError:
		value = result.LoggableToken
	default:
		return domain, nil, &StatusError{Status: result.Status, Domain: domain, Cause: result.Err}
	}
	if t.Scheme != "" && result.Status == Success {
		value = t.Scheme + " " + value
	}
	made = request.Clone(request.Context()) // a RoundTripper changes no request
	header := t.Header
	if header == "" {
		header = DefaultHeader
	}
	made.Header.Set(header, value)
	return domain, made, nil
}

// fetch fetches a token for a request, bound to what it says.
func (t *Transport) fetch(request *http.Request, domain string) Result {
	c := t.client
	c.calls.add(callsFetchSync)
	if t.BindHeader == "" {
		return c.count(c.fetch(request.Context(), domain, nil))
	}
	data := strings.Trim(request.Header.Get(t.BindHeader), " \t") // as it arrives
	if data == "" {
		data = t.BindNone
	}
	if data == "" {
		return c.count(c.fetch(request.Context(), domain, nil))
	}
	pay := token.Pay([]byte(data))
	return c.count(c.fetch(request.Context(), domain, &pay))
}

// inner is what makes the requests to a domain: base, or a copy of it that pins.
func (t *Transport) inner(domain string) (http.RoundTripper, error) {
	now := t.client.settings.Load()
	pins := now.config.APIs[domain].Pins
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen != now {
		t.drop(now)
	}
	if len(pins) == 0 { // any certificate will do (manual, "Pinning Android HttpsUrlConnection")
		return t.base, nil
	}
	if p, ok := t.pinned[domain]; ok {
		return p.inner, nil
	}
	base, ok := t.base.(*http.Transport)
	//lint:ignore SA1019 DialTLS is deprecated, and used
	if !ok || base.DialTLSContext != nil || base.DialTLS != nil {
		return nil, fmt.Errorf("approov: requests to %s must be pinned, which %T cannot be: give Client.Transport an *http.Transport that does its own TLS", domain, t.base)
	}
	inner := pinning(base, domain, pins)
	t.pinned[domain] = pinned{strings.Join(pins, " "), inner}
	return inner, nil
}

// drop gives up the connections that were made under other pins. The caller holds mu.
func (t *Transport) drop(now *settings) {
	for domain, p := range t.pinned {
		if strings.Join(now.config.APIs[domain].Pins, " ") != p.pins {
			p.inner.CloseIdleConnections() // one in use closes when it is idle, and is not used again
			delete(t.pinned, domain)
		}
	}
	t.seen = now
}

// pinning is a copy of base that makes connections to one domain, with one of its pins in the chain. That it is for one
// domain alone spares any question about whose pins count, such as which name TLS was asked for.
func pinning(base *http.Transport, domain string, pins []string) *http.Transport {
	inner := base.Clone()
	if inner.TLSClientConfig == nil {
		inner.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		// net/http speaks HTTP/2 on its own accord only as long as it is given no TLS configuration.
		inner.ForceAttemptHTTP2 = inner.ForceAttemptHTTP2 || base.DialContext == nil && base.TLSNextProto == nil
	}
	before := inner.TLSClientConfig.VerifyConnection
	inner.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
		if before != nil {
			if err := before(state); err != nil {
				return err
			}
		}
		return checkPins(domain, pins, state)
	}
	return inner
}

// CloseIdleConnections closes the connections of base and of the pinned copies.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pinned {
		p.inner.CloseIdleConnections()
	}
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// String and Format are for logs.
func (t *Transport) String() string             { return "sdk.Transport" }
func (t *Transport) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// repinEvery is how often connections that fail for their pins lead to a look for new pins.
const repinEvery = 10 * time.Second

// repin asks for a newer configuration in the background, as pins may have changed (manual, "Reacting to Configuration
// Changes"). The requests after it find it in force.
func (c *Client) repin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.closed || now.Before(c.repinning) {
		return
	}
	c.repinning = now.Add(repinEvery)
	c.running.Add(1)
	go func() { // ends with the request, or with Close
		defer c.running.Done()
		before := c.settings.Load()
		_ = c.refresh(c.life) // what is in force stays
		if c.settings.Load() != before {
			c.changed.Store(true)
		}
	}()
}
