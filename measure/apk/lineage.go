package apk

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
)

var errLineage = errors.New("a key in the list of those it had before did not sign the next one")

// lineage are the certificates that a signer of v3 says it had before, the first one first and its own last. Each key
// must have signed the next one ("APK Signature Scheme v3", Proof-of-rotation).
func (s signed) lineage() ([][]byte, error) {
	at := slices.IndexFunc(s.attributes, func(a valued) bool { return a.id == attrLineage })
	if at < 0 {
		return nil, nil
	}
	f := fields{rest: s.attributes[at].value}
	f.number() // its version
	var all [][]byte
	var wrong error
	var before *x509.Certificate
	var by uint32 // the algorithm that the key before signs with
	for len(f.rest) > 0 && len(all) < maxCertificates {
		node := fields{rest: f.sized()}
		signed := node.sized()
		data := fields{rest: signed}
		certificate := data.sized()
		if node.bad || data.bad {
			return all, errScheme
		}
		with := data.number()
		node.number() // what the key before may still do
		next, signature := node.number(), node.sized()
		if len(all) > 0 && (with != by || !signedBy(before, by, signed, signature)) || containsBytes(all, certificate) {
			wrong = errLineage
		}
		all = append(all, certificate)
		before, _ = x509.ParseCertificate(certificate)
		by = next
	}
	switch {
	case f.bad || len(f.rest) > 0:
		return all, errScheme
	case wrong == nil && (len(all) == 0 || !bytes.Equal(all[len(all)-1], s.certificates[0])):
		return all, errors.New("the list of the keys it had before does not end with its own")
	}
	return all, wrong
}

// signedBy says whether a certificate's key signed data.
func signedBy(c *x509.Certificate, id uint32, data, signature []byte) bool {
	a, known := algorithmOf(id)
	return c != nil && known && a.verify(c.PublicKey, data, signature) == nil
}

func containsBytes(all [][]byte, one []byte) bool {
	return slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(one, other) })
}

// checkAgreement compares the signers by the schemes: a package whose contents somebody else signed by another scheme is
// another app on the devices that go by that one. A key that was changed is known by the first it had.
func (s *Signatures) checkAgreement() {
	by := map[string][]string{}
	for _, one := range s.signers {
		first := one.SHA256
		if len(one.Lineage) > 0 {
			first = one.Lineage[0]
		}
		if !slices.Contains(by[one.Scheme], first) {
			by[one.Scheme] = append(by[one.Scheme], first)
		}
	}
	for scheme := range by {
		slices.Sort(by[scheme])
	}
	for _, pair := range [][2]string{{SchemeV1, SchemeV2}, {SchemeV1, SchemeV3}, {SchemeV2, SchemeV3}} {
		earlier, later := by[pair[0]], by[pair[1]]
		if earlier != nil && later != nil && !slices.Equal(earlier, later) {
			s.warn("its %s signature is by others than its %s one: it is another app on older devices", pair[0], pair[1])
		}
	}
}
