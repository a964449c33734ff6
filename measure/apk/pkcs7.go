package apk

import (
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
	family      string                // of the key, by the identifier of the signature; "": it is not known, or by another hash
	content     asn1.ObjectIdentifier // the kind of what is signed
	attributes  []byte                // signed in place of the content, in DER; nil: none
	signature   []byte
}

// The parts of a SignedData, as far as they are read.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      []algorithmID `asn1:"set"`
		Content      contentInfo
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerInfo  `asn1:"set"`
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
	if _, err := asn1.Unmarshal(b, &outer); err != nil || outer.Type.String() != "1.2.840.113549.1.7.2" {
		return pkcs7{}, errPKCS7
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &data); err != nil {
		return pkcs7{}, errPKCS7
	}
	if len(data.Signers) == 0 {
		return pkcs7{}, errors.New("it has no signer")
	}
	signer := data.Signers[0] // as Android before 7
	p := pkcs7{hash: hashOf(signer.Digest.Algorithm), signature: signer.Signature}
	p.family = familyOf(signer.Algorithm.Algorithm, p.hash)
	p.content = data.Content.Type
	if signer.Attributes.FullBytes != nil {
		p.attributes = append([]byte{asn1.TagSet | 0x20}, signer.Attributes.FullBytes[1:]...) // RFC 2315 §9.3: as a SET
	}
	var all, unread [][]byte
	for rest := data.Certificates.Bytes; len(rest) > 0 && len(all) < maxCertificates; {
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return pkcs7{}, errPKCS7
		}
		all = append(all, one.FullBytes)
		c, err := x509.ParseCertificate(one.FullBytes)
		if err != nil {
			unread = append(unread, one.FullBytes)
			continue
		}
		if sameName(c.RawIssuer, signer.Signer.Issuer.FullBytes) && signer.Signer.Serial != nil && c.SerialNumber.Cmp(signer.Signer.Serial) == 0 {
			p.certificate = one.FullBytes
			return p, nil
		}
	}
	if len(all) == 1 && len(unread) == 1 { // it is told, though nothing by it can be checked
		p.certificate = all[0]
		return p, nil
	}
	return pkcs7{}, errors.New("it does not hold the certificate of its signer")
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
