package pins

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
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// made is a certificate with its key, made for a test.
type made struct {
	*x509.Certificate
	key crypto.Signer
}

var (
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	farAway = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

func ec(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate by a template, signed by another one; nil: by itself.
func issue(t testing.TB, by *made, key crypto.Signer, template x509.Certificate) *made {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotBefore.IsZero() {
		template.NotBefore = longAgo
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = farAway
	}
	parent, signer := &template, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &made{c, key}
}

// ca makes a certificate of an authority.
func ca(t testing.TB, by *made, key crypto.Signer, subject pkix.RDNSequence, notAfter time.Time) *made {
	t.Helper()
	return issue(t, by, key, x509.Certificate{RawSubject: der(t, subject), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// leaf makes a server's certificate for api.example.com.
func leaf(t testing.TB, by *made, key crypto.Signer) *made {
	t.Helper()
	return issue(t, by, key, x509.Certificate{Subject: pkix.Name{CommonName: "api.example.com"}, DNSNames: []string{"api.example.com"}})
}

func der(t testing.TB, subject pkix.RDNSequence) []byte {
	t.Helper()
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The types of the parts of a subject (X.520).
const (
	commonName = 3
	country    = 6
	locality   = 7
	province   = 8
	company    = 10
	unit       = 11
)

type part struct {
	kind  int
	value string
}

// subjectOf is a subject of parts, in the order in which they stand in a certificate.
func subjectOf(parts ...part) pkix.RDNSequence {
	var all pkix.RDNSequence
	for _, p := range parts {
		all = append(all, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, p.kind}, Value: p.value}})
	}
	return all
}

func pool(roots ...*made) *x509.CertPool {
	p := x509.NewCertPool()
	for _, root := range roots {
		p.AddCert(root.Certificate)
	}
	return p
}

func pemOf(certificates ...*made) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// served starts a TLS server that shows certificates, the first of which is its own, and says where it listens.
func served(t testing.TB, chain ...*made) (address string) {
	t.Helper()
	shown := tls.Certificate{PrivateKey: chain[0].key}
	for _, c := range chain {
		shown.Certificate = append(shown.Certificate, c.Raw)
	}
	return listening(t, "127.0.0.1:0", func(connection net.Conn) {
		server := tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{shown}, MinVersion: tls.VersionTLS12})
		_ = server.HandshakeContext(context.Background()) // a client that does not like it is what is tested
		_, _ = io.Copy(io.Discard, server)
	})
}

// listening starts a server and says where it listens.
func listening(t testing.TB, at string, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("no listener at %s: %v", at, err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the client
				defer func() { _ = connection.Close() }()
				serve(connection)
			}()
		}
	}()
	return listener.Addr().String()
}
