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
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Certificate is what is to be known of a certificate.
type Certificate struct {
	Pin     string
	Expires time.Time
	Subject string // RFC 2253, such as CN=Example CA,O=Example\, Inc.,C=US; one line, at most maxSubject bytes
}

// Of describes a certificate.
func Of(c *x509.Certificate) Certificate {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return Certificate{Pin: base64.StdEncoding.EncodeToString(sum[:]), Expires: c.NotAfter, Subject: subject(c)}
}

// IsPin reports whether a text is a pin.
func IsPin(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == sha256.Size && len(text) == base64.StdEncoding.EncodedLen(sha256.Size)
}

const maxSubject = 1024 // bytes; a server may send a name of many thousands

// subject is a certificate's subject, the last part first, as it stands there: pkix.Name would sort it and join parts
// of one type.
func subject(c *x509.Certificate) string {
	var parts pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &parts); err != nil || len(rest) > 0 {
		parts = c.Subject.ToRDNSequence()
	}
	text := oneLine(parts.String())
	if len(text) > maxSubject {
		text = strings.ToValidUTF8(text[:maxSubject], "") + "…"
	}
	return text
}

// oneLine writes what could start a new line or steer a terminal as bytes in hexadecimal (RFC 2253 §2.4).
func oneLine(text string) string {
	var b strings.Builder
	for i, size := 0, 0; i < len(text); i += size {
		var r rune
		if r, size = utf8.DecodeRuneInString(text[i:]); unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteRune(r)
			continue
		}
		for _, one := range []byte(text[i : i+size]) {
			fmt.Fprintf(&b, `\%02X`, one)
		}
	}
	return b.String()
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
	for _, pin := range pins {
		for _, chain := range c.chains() {
			if has(chain, pin) {
				return pin, true
			}
		}
	}
	return "", false
}

// Extra are the certificates that a server sends along although no verified chain needs them. To pin them is a
// mistake: they never match. Of a chain that is not trusted there are none.
func (c Chain) Extra() []Certificate {
	var extra []Certificate
	for _, one := range c.Certificates {
		if _, needed := c.Match([]string{one.Pin}); !needed {
			extra = append(extra, one)
		}
	}
	return extra
}

// Expires is when the server is trusted no longer: of every chain that can be verified the first end counts, and of
// these the last.
func (c Chain) Expires() time.Time {
	var last time.Time
	for _, chain := range c.chains() {
		first := chain[0].Expires
		for _, one := range chain {
			if one.Expires.Before(first) {
				first = one.Expires
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}

// chains are the verified ones, or what was served.
func (c Chain) chains() [][]Certificate {
	if len(c.verified) > 0 {
		return c.verified
	}
	return [][]Certificate{c.Certificates}
}

func has(chain []Certificate, pin string) bool {
	return slices.ContainsFunc(chain, func(c Certificate) bool { return c.Pin == pin })
}

func describe(chain []*x509.Certificate) []Certificate {
	all := make([]Certificate, 0, len(chain))
	for _, one := range chain {
		all = append(all, Of(one))
	}
	return all
}
