package apk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// algorithm is how a signer of schemes v2 and v3 signs ("APK Signature Scheme v2", Signature Algorithm IDs).
type algorithm struct {
	hash   crypto.Hash // of the signature
	family string      // of the key
	chunks crypto.Hash // of the contents, a megabyte at a time; 0: they are in another way, that of fs-verity
}

const (
	familyPSS   = "RSA-PSS"
	familyRSA   = "RSA"
	familyECDSA = "ECDSA"
	familyDSA   = "DSA"
)

// algorithmOf knows an algorithm by its number.
func algorithmOf(id uint32) (algorithm, bool) {
	switch id {
	case 0x0101:
		return algorithm{crypto.SHA256, familyPSS, crypto.SHA256}, true
	case 0x0102:
		return algorithm{crypto.SHA512, familyPSS, crypto.SHA512}, true
	case 0x0103:
		return algorithm{crypto.SHA256, familyRSA, crypto.SHA256}, true
	case 0x0104:
		return algorithm{crypto.SHA512, familyRSA, crypto.SHA512}, true
	case 0x0201:
		return algorithm{crypto.SHA256, familyECDSA, crypto.SHA256}, true
	case 0x0202:
		return algorithm{crypto.SHA512, familyECDSA, crypto.SHA512}, true
	case 0x0301:
		return algorithm{crypto.SHA256, familyDSA, crypto.SHA256}, true
	case 0x0421:
		return algorithm{crypto.SHA256, familyRSA, 0}, true
	case 0x0423:
		return algorithm{crypto.SHA256, familyECDSA, 0}, true
	case 0x0425:
		return algorithm{crypto.SHA256, familyDSA, 0}, true
	}
	return algorithm{}, false
}

var (
	errSignature = errors.New("it does not verify")
	errUnchecked = errors.New("it is one of DSA, which is not checked")
)

// verify checks a signature over data.
func (a algorithm) verify(key any, data, signature []byte) error {
	h := a.hash.New()
	h.Write(data)
	sum := h.Sum(nil)
	switch a.family {
	case familyDSA:
		return errUnchecked
	case familyPSS:
		if k, ok := key.(*rsa.PublicKey); !ok || rsa.VerifyPSS(k, a.hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) != nil {
			return errSignature
		}
	case familyRSA:
		if k, ok := key.(*rsa.PublicKey); !ok || rsa.VerifyPKCS1v15(k, a.hash, sum, signature) != nil {
			return errSignature
		}
	case familyECDSA:
		if k, ok := key.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(k, sum, signature) {
			return errSignature
		}
	}
	return nil
}

// keyText is a key's kind and size in bits, such as RSA 2048.
func keyText(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("EC %d", k.Curve.Params().BitSize)
	}
	return c.PublicKeyAlgorithm.String()
}
