package pinwatch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/pins"
)

// Looker looks at what domains serve, for the monitor and for people who ask. The zero value looks at the public
// internet only. It connects to port 443 and does no more there than a TLS handshake.
type Looker struct {
	Roots   *x509.CertPool    // who may have signed; nil: whom the system trusts
	Connect map[string]string // of a domain, in lower case: the host:port to connect to in its place, wherever that is
	Private bool              // connect also to addresses that are not of the public internet
	Timeout time.Duration     // for one look; 0: 10 s
	Now     func() time.Time  // that certificates are judged by; nil: time.Now
}

const (
	defaultTimeout = 10 * time.Second
	maxDetail      = 500 // bytes of what a server says of itself
)

// Chain is what a domain serves. Its errors are fit for whoever asks: they name no address that was found on the way.
func (l *Looker) Chain(ctx context.Context, domain string) (pins.Chain, error) {
	timeout := l.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connect, chosen := l.Connect[domain]
	p := pins.Prober{Roots: l.Roots, Connect: connect, Public: !l.Private && !chosen, Timeout: 2 * timeout, Now: l.Now}
	chain, err := p.Chain(bounded, domain)
	switch {
	case err == nil:
		return chain, nil
	case ctx.Err() != nil:
		return pins.Chain{}, ctx.Err()
	case bounded.Err() != nil:
		return pins.Chain{}, fmt.Errorf("%s cannot be reached: no answer within %v", domain, timeout)
	}
	return pins.Chain{}, fmt.Errorf("%s cannot be reached: %s", domain, reason(err))
}

// reason is an error of the network without its addresses.
func reason(err error) string {
	var unknown *net.DNSError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.Is(err, pins.ErrPrivate):
		return "its address is not of the public internet, where this service does not look unless it runs with --pin-private"
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return "its name has no address"
	case errors.As(err, &unknown):
		return "its name cannot be looked up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its address"
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "remote error":
		return "it refuses the TLS handshake"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closes the connection"
	}
	return "no TLS connection can be made"
}

// Served is what a domain serves, as the management API says it.
func (l *Looker) Served(ctx context.Context, domain string) (attestapi.ServedPins, error) {
	chain, err := l.Chain(ctx, domain)
	if err != nil {
		return attestapi.ServedPins{}, err
	}
	served := attestapi.ServedPins{Domain: domain, Certificates: []attestapi.ServedCertificate{}}
	for _, c := range chain.Certificates {
		served.Certificates = append(served.Certificates, attestapi.ServedCertificate{Pin: c.Pin, Expires: c.Expires.UTC(), Subject: plain(c.Subject)})
	}
	if chain.Problem != nil {
		served.Problem = plain(chain.Problem.Error())
	}
	return served, nil
}

// plain is a text that a server may have made up, such that it can be shown: bounded, and on one line.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxDetail {
		return strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}
