package apk

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// The schemes, as apksigner names them.
const (
	SchemeV1  = "v1"
	SchemeV2  = "v2"
	SchemeV3  = "v3"
	SchemeV31 = "v3.1"
)

const maxSubject = 1024 // bytes of a certificate's subject that are told

// Signer is who signed a package.
type Signer struct {
	Scheme  string
	SHA256  string // of the certificate in hexadecimal, as apksigner prints it
	Subject string // "" if the certificate cannot be read
	Key     string // kind and size in bits, such as RSA 2048
	Lineage []string
	MinSDK  uint32 // of v3 and v3.1: the API levels it is for
	MaxSDK  uint32
}

// Signatures are what was found of a package's signatures.
type Signatures struct {
	signers  []Signer
	warnings []string
	contents *contents
	expected []expected
	archive  *zipfile.Archive
	files    map[*zipfile.File]*listed // those that are compared with what was signed
}

// expected is a digest over the contents that a signer signed.
type expected struct {
	scheme string
	hash   crypto.Hash
	digest []byte
}

// ReadSignatures reads the signatures of a package. Its bytes are then written to it in order, and those of its files to
// what Content gives, so that Result knows of the digests over them.
func ReadSignatures(r io.ReaderAt, size int64, a *zipfile.Archive) (*Signatures, error) {
	s := &Signatures{archive: a}
	b, err := readBlock(r, a)
	if err != nil {
		s.warn("%v: Android would not install it", err)
	}
	others := map[string]bool{}
	for _, scheme := range []struct {
		name string
		id   uint32
	}{{SchemeV2, idV2}, {SchemeV3, idV3}, {SchemeV31, idV31}} {
		value, found := b.values[scheme.id]
		if !found {
			continue
		}
		if scheme.id != idV31 {
			others[scheme.name] = true
		}
		all, err := readSigners(value, scheme.id)
		if err != nil {
			s.warn("its %s signature cannot be read: %v; Android would not install it", scheme.name, err)
			continue
		}
		for _, one := range all {
			s.check(scheme.name, one)
			s.checkStripped(one, b)
		}
	}
	s.readV1(a, others)
	s.checkAgreement()
	var hashes []crypto.Hash
	for _, e := range s.expected {
		if !slices.Contains(hashes, e.hash) {
			hashes = append(hashes, e.hash)
		}
	}
	s.contents = newContents(b.from, a.DirectoryOffset(), a.DirectoryEnd(), size, hashes)
	return s, nil
}

// Write takes the next bytes of the package.
func (s *Signatures) Write(p []byte) (int, error) { return s.contents.Write(p) }

// Result is who signed the package, and what is wrong with the signatures. The digests over the contents are compared
// if all bytes of the package have been written.
func (s *Signatures) Result() (signers []Signer, warnings []string) {
	warnings = slices.Clone(s.warnings)
	for _, e := range s.expected {
		if sum := s.contents.sum(e.hash); sum != nil && !bytes.Equal(sum, e.digest) {
			warnings = append(warnings, fmt.Sprintf("its contents are not what was signed (%s): it was changed since, and Android would not install it", e.scheme))
		}
	}
	warnings = append(warnings, s.checkFiles()...)
	if len(s.signers) == 0 && len(warnings) == 0 {
		warnings = append(warnings, "it is not signed: Android would not install it")
	}
	return s.signers, warnings
}

func (s *Signatures) warn(format string, arguments ...any) {
	if text := fmt.Sprintf(format, arguments...); !slices.Contains(s.warnings, text) {
		s.warnings = append(s.warnings, text)
	}
}

// newSigner describes a certificate, and returns it if it can be read.
func newSigner(scheme string, certificate []byte) (Signer, *x509.Certificate) {
	one := Signer{Scheme: scheme, SHA256: digestText(certificate)}
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return one, nil
	}
	one.Subject, one.Key = printable(c.Subject.String()), keyText(c)
	return one, c
}

// printable is a text that can be printed on a terminal, whoever wrote it.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxSubject)], "")
}

func digestText(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
}

// check adds a signer of v2 or v3, and checks what it signed.
func (s *Signatures) check(scheme string, one signed) {
	signer, certificate := newSigner(scheme, one.certificates[0])
	signer.MinSDK, signer.MaxSDK = one.minSDK, one.maxSDK
	lineage, err := one.lineage()
	if err != nil {
		s.warn("its %s signature: %v, and Android would not install it", scheme, err)
	}
	for _, before := range lineage {
		signer.Lineage = append(signer.Lineage, digestText(before))
	}
	s.signers = append(s.signers, signer)
	switch {
	case certificate == nil:
		s.warn("its %s signature cannot be checked: the certificate %s cannot be read", scheme, signer.SHA256)
		return
	case !bytes.Equal(certificate.RawSubjectPublicKeyInfo, one.publicKey):
		s.warn("its %s signature is of another key than the certificate's: Android would not install it", scheme)
		return
	case !one.sameSDKs:
		s.warn("its %s signature is for other versions of Android than it says: Android would not install it", scheme)
	}
	checked, covered := false, false
	for _, signature := range one.signatures {
		a, known := algorithmOf(signature.id)
		if !known {
			continue
		}
		checked = true
		err := a.verify(certificate.PublicKey, one.data, signature.value)
		switch {
		case errors.Is(err, errUnchecked):
			s.warn("its %s signature is not checked: %v", scheme, err)
		case err != nil:
			s.warn("its %s signature is wrong: %v, and Android would not install it", scheme, err)
		}
		covered = s.expect(scheme, signature.id, a, one.digests) || covered
	}
	switch {
	case !checked:
		s.warn("its %s signature is by no algorithm that is known: Android would not install it", scheme)
	case !covered:
		s.warn("the digest over its contents in its %s signature is one of fs-verity, which is not checked", scheme)
	}
}

// expect notes the digest that goes with a signature, and says whether that is dealt with: one of fs-verity is not.
func (s *Signatures) expect(scheme string, id uint32, a algorithm, digests []valued) bool {
	at := slices.IndexFunc(digests, func(d valued) bool { return d.id == id })
	switch {
	case at < 0:
		s.warn("its %s signature has no digest over the contents for it: Android would not install it", scheme)
	case a.chunks == 0:
		return false
	default:
		s.expected = append(s.expected, expected{scheme, a.chunks, digests[at].value})
	}
	return true
}

// checkStripped tells of schemes that a signer says are there too, and are not: somebody took them out.
func (s *Signatures) checkStripped(one signed, b block) {
	_, v3 := b.values[idV3]
	_, v31 := b.values[idV31]
	if one.minSDK == 0 && one.has(attrStripped) && !v3 {
		s.warn("its v2 signature says that it has one of v3 too, which was taken out: Android would not install it")
	}
	if one.has(attrRotation) && !v31 {
		s.warn("its v3 signature says that it has one of v3.1 too, which was taken out: Android would not install it")
	}
}
