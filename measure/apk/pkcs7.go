package apk

import (
	"bytes"
	"crypto"
	_ "crypto/md5"  // of signatures made before 2012
	_ "crypto/sha1" // of most signatures by v1
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
)

// pkcs7 is a signature of scheme v1 (RFC 2315 §9, SignedData), of its first signer.
type pkcs7 struct {
	certificate []byte
	hash        crypto.Hash
	attributes  []byte // signed in place of the content, in DER; nil: none
	signature   []byte
}

// The parts of a SignedData, as far as they are read.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	signerInfo struct {
		Version int
		Signer  struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}
		Digest     algorithmID
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm  algorithmID
		Signature  []byte
		Others     asn1.RawValue `asn1:"optional,tag:1"`
	}
	algorithmID struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue
	}
)

var errPKCS7 = errors.New("it is no signature of PKCS #7")

// readPKCS7 finds the certificate of the signer among those in a signature: it is not always the first.
func readPKCS7(b []byte) (pkcs7, error) {
	var outer contentInfo
	var data signedData
	var signer signerInfo
	if _, err := asn1.Unmarshal(b, &outer); err != nil || outer.Type.String() != "1.2.840.113549.1.7.2" {
		return pkcs7{}, errPKCS7
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &data); err != nil {
		return pkcs7{}, errPKCS7
	}
	if _, err := asn1.Unmarshal(data.Signers.Bytes, &signer); err != nil {
		return pkcs7{}, errors.New("it has no signer")
	}
	p := pkcs7{hash: hashOf(signer.Digest.Algorithm), signature: signer.Signature}
	if signer.Attributes.FullBytes != nil {
		p.attributes = append([]byte{asn1.TagSet | 0x20}, signer.Attributes.FullBytes[1:]...) // RFC 2315 §9.3: as a SET
	}
	var all [][]byte
	for rest := data.Certificates.Bytes; len(rest) > 0 && len(all) < maxCertificates; {
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return pkcs7{}, errPKCS7
		}
		all = append(all, one.FullBytes)
		if c, err := x509.ParseCertificate(one.FullBytes); err == nil && bytes.Equal(c.RawIssuer, signer.Signer.Issuer.FullBytes) &&
			signer.Signer.Serial != nil && c.SerialNumber.Cmp(signer.Signer.Serial) == 0 {
			p.certificate = one.FullBytes
			return p, nil
		}
	}
	if len(all) == 1 { // it cannot be read, or says another issuer: it is the only one
		p.certificate = all[0]
		return p, nil
	}
	return pkcs7{}, errors.New("it does not hold the certificate of its signer")
}

// verify checks that a certificate's key signed a content.
func (p pkcs7) verify(certificate *x509.Certificate, content []byte) error {
	if p.hash == 0 {
		return errors.New("it is by a digest that is not known, and is not checked")
	}
	data := content
	if p.attributes != nil {
		sum := p.hash.New()
		sum.Write(content)
		if !bytes.Equal(p.messageDigest(), sum.Sum(nil)) {
			return errSignature
		}
		data = p.attributes
	}
	a := algorithm{hash: p.hash, family: familyRSA}
	switch certificate.PublicKeyAlgorithm {
	case x509.ECDSA:
		a.family = familyECDSA
	case x509.DSA:
		a.family = familyDSA
	}
	return a.verify(certificate.PublicKey, data, p.signature)
}

// messageDigest is the signed attribute of that name (PKCS #9).
func (p pkcs7) messageDigest() []byte {
	var set asn1.RawValue
	if _, err := asn1.Unmarshal(p.attributes, &set); err != nil {
		return nil
	}
	for rest := set.Bytes; len(rest) > 0; {
		var one attribute
		var digest []byte
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return nil
		}
		if one.Type.String() != "1.2.840.113549.1.9.4" {
			continue
		}
		if _, err := asn1.Unmarshal(one.Values.Bytes, &digest); err != nil {
			return nil
		}
		return digest
	}
	return nil
}

// hashOf knows a digest by its identifier; 0: it does not.
func hashOf(id asn1.ObjectIdentifier) crypto.Hash {
	switch id.String() {
	case "1.2.840.113549.2.5":
		return crypto.MD5
	case "1.3.14.3.2.26":
		return crypto.SHA1
	case "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512
	case "2.16.840.1.101.3.4.2.4":
		return crypto.SHA224
	}
	return 0
}
