package pins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

const (
	port        = "443"
	defaultTime = 10 * time.Second // for one server, from the name to the certificates
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
}

// Chain is what is served on a domain. It sends nothing but a TLS handshake.
func (p Prober) Chain(ctx context.Context, domain string) (Chain, error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTime
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := p.Connect
	if address == "" {
		address = net.JoinHostPort(domain, port)
	}
	// Verified below: the handshake is to succeed also with a chain that is not trusted.
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Control: p.control},
		Config:    &tls.Config{ServerName: domain, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}, //nolint:gosec // see above
	}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v", timeout)
		}
		return Chain{}, fmt.Errorf("%s cannot be reached: %w", domain, err)
	}
	defer func() { _ = connection.Close() }() // nothing was written to it
	return p.chain(domain, connection.(*tls.Conn).ConnectionState().PeerCertificates)
}

// chain describes what a server has sent.
func (p Prober) chain(domain string, served []*x509.Certificate) (Chain, error) {
	if len(served) == 0 || len(served) > maxChain {
		return Chain{}, fmt.Errorf("%s shows %d certificates, want 1 to %d", domain, len(served), maxChain)
	}
	var c Chain
	intermediates := x509.NewCertPool()
	for _, one := range served {
		c.Certificates = append(c.Certificates, Of(one))
	}
	for _, one := range served[1:] {
		intermediates.AddCert(one)
	}
	o := x509.VerifyOptions{DNSName: domain, Roots: p.Roots, Intermediates: intermediates}
	if p.Now != nil {
		o.CurrentTime = p.Now()
	}
	verified, err := served[0].Verify(o)
	if err != nil {
		c.Problem = err
		return c, nil
	}
	for _, chain := range verified[:min(len(verified), maxVerified)] {
		var described []Certificate
		for _, one := range chain {
			described = append(described, Of(one))
		}
		c.verified = append(c.verified, described)
	}
	for _, one := range c.verified[0] {
		if !slices.ContainsFunc(c.Certificates, func(have Certificate) bool { return have.Pin == one.Pin }) {
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

// Addresses that are global unicast by their form, and yet not of the public internet (RFC 6890 and its registries).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0:0/96"), netip.MustParsePrefix("fec0::/10"),
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}
