package pins

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The bounds of a file of certificates.
const (
	MaxPEM       = 1 << 20 // bytes
	maxFileCerts = 32
)

const beginCertificate = "-----BEGIN CERTIFICATE-----"

// FromPEM describes the certificates of a PEM file, in its order (manual, "Certificate File Pin Extraction"). A
// certificate that cannot be read is an error, not left out: its pin would be missed when it goes live.
func FromPEM(text []byte) ([]Certificate, error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxPEM)
	}
	announced := announcedCertificates(text)
	if announced > maxFileCerts {
		return nil, fmt.Errorf("it holds more than %d certificates", maxFileCerts)
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
		all = append(all, Of(c))
	}
	switch {
	case announced == 0:
		return nil, errors.New("it holds no PEM certificate (" + beginCertificate + "); a DER file becomes one with openssl x509 -inform der")
	case len(all) < announced:
		return nil, fmt.Errorf("%d of its %d certificates are damaged: what follows %s is not base64 up to its END line", announced-len(all), announced, beginCertificate)
	}
	return all, nil
}

// announcedCertificates counts the lines at which a certificate begins.
func announcedCertificates(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte(beginCertificate)) {
			n++
		}
	}
	return n
}
