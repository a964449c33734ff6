package apk

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The bounds of one scheme's signatures.
const (
	maxSigners      = 10 // as Android
	maxCertificates = 64
	maxListed       = 64 // algorithms, attributes
)

// The numbers of attributes that a signer signs, which tell of signatures by other schemes.
const (
	attrStripped = 0xbeeff00d // in v2: the number of a later scheme that is there too
	attrLineage  = 0x3ba06f8c // in v3: the certificates before this one
	attrRotation = 0x559f8b02 // in v3: v3.1 is there too
)

var errScheme = errors.New("it is damaged")

// valued is a number and what stands behind it: an algorithm and its digest or signature, or an attribute.
type valued struct {
	id    uint32
	value []byte
}

// signed is a signer of scheme v2, v3 or v3.1.
type signed struct {
	data         []byte // what is signed: all up to the attributes
	digests      []valued
	certificates [][]byte // the first is the signer's
	attributes   []valued
	minSDK       uint32 // of v3; 0 in v2
	maxSDK       uint32
	sameSDKs     bool // as those that are signed
	signatures   []valued
	publicKey    []byte
}

// fields reads parts one after another, each with its length before it. After a part that is too long all are empty.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) number() uint32 {
	if len(f.rest) < 4 {
		f.bad, f.rest = true, nil
		return 0
	}
	n := binary.LittleEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return n
}

func (f *fields) sized() []byte {
	n := f.number()
	if int64(n) > int64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return nil
	}
	part := f.rest[:n]
	f.rest = f.rest[n:]
	return part
}

// list splits a part into its own, at most so many.
func (f *fields) list(most int) [][]byte {
	inner := fields{rest: f.sized()}
	var all [][]byte
	for len(inner.rest) > 0 && len(all) < most {
		all = append(all, inner.sized())
	}
	f.bad = f.bad || inner.bad || len(inner.rest) > 0
	return all
}

// valued splits a part into numbers and what stands behind each: with a length of its own, or up to the end.
func (f *fields) valued(length bool) []valued {
	var all []valued
	for _, one := range f.list(maxListed) {
		inner := fields{rest: one}
		v := valued{id: inner.number()}
		if v.value = inner.rest; length {
			v.value = inner.sized()
		}
		f.bad = f.bad || inner.bad
		all = append(all, v)
	}
	return all
}

// readSigners reads the signers of a scheme.
func readSigners(value []byte, id uint32) ([]signed, error) {
	f := fields{rest: value}
	var all []signed
	for _, one := range f.list(maxSigners) {
		s, err := readSigner(one, id != idV2)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if f.bad {
		return nil, fmt.Errorf("%w, or has more than %d signers", errScheme, maxSigners)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no signer")
	}
	return all, nil
}

func readSigner(b []byte, sdks bool) (signed, error) {
	f := fields{rest: b}
	s := signed{data: f.sized(), sameSDKs: true}
	d := fields{rest: s.data}
	s.digests, s.certificates = d.valued(true), d.list(maxCertificates)
	if sdks {
		s.minSDK, s.maxSDK = d.number(), d.number()
		least, most := f.number(), f.number()
		s.sameSDKs = least == s.minSDK && most == s.maxSDK
	}
	if len(d.rest) > 0 { // old signers of v2 wrote no attributes
		s.attributes = d.valued(false)
	}
	s.signatures, s.publicKey = f.valued(true), f.sized()
	switch {
	case f.bad || d.bad:
		return signed{}, errScheme
	case len(s.certificates) == 0 || len(s.signatures) == 0 || len(s.digests) == 0:
		return signed{}, errors.New("it has no certificate, no signature or no digest")
	}
	return s, nil
}

func (s signed) has(attribute uint32) bool {
	for _, a := range s.attributes {
		if a.id == attribute {
			return true
		}
	}
	return false
}
