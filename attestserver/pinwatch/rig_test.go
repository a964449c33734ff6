package pinwatch

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/pins"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// keys are a key of each kind that servers have, made once.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	for name, bits := range map[string]int{"RSA-2048": 2048, "RSA-4096": 4096} {
		all[name] = must(rsa.GenerateKey(rand.Reader, bits))
	}
	for name, curve := range map[string]elliptic.Curve{"EC-256": elliptic.P256(), "EC-384": elliptic.P384()} {
		all[name] = must(ecdsa.GenerateKey(curve, rand.Reader))
	}
	return all
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newKey is a fresh key of the cheapest kind.
func newKey() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// authority signs certificates.
type authority struct {
	key         crypto.Signer
	certificate *x509.Certificate
	above       *authority // nil: it is a root
}

func newAuthority(name string, above *authority) *authority {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	signer := &authority{key: key, certificate: template}
	if above != nil {
		signer = above
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, signer.certificate, key.Public(), signer.key))
	return &authority{key, must(x509.ParseCertificate(raw)), above}
}

// pool trusts the authority and nobody else.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *authority) pin() string { return pins.Of(a.certificate).Pin }

// certify makes a certificate of a domain, with the authorities below the root behind it.
func (a *authority) certify(domain string, key crypto.Signer, ends time.Time) *tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: ends, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	c := &tls.Certificate{PrivateKey: key, Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key))}}
	for up := a; up.above != nil; up = up.above {
		c.Certificate = append(c.Certificate, up.certificate.Raw)
	}
	return c
}

func pinOf(c *tls.Certificate) string {
	return pins.Of(must(x509.ParseCertificate(c.Certificate[0]))).Pin
}

// server serves TLS with a certificate that can be swapped, and nothing over it.
type server struct {
	address     string
	certificate atomic.Pointer[tls.Certificate]
	shakes      atomic.Int64
}

// serveTLS starts a server, which ends with the test.
func serveTLS(t testing.TB, c *tls.Certificate) *server {
	t.Helper()
	s := &server{}
	s.certificate.Store(c)
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.shakes.Add(1)
		return s.certificate.Load(), nil
	}}
	s.address = serve(t, func(c net.Conn) {
		var b [1]byte
		_, _ = tls.Server(c, config).Read(b[:]) // until the client is gone
	})
	return s
}

// serve has every connection to an address of this machine handled, and ends with the test.
func serve(t testing.TB, handle func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var open sync.Map
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, true)
			all.Go(func() { handle(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		all.Wait()
	})
	return l.Addr().String()
}

// hang takes a connection and says nothing on it.
func hang(c net.Conn) {
	var b [64 << 10]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

// accounts are accounts that a test changes while they are watched.
type accounts struct {
	mu  sync.Mutex // guards all
	all []*account.Account
}

func (a *accounts) now() []*account.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}

// set gives an account the domains; none: it is gone.
func (a *accounts) set(name string, domains ...account.Domain) *account.Account {
	return a.put(&account.Account{Name: name, Domains: domains})
}

// demo is set of an account whose first domain is the demonstration domain.
func (a *accounts) demo(name string, domains ...account.Domain) *account.Account {
	return a.put(&account.Account{Name: name, Domains: domains, DemoDomain: domains[0].Name})
}

func (a *accounts) put(one *account.Account) *account.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	var next []*account.Account
	for _, have := range a.all {
		if have.Name != one.Name {
			next = append(next, have)
		}
	}
	if len(one.Domains) > 0 {
		next = append(next, one)
	}
	a.all = next
	return one
}

func pinned(name string, pins ...string) account.Domain {
	return account.Domain{Name: name, Pins: pins}
}

// chainOf is a chain with the given pins, the leaf's first, which ends at a time.
func chainOf(ends time.Time, all ...string) pins.Chain {
	var c pins.Chain
	for _, pin := range all {
		c.Certificates = append(c.Certificates, pins.Certificate{Pin: pin, Expires: ends, Subject: "CN=" + pin})
	}
	return c
}

var errDown = errors.New("a.example cannot be reached: it refuses the connection")

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// watch runs a watcher until the test, or stop, ends it.
func watch(t testing.TB, o Options) (w *Watcher, stop func()) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return w, stop
}

func fixed(value float64) func() float64 { return func() float64 { return value } }

func names(prefix string, n int) (all []account.Domain) {
	for i := range n {
		all = append(all, account.Domain{Name: fmt.Sprintf("%s%02d.example", prefix, i)})
	}
	return all
}
