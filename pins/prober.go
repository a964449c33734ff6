package pins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	port        = "443"
	defaultTime = 10 * time.Second // for one server, from the name to the certificates
	maxServed   = 32               // certificates of a server; three or four are usual
	maxVerified = 8                // chains that are looked at
)

// Prober asks servers for their certificates. The zero value asks any server of the system's resolver, and trusts what
// the system trusts.
type Prober struct {
	Roots   *x509.CertPool   // nil: the system's
	Connect string           // host:port to connect to in every domain's place; empty: the domain itself, port 443
	Public  bool             // refuse addresses that are not of the public internet
	Timeout time.Duration    // for one server; 0: 10 s
	Now     func() time.Time // nil: time.Now

	resolver *net.Resolver // nil: the system's
}

// Chain is what is served on a domain. It sends nothing but a TLS handshake. The error says "DOMAIN cannot be reached"
// and why, or what is wrong with what was served; a chain that is not trusted is no error.
func (p Prober) Chain(ctx context.Context, domain string) (Chain, error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTime
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := p.Connect
	if address == "" {
		address = net.JoinHostPort(domain, port)
	}
	served, err := p.handshake(limited, domain, address)
	if err != nil {
		if ctx.Err() == nil && timedOut(err) {
			err = reworded{fmt.Sprintf("no answer within %v", timeout), err}
		}
		return Chain{}, fmt.Errorf("%s cannot be reached: %w", domain, plainly(err))
	}
	return p.chain(domain, served)
}

// handshake is what a server sends. Whether it is trusted is for chain to say: the handshake is to succeed in any case.
// A server that wants a certificate of its clients ends it, in TLS 1.2, when it gets none; by then it has proven that
// it has the key of its own, and that is all that is asked of it.
func (p Prober) handshake(ctx context.Context, domain, address string) (served []*x509.Certificate, err error) {
	proven := false
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Control: p.control, Resolver: p.resolver},
		Config: &tls.Config{ServerName: domain, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, //nolint:gosec // see above
			VerifyConnection: func(s tls.ConnectionState) error {
				served = s.PeerCertificates
				return nil
			},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				proven = true // it is asked for after the server's signature has been verified (RFC 5246 §7.3)
				return &tls.Certificate{}, nil
			}},
	}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if proven {
			return served, nil
		}
		return nil, err
	}
	_ = connection.Close() // nothing was written to it
	return served, nil
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}

// plainly says what the errors of the standard library leave out or say too much of: which resolver was asked is
// nobody's business, and a port that is another one each time would make one failure look like many.
func plainly(err error) error {
	name, unresolved := errors.AsType[*net.DNSError](err)
	at, broken := errors.AsType[*net.OpError](err)
	switch {
	case unresolved:
		return reworded{"its name cannot be resolved: " + name.Err, err}
	case errors.Is(err, io.EOF):
		return reworded{"the connection was closed in the TLS handshake", err}
	case broken && (at.Op == "read" || at.Op == "write"):
		return at.Err
	}
	return err
}

// reworded is an error in other words, which can still be told from others.
type reworded struct {
	text string
	error
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.error }

// steady is an error on a certificate's dates that reads the same every time: the standard library's has the time of
// the look in it.
func steady(err error) error {
	if dates, ok := errors.AsType[x509.CertificateInvalidError](err); ok && dates.Reason == x509.Expired && dates.Cert != nil {
		dates.Detail = fmt.Sprintf("it is valid from %s to %s", dates.Cert.NotBefore.UTC().Format(time.DateOnly), dates.Cert.NotAfter.UTC().Format(time.DateOnly))
		return dates
	}
	return err
}

// chain describes what a server has sent.
func (p Prober) chain(domain string, served []*x509.Certificate) (Chain, error) {
	if len(served) == 0 || len(served) > maxServed {
		return Chain{}, fmt.Errorf("%s shows %d certificates, want 1 to %d", domain, len(served), maxServed)
	}
	c := Chain{Certificates: describe(served)}
	intermediates := x509.NewCertPool()
	for _, one := range served[1:] {
		intermediates.AddCert(one)
	}
	o := x509.VerifyOptions{DNSName: domain, Roots: p.Roots, Intermediates: intermediates}
	if p.Now != nil {
		o.CurrentTime = p.Now()
	}
	verified, err := served[0].Verify(o)
	if err != nil {
		c.Problem = steady(err)
		return c, nil
	}
	for _, chain := range verified[:min(len(verified), maxVerified)] {
		c.verified = append(c.verified, describe(chain))
	}
	for _, one := range c.verified[0] {
		if !has(c.Certificates, one.Pin) {
			c.Certificates = append(c.Certificates, one)
		}
	}
	return c, nil
}

// ErrPrivate is why a Prober with Public does not connect.
var ErrPrivate = errors.New("its address is not of the public internet")

// control is asked of every address before it is connected to: names that resolve to something else the next time
// cannot lead it astray.
func (p Prober) control(_, address string, _ syscall.RawConn) error {
	if !p.Public {
		return nil
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !public(to.Addr()) {
		return ErrPrivate
	}
	return nil
}
