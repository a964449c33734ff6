package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/pinwatch"
	"github.com/approovgate/approovgate/pins"
)

// pinned is TLS servers for any domain behind one address, and the authority of their certificates.
type pinned struct {
	root, middle issuer
	listener     net.Listener

	mu      sync.Mutex // guards the fields below
	here    map[string]*tls.Certificate
	service map[string]*tls.Certificate // where the service sees another certificate than those here
}

type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// pinnedServers are those of running scripts.
var pinnedServers sync.Map // *testscript.TestScript → *pinned

// pinnedCommand has a domain serve a certificate with a new key and puts the key's pin into a variable. A domain that
// has one already gets another. KEY is rsa2048, rsa4096, ec256 or ec384; expired, othername and selfsigned are ec256
// keys of a certificate with that fault; closing has none: the connection is closed. All listen at $AT. Their root is
// what approov trusts from then on; its pin is in $ROOT, that of the intermediate in $MIDDLE. With -service only the
// service sees it. The certificate is written into the file DOMAIN.pem.
func pinnedCommand(ts *testscript.TestScript, neg bool, args []string) {
	onlyService := len(args) > 0 && args[0] == "-service"
	if onlyService {
		args = args[1:]
	}
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: pinned [-service] DOMAIN KEY [VARIABLE]")
	}
	found, ok := pinnedServers.Load(ts)
	if !ok {
		found = startPinned(ts)
		pinnedServers.Store(ts, found)
	}
	p := found.(*pinned)
	shown := p.certificate(ts, args[0], args[1])
	p.mu.Lock()
	defer p.mu.Unlock()
	if onlyService {
		p.service[args[0]] = shown
	} else {
		p.here[args[0]] = shown
		delete(p.service, args[0])
	}
	if shown == nil {
		return
	}
	if len(args) == 3 {
		ts.Setenv(args[2], pins.Of(shown.Leaf).Pin)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), certificatePEM(shown.Certificate[0]), 0o600))
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func startPinned(ts *testscript.TestScript) *pinned {
	p := &pinned{here: map[string]*tls.Certificate{}, service: map[string]*tls.Certificate{}}
	authority := x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authority.Subject = pkix.Name{Country: []string{"US"}, Organization: []string{"Example, Inc."}, CommonName: "Example Root CA 1"}
	p.root = signed(ts, issuer{}, newKey(ts, "ec384"), authority)
	authority.Subject = pkix.Name{Country: []string{"US"}, Organization: []string{"Example"}, OrganizationalUnit: []string{"Server CA 1B"}, CommonName: "Example"}
	p.middle = signed(ts, p.root, newKey(ts, "ec256"), authority)
	ts.Setenv("ROOT", pins.Of(p.root.certificate).Pin)
	ts.Setenv("MIDDLE", pins.Of(p.middle.certificate).Pin)
	ts.Check(os.WriteFile(ts.MkAbs("roots.pem"), certificatePEM(p.root.certificate.Raw), 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("roots.pem"))
	ts.Setenv("SSL_CERT_DIR", ts.MkAbs("no-roots"))
	var err error
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("AT", p.listener.Addr().String())
	ts.Defer(func() { _ = p.listener.Close() }) // its connections end with those who made them
	go p.serve(p.listener, p.seenHere)
	return p
}

// serve ends with its listener.
func (p *pinned) serve(listener net.Listener, seen func(string) *tls.Certificate) {
	get := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := seen(hello.ServerName); c != nil {
			return c, nil
		}
		_ = hello.Conn.Close() // nobody is there
		return nil, errors.New("no such domain")
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the client
			defer func() { _ = connection.Close() }()
			server := tls.Server(connection, &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12})
			_, _ = io.Copy(io.Discard, server)
		}()
	}
}

func (p *pinned) seenHere(domain string) *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here[domain]
}

func (p *pinned) seenByService(domain string) *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, other := p.service[domain]; other {
		return c
	}
	return p.here[domain]
}

func newKey(ts *testscript.TestScript, kind string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa4096":
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	case "ec384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ts.Check(err)
	return key
}

// signed makes a certificate; without an issuer it signs itself.
func signed(ts *testscript.TestScript, by issuer, key crypto.Signer, template x509.Certificate) issuer {
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if by.key == nil {
		by = issuer{&template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.certificate, key.Public(), by.key)
	ts.Check(err)
	c, err := x509.ParseCertificate(der)
	ts.Check(err)
	return issuer{c, key}
}

// certificate makes what a domain shows; nil: nothing.
func (p *pinned) certificate(ts *testscript.TestScript, domain, kind string) *tls.Certificate {
	if !slices.Contains([]string{"rsa2048", "rsa4096", "ec256", "ec384", "expired", "othername", "selfsigned", "closing"}, kind) {
		ts.Fatalf("pinned: got the key %q, want rsa2048, rsa4096, ec256, ec384, expired, othername, selfsigned or closing", kind)
	}
	template := x509.Certificate{Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain}}
	by := p.middle
	switch kind {
	case "closing":
		return nil
	case "expired":
		template.NotAfter = time.Date(2020, 5, 22, 12, 0, 0, 0, time.UTC)
	case "othername":
		template.DNSNames = []string{"other." + domain}
	case "selfsigned":
		by = issuer{}
	}
	made := signed(ts, by, newKey(ts, kind), template)
	chain := [][]byte{made.certificate.Raw}
	if by.key != nil {
		chain = append(chain, by.certificate.Raw)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: made.key, Leaf: made.certificate}
}

// seenFromService is how the real service of a script looks at domains: at what pinned has for it. Without a pinned
// domain in the script it reaches none.
func seenFromService(ts *testscript.TestScript) (look func(context.Context, string) (attestapi.ServedPins, error), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ts.Defer(func() { _ = listener.Close() })
	found := func() *pinned {
		p, ok := pinnedServers.Load(ts)
		if !ok {
			return &pinned{}
		}
		return p.(*pinned)
	}
	go found().serve(listener, func(domain string) *tls.Certificate { return found().seenByService(domain) })
	return func(ctx context.Context, domain string) (attestapi.ServedPins, error) {
		looker := pinwatch.Looker{Roots: x509.NewCertPool(), Connect: map[string]string{domain: listener.Addr().String()}}
		if root := found().root.certificate; root != nil {
			looker.Roots.AddCert(root)
		}
		return looker.Served(ctx, domain)
	}, nil
}
