package apk

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
)

// The identifiers of signed attributes (PKCS #9).
const (
	attributeContentType   = "1.2.840.113549.1.9.3"
	attributeMessageDigest = "1.2.840.113549.1.9.4"
	extensionKeyUsage      = "2.5.29.15"
)

// sameName says whether two names are one (RFC 5280 §7.1): most often they are the same bytes.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y pkix.RDNSequence
	if _, err := asn1.Unmarshal(a, &x); err != nil {
		return false
	}
	_, err := asn1.Unmarshal(b, &y)
	return err == nil && strings.EqualFold(x.String(), y.String())
}

// verify checks that a certificate's key signed a content.
func (p pkcs7) verify(certificate *x509.Certificate, content []byte) error {
	switch {
	case p.hash == 0 || p.family == "":
		return errors.New("it is by algorithms that Android does not take together")
	case len(certificate.UnhandledCriticalExtensions) > 0:
		return errors.New("the certificate has a critical extension that is not known")
	case !maySign(certificate):
		return errors.New("the certificate is not for signatures (key usage)")
	}
	data := content
	if p.attributes != nil {
		sum := p.hash.New()
		sum.Write(content)
		var kind asn1.ObjectIdentifier
		var digest []byte
		if !p.attribute(attributeContentType, &kind) || !kind.Equal(p.content) ||
			!p.attribute(attributeMessageDigest, &digest) || !bytes.Equal(digest, sum.Sum(nil)) {
			return errSignature
		}
		data = p.attributes
	}
	return algorithm{hash: p.hash, family: p.family}.verify(certificate.PublicKey, data, p.signature)
}

// maySign says whether a certificate's key is for signatures, or for anything.
func maySign(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.String() == extensionKeyUsage {
			return c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0
		}
	}
	return true
}

// attribute is the only value of a signed attribute.
func (p pkcs7) attribute(id string, value any) bool {
	var set asn1.RawValue
	if _, err := asn1.Unmarshal(p.attributes, &set); err != nil {
		return false
	}
	found := false
	for rest := set.Bytes; len(rest) > 0; {
		var one attribute
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return false
		}
		if one.Type.String() != id {
			continue
		}
		if found || one.Values.Class != asn1.ClassUniversal || one.Values.Tag != asn1.TagSet {
			return false
		}
		after, err := asn1.Unmarshal(one.Values.Bytes, value)
		if err != nil || len(after) > 0 {
			return false
		}
		found = true
	}
	return found
}

// familyOf knows a signature's kind of key by its identifier; "": none, or the identifier is of another hash.
func familyOf(id asn1.ObjectIdentifier, hash crypto.Hash) string {
	of := func(family string, hashes ...crypto.Hash) string {
		if slices.Contains(hashes, hash) {
			return family
		}
		return ""
	}
	switch id.String() {
	case "1.2.840.113549.1.1.1":
		return familyRSA
	case "1.2.840.113549.1.1.4":
		return of(familyRSA, crypto.MD5)
	case "1.2.840.113549.1.1.5":
		return of(familyRSA, crypto.SHA1)
	case "1.2.840.113549.1.1.14":
		return of(familyRSA, crypto.SHA224)
	case "1.2.840.113549.1.1.11":
		return of(familyRSA, crypto.SHA256)
	case "1.2.840.113549.1.1.12":
		return of(familyRSA, crypto.SHA384)
	case "1.2.840.113549.1.1.13":
		return of(familyRSA, crypto.SHA512)
	case "1.2.840.10045.2.1":
		return of(familyECDSA, crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512)
	case "1.2.840.10045.4.1":
		return of(familyECDSA, crypto.SHA1)
	case "1.2.840.10045.4.3.1":
		return of(familyECDSA, crypto.SHA224)
	case "1.2.840.10045.4.3.2":
		return of(familyECDSA, crypto.SHA256)
	case "1.2.840.10045.4.3.3":
		return of(familyECDSA, crypto.SHA384)
	case "1.2.840.10045.4.3.4":
		return of(familyECDSA, crypto.SHA512)
	case "1.2.840.10040.4.1":
		return of(familyDSA, crypto.SHA1, crypto.SHA224, crypto.SHA256)
	case "1.2.840.10040.4.3":
		return of(familyDSA, crypto.SHA1)
	case "2.16.840.1.101.3.4.3.1":
		return of(familyDSA, crypto.SHA224)
	case "2.16.840.1.101.3.4.3.2":
		return of(familyDSA, crypto.SHA256)
	}
	return ""
}
