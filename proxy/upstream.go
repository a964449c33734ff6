package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/h1"
)

// The bounds of the upstream side that nobody has asked to set. There is no limit on how long a body may
// take: streams live.
const (
	expectContinueTimeout = 1 * time.Second
	idleUpstreamTimeout   = 90 * time.Second
	idleUpstreamPerHost   = 1024    // idle connections kept; the default of 2 would dial per request under load
	maxResponseHeader     = 1 << 20 // bytes
)

// upstreamSide is the way to the API: the transport in force, which is a new one whenever the files of its
// certificates change, and what is counted about it.
type upstreamSide struct {
	config Upstream
	limits Limits
	now    func() time.Time // judges certificates; nil: time.Now
	traced bool             // requests may have spans

	live atomic.Pointer[http.Transport]

	// lean is for what relay takes; nil: the upstream speaks something else than plain HTTP/1.1. Where it is,
	// live keeps no connections: http.Transport may hand one to the next request before it has seen that the
	// upstream had sent more than its answer, which then is that request's answer.
	lean    *h1.Transport
	client  *pair             // the gate's own certificate; nil: none
	content [sha256.Size]byte // of the authorities' file when last taken; only refresh touches it
	stats   *upstreamStats
}

func newUpstreamSide(c Config, now func() time.Time) *upstreamSide {
	u := &upstreamSide{config: c.Upstream, limits: c.Limits, now: now, stats: newUpstreamStats(), traced: c.Tracing.Endpoint != ""}
	if c.Upstream.lean() {
		u.lean = &h1.Transport{
			Dial:    func(ctx context.Context) (net.Conn, error) { return u.dial(ctx, "tcp", addressOf(c.Upstream.URL)) },
			MaxIdle: idleUpstreamPerHost, IdleTimeout: idleUpstreamTimeout,
			ResponseHeaderTimeout: c.Limits.ResponseTimeout, MaxHeaderBytes: maxResponseHeader,
			Fallback: roundTripper(func(r *http.Request) (*http.Response, error) { return u.live.Load().RoundTrip(r) }),
		}
	}
	if c.Upstream.TLS.Cert != "" && c.Upstream.TLS.Key != "" {
		u.client = &pair{cert: c.Upstream.TLS.Cert, key: c.Upstream.TLS.Key}
	}
	return u
}

// refresh reads the files of certificates and makes a new transport when they have changed. What cannot be
// used changes nothing. It reports whether a new one is in force.
func (u *upstreamSide) refresh(now time.Time) (problems []config.Problem, changed bool) {
	if u.client != nil {
		problems, changed = u.client.refresh("upstream_tls", now)
	}
	var (
		roots   *x509.CertPool // nil: the system's
		content [sha256.Size]byte
	)
	if u.config.TLS.CA != "" {
		pool, text, err := readAuthorities(u.config.TLS.CA)
		if err != nil {
			return append(problems, config.Problem{Path: "upstream_tls.ca", Text: err.Error()}), false
		}
		roots, content = pool, sha256.Sum256(text)
		changed = changed || content != u.content
	}
	if config.Failed(problems) || u.live.Load() != nil && !changed {
		return problems, false
	}
	u.content = content
	if old := u.live.Swap(u.transport(roots)); old != nil {
		old.CloseIdleConnections() // requests under way keep theirs
	}
	return problems, true
}

// transport makes the connections to the upstream. HTTP/2 is spoken to https upstreams that offer it, and
// to h2c ones. Nothing is taken from the environment: a proxy variable must not divert what was checked.
func (u *upstreamSide) transport(roots *x509.CertPool) *http.Transport {
	protocols := new(http.Protocols)
	if u.config.H2C {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	secure := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: u.config.TLS.ServerName, Time: u.now}
	if u.client != nil {
		secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return u.client.live.Load(), nil }
	}
	return &http.Transport{
		DialContext:            u.dial,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    u.limits.DialTimeout,
		ResponseHeaderTimeout:  u.limits.ResponseTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		IdleConnTimeout:        idleUpstreamTimeout,
		MaxIdleConnsPerHost:    idleUpstreamPerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableKeepAlives:      u.lean != nil, // see there
		DisableCompression:     true,          // the client's Accept-Encoding decides, bodies pass untouched
		Protocols:              protocols,
	}
}

// dial connects to the upstream.
func (u *upstreamSide) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: u.limits.DialTimeout}
	if u.config.Socket != "" {
		network, address = "unix", u.config.Socket
	}
	return dialer.DialContext(ctx, network, address)
}

// RoundTrip sends a request to the upstream and counts what becomes of it.
func (u *upstreamSide) RoundTrip(r *http.Request) (*http.Response, error) {
	begin := monotonic()
	response, err := u.live.Load().RoundTrip(r)
	return u.counted(r, begin, response, err)
}

// exchange is RoundTrip for what relay takes.
func (u *upstreamSide) exchange(r *http.Request, hooks h1.Hooks) (*http.Response, error) {
	var begin int64
	ready := hooks.Ready
	hooks.Ready = func() error {
		err := ready()
		begin = monotonic()
		return err
	}
	response, err := u.lean.Exchange(r, hooks)
	if err == errNoPlace {
		return nil, err
	}
	return u.counted(r, begin, response, err)
}

func (u *upstreamSide) counted(r *http.Request, begin int64, response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		kind := faultOf(r, err)
		u.stats.failed(kind)
		u.trace(r, 0, faultNames[kind])
		return nil, err
	}
	u.stats.answered(response.StatusCode, time.Duration(monotonic()-begin))
	u.trace(r, response.StatusCode, "")
	return response, nil
}

// close ends the connections that are idle.
func (u *upstreamSide) close() {
	u.live.Load().CloseIdleConnections()
	if u.lean != nil {
		u.lean.CloseIdleConnections()
	}
}

// roundTripper is a function as a transport.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls it.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// addressOf is the host and port that a URL is dialed at.
func addressOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), portOf("", u.Scheme))
}

// fault is a kind of failure on the way to the upstream and back.
type fault int

const (
	faultConnect  fault = iota // no connection: refused, unreachable, no descriptors left
	faultTimeout               // no connection or no response header in time
	faultTLS                   // the upstream could not be verified, or speaks no TLS
	faultProtocol              // what came is no valid HTTP, or the connection ended early
	faultClient                // the client went away, or its body could not be read
	faults                     // how many there are
)

// faultNames are the kinds as metrics show them.
var faultNames = [faults]string{"connect", "timeout", "tls", "protocol", "client"}

// faultOf tells kinds of failures apart.
func faultOf(r *http.Request, err error) fault {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		op     *net.OpError
		dns    *net.DNSError
	)
	switch {
	case clientFault(err) != nil, errors.Is(err, context.Canceled), r.Context().Err() != nil:
		return faultClient
	case timedOut(err):
		return faultTimeout
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert):
		return faultTLS
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial", errors.Is(err, syscall.EMFILE), errors.Is(err, os.ErrNotExist):
		return faultConnect
	}
	return faultProtocol
}
