package apktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
)

type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      struct{ Type asn1.ObjectIdentifier }
	Certificates asn1.RawValue
	Signers      []signerInfo `asn1:"set"`
}

type signerInfo struct {
	Version   int
	Signer    issuerAndSerial
	Digest    pkix.AlgorithmIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// SignV1 signs files by scheme v1: what it returns belongs beside them.
func (k *Key) SignV1(files []File) []File { return k.jarFiles(files, "CERT0", "", nil) }

// jarFiles are the files of a signature of scheme v1 (JAR File Specification, "Signed JAR File").
func (k *Key) jarFiles(files []File, name, later string, listed func(name, list string) string) []File {
	if listed == nil {
		listed = func(_, list string) string { return list }
	}
	sum := func(content string) string {
		digest := sha256.Sum256([]byte(content))
		return base64.StdEncoding.EncodeToString(digest[:])
	}
	var manifest, signature strings.Builder
	const head = "Manifest-Version: 1.0\r\n\r\n"
	manifest.WriteString(head)
	for _, f := range files {
		if strings.HasPrefix(f.Name, "META-INF/") {
			continue
		}
		from := manifest.Len()
		fmt.Fprintf(&manifest, "%sSHA-256-Digest: %s\r\n\r\n", lines("Name: "+f.Name), sum(f.Content))
		fmt.Fprintf(&signature, "%sSHA-256-Digest: %s\r\n\r\n", lines("Name: "+f.Name), sum(manifest.String()[from:]))
	}
	stripped := ""
	if later != "" {
		stripped = "X-Android-APK-Signed: " + later + "\r\n"
	}
	list := listed("MANIFEST.MF", manifest.String())
	signed := listed(name+".SF", fmt.Sprintf("Signature-Version: 1.0\r\n%sSHA-256-Digest-Manifest: %s\r\nSHA-256-Digest-Manifest-Main-Attributes: %s\r\n\r\n%s",
		stripped, sum(list), sum(head), signature.String()))
	all := []File{{Name: "META-INF/" + name + ".SF", Content: signed}}
	if name == "CERT0" {
		all = append([]File{{Name: "META-INF/MANIFEST.MF", Content: list}}, all...)
	}
	extension := ".RSA"
	if _, ec := k.signer.Public().(*ecdsa.PublicKey); ec {
		extension = ".EC"
	}
	return append(all, File{Name: "META-INF/" + name + extension, Content: string(k.PKCS7([]byte(signed), nil))})
}

// lines are a header of a list, in lines of at most 72 bytes with what ends them.
func lines(header string) string {
	var b strings.Builder
	for len(header) > 70 {
		b.WriteString(header[:70] + "\r\n")
		header = " " + header[70:]
	}
	return b.String() + header + "\r\n"
}

// PKCS7 signs a content that is not in it (RFC 2315 §9). Certificates that come before the signer's are not of signers.
func (k *Key) PKCS7(content []byte, before []*Key) []byte {
	sum := sha256.Sum256(content)
	certificate := must(x509.ParseCertificate(k.Certificate))
	oid := func(numbers ...int) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: numbers, Parameters: asn1.NullRawValue}
	}
	algorithm := oid(1, 2, 840, 113549, 1, 1, 1)
	if _, ec := k.signer.Public().(*ecdsa.PublicKey); ec {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	}
	var certificates []byte
	for _, other := range before {
		certificates = append(certificates, other.Certificate...)
	}
	data := signedData{Version: 1, Digests: []pkix.AlgorithmIdentifier{oid(2, 16, 840, 1, 101, 3, 4, 2, 1)},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(certificates, k.Certificate...)},
		Signers: []signerInfo{{Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: certificate.RawIssuer}, certificate.SerialNumber},
			Digest: oid(2, 16, 840, 1, 101, 3, 4, 2, 1), Algorithm: algorithm, Signature: must(k.signer.Sign(rand.Reader, sum[:], crypto.SHA256))}}}
	data.Content.Type = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	return must(asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: must(asn1.Marshal(data))}}))
}
