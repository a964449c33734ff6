package controlsign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// makeKey is how a key for these documents is made.
const makeKey = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out control.pem"

// ParseKey reads a private key on P-256 from PEM text: PKCS #8 (RFC 5958) or SEC 1 (RFC 5915). Blocks of curve
// parameters before it are skipped. Errors repeat nothing of the text.
func ParseKey(text []byte) (*ecdsa.PrivateKey, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("no private key in PEM form found; make one with: " + makeKey)
		}
		text = rest
		switch block.Type {
		case "EC PARAMETERS":
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the PEM block holds no readable private key")
			}
			return onP256(key)
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, encrypted()
			}
			key, err := x509.ParseECPrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the PEM block holds no readable private key")
			}
			return onP256(key)
		case "ENCRYPTED PRIVATE KEY":
			return nil, encrypted()
		case "PUBLIC KEY":
			return nil, errors.New("is a public key, which gates verify with; the private one signs")
		default:
			return nil, fmt.Errorf("the PEM block is a %.40q; an EC private key on P-256 is needed", block.Type)
		}
	}
}

func encrypted() error {
	return errors.New("the private key is encrypted; decrypt it first (openssl pkey -in control.pem), into a file of mode 0600 or an environment variable")
}

// onP256 is a key that ES256 can be used with.
func onP256(parsed any) (*ecdsa.PrivateKey, error) {
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the private key is not an EC key on P-256, which ES256 needs; make one with: " + makeKey)
	}
	return key, nil
}
