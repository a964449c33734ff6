package sdk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// authority issues certificates that are good at any time: the fake clock of synctest begins in the year 2000.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	roots       *x509.CertPool
}

func newAuthority() *authority {
	a := &authority{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), roots: x509.NewCertPool()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsage: x509.KeyUsageCertSign}
	a.certificate = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key))))
	a.roots.AddCert(a.certificate)
	return a
}

// issue makes a certificate for a host and returns it with its pin.
func (a *authority) issue(host string) (tls.Certificate, string) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key))
	return tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key}, pinOf(must(x509.ParseCertificate(der)))
}

func pinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

var testAuthority = sync.OnceValue(newAuthority)

// host is a machine of the test's network.
type host struct {
	pin    string // of its certificate
	conns  chan net.Conn
	closed chan struct{}
	end    func()
	dial   func(ctx context.Context) (net.Conn, error) // nil: connections are made
	mu     sync.Mutex
	dials  int
	quiet  *atomic.Bool // set: what is sent on connections made so far is lost
}

// lossy is a connection that may lose what is sent.
type lossy struct {
	net.Conn
	quiet *atomic.Bool
}

func (l lossy) Write(p []byte) (int, error) {
	if l.quiet.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// goQuiet has the connections that are there lose everything. New ones work.
func (h *host) goQuiet() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quiet.Store(true)
	h.quiet = &atomic.Bool{}
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}
func (h *host) Close() error   { h.end(); return nil }
func (h *host) Addr() net.Addr { return &net.TCPAddr{} }

// network is the test's network: pipes, so that synctest's clock can be used.
type network struct {
	t     testing.TB
	mu    sync.Mutex
	hosts map[string]*host
}

// add puts a host into the network that serves handler over TLS.
func (n *network) add(name string, handler http.Handler) *host {
	certificate, pin := testAuthority().issue(name)
	h := &host{pin: pin, conns: make(chan net.Conn), closed: make(chan struct{}), quiet: &atomic.Bool{}}
	h.end = sync.OnceFunc(func() { close(h.closed) })
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(h, "", "")
	}()
	n.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = h
	return h
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	name, port, _ := net.SplitHostPort(address)
	n.mu.Lock()
	h := n.hosts[name]
	if port == "80" {
		h = n.hosts[address]
	}
	n.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
	}
	h.mu.Lock()
	h.dials++
	how, quiet := h.dial, h.quiet
	h.mu.Unlock()
	if how != nil {
		return how(ctx)
	}
	client, server := net.Pipe()
	select {
	case h.conns <- server:
		return lossy{client, quiet}, nil
	case <-h.closed:
		return refuses(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// The ways in which a host may not answer.
func refuses(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}
func noRouteTo(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
}
func hangs(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func resets(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	_ = server.Close()
	return client, nil
}
func speaksPlain(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, server) }() // ends with the connection, like the other
	go func() {
		_, _ = io.WriteString(server, "HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n")
		_ = server.Close()
	}()
	return client, nil
}
