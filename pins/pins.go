// Package pins says which public keys a TLS server shows, as pins: base64 of SHA-256 of a certificate's subject public
// key info (manual, "Managing Pins"; RFC 7469 §2.4). The management tool looks with it from where it runs, the service
// from where it runs.
//
// It owns how a server is asked and what counts as its chain. It decides nothing: what is not trusted is reported, not
// refused, because a chain that a firewall has made is what somebody may be looking for.
//
// Start reading at Prober.Chain.
package pins

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Certificate is what is to be known of a certificate.
type Certificate struct {
	Pin     string
	Expires time.Time
	Subject string // RFC 2253, such as CN=Example CA,O=Example\, Inc.,C=US
}

// Of describes a certificate.
func Of(c *x509.Certificate) Certificate {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return Certificate{Pin: base64.StdEncoding.EncodeToString(sum[:]), Expires: c.NotAfter, Subject: c.Subject.String()}
}

// The bounds of a file of certificates.
const (
	MaxPEM   = 1 << 20 // bytes
	maxChain = 32      // certificates, of a file or a server
)

// FromPEM describes the certificates of a PEM file, in its order (manual, "Certificate File Pin Extraction").
func FromPEM(text []byte) ([]Certificate, error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxPEM)
	}
	var all []Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue // a key may stand beside it
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", len(all)+1, err)
		}
		if all = append(all, Of(c)); len(all) > maxChain {
			return nil, fmt.Errorf("it holds more than %d certificates", maxChain)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no PEM certificate (-----BEGIN CERTIFICATE-----); a DER file becomes one with openssl x509 -inform der")
	}
	return all, nil
}

// Chain is what a server has shown.
type Chain struct {
	// Certificates are those served, the leaf first, and the root that they were verified by, which servers rarely send.
	Certificates []Certificate
	// Problem is why this machine does not trust them; nil: it does. Apps refuse such a server, whatever its pins are.
	Problem error

	verified [][]Certificate
}

// Leaf is the server's own certificate.
func (c Chain) Leaf() Certificate { return c.Certificates[0] }

// Match is the first of the pins that a certificate of a verified chain has, which is how an app looks at it: against
// what a server merely sends along, anyone could pass. Of a chain that is not trusted what was served counts.
func (c Chain) Match(pins []string) (pin string, ok bool) {
	chains := c.verified
	if len(chains) == 0 {
		chains = [][]Certificate{c.Certificates}
	}
	for _, pin := range pins {
		for _, chain := range chains {
			if slices.ContainsFunc(chain, func(c Certificate) bool { return c.Pin == pin }) {
				return pin, true
			}
		}
	}
	return "", false
}

// Expires is when the first certificate that is needed ends.
func (c Chain) Expires() time.Time {
	first := c.Leaf().Expires
	chain := c.Certificates
	if len(c.verified) > 0 {
		chain = c.verified[0]
	}
	for _, one := range chain {
		if one.Expires.Before(first) {
			first = one.Expires
		}
	}
	return first
}
