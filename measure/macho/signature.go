package macho

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Signature is what a code signature says. The zero Signature: there is none.
type Signature struct {
	Present      bool
	Identifier   string // the app's bundle identifier, as a rule
	Team         string // such as A1B2C3D4E5, of the developer; empty: it does not say
	Adhoc        bool   // made without a certificate
	HashType     byte   // 1: SHA-1, 2: SHA-256
	Entitlements []byte // a property list of what the system lets the app do; empty: there is none
}

// Parts of a code signature (xnu, osfmk/kern/cs_blobs.h); numbers are big-endian.
const (
	magicSuperBlob     = 0xfade0cc0
	magicCodeDirectory = 0xfade0c02
	magicEntitlements  = 0xfade7171
	slotCodeDirectory  = 0
	slotEntitlements   = 5
	flagAdhoc          = 0x2
	versionTeam        = 0x20200 // of code directories, from which on they have a team
	directorySize      = 44      // bytes of a code directory before its versions added to it
	teamField          = 48
	maxParts           = 64      // of a signature
	maxSignatureText   = 255     // bytes of an identifier
	maxEntitlements    = 1 << 20 // bytes
)

// readSignature reads the signature that a SuperBlob is.
func readSignature(blob []byte) (Signature, error) {
	be := binary.BigEndian
	if len(blob) < 12 || be.Uint32(blob) != magicSuperBlob {
		return Signature{}, errors.New("it is none")
	}
	length, count := int64(be.Uint32(blob[4:])), int64(be.Uint32(blob[8:]))
	if length > int64(len(blob)) || count > maxParts || 12+8*count > length {
		return Signature{}, fmt.Errorf("it says it has %d bytes and %d parts, which do not fit", length, count)
	}
	blob = blob[:length]
	s := Signature{}
	seen := map[uint32]bool{}
	for entry := blob[12 : 12+8*count]; len(entry) > 0; entry = entry[8:] {
		slot := be.Uint32(entry)
		if seen[slot] {
			return Signature{}, fmt.Errorf("it has two parts of the kind %#x", slot)
		}
		seen[slot] = true
		var err error
		switch slot {
		case slotCodeDirectory:
			err = s.readDirectory(blob, be.Uint32(entry[4:]))
		case slotEntitlements:
			err = s.readEntitlements(blob, be.Uint32(entry[4:]))
		}
		if err != nil {
			return Signature{}, err
		}
	}
	if !s.Present {
		return Signature{}, errors.New("it has no code directory")
	}
	return s, nil
}

// part is the part of a signature at a place.
func part(blob []byte, at, magic uint32, least int) ([]byte, error) {
	if int64(at)+8 > int64(len(blob)) {
		return nil, errors.New("a part is outside of it")
	}
	b := blob[at:]
	length := int64(binary.BigEndian.Uint32(b[4:]))
	if got := binary.BigEndian.Uint32(b); got != magic {
		return nil, fmt.Errorf("a part has the mark %#x, want %#x", got, magic)
	}
	if length < int64(least) || length > int64(len(b)) {
		return nil, fmt.Errorf("a part says it has %d bytes, which does not fit", length)
	}
	return b[:length], nil
}

// readDirectory reads the code directory.
func (s *Signature) readDirectory(blob []byte, at uint32) error {
	b, err := part(blob, at, magicCodeDirectory, directorySize)
	if err != nil {
		return err
	}
	be := binary.BigEndian
	version := be.Uint32(b[8:])
	s.Present, s.Adhoc, s.HashType = true, be.Uint32(b[12:])&flagAdhoc != 0, b[37]
	if s.Identifier, err = text(b, be.Uint32(b[20:])); err != nil {
		return fmt.Errorf("its identifier %w", err)
	}
	if version < versionTeam || len(b) < teamField+4 {
		return nil
	}
	if team := be.Uint32(b[teamField:]); team != 0 {
		if s.Team, err = text(b, team); err != nil {
			return fmt.Errorf("its team %w", err)
		}
	}
	return nil
}

// text is the text at a place, which ends in a NUL. It has ASCII characters that can be seen.
func text(b []byte, at uint32) (string, error) {
	if int64(at) >= int64(len(b)) {
		return "", errors.New("is outside of it")
	}
	b = b[at:]
	end := bytes.IndexByte(b[:min(len(b), maxSignatureText+1)], 0)
	if end < 0 {
		return "", fmt.Errorf("has no end within %d bytes", maxSignatureText)
	}
	for _, c := range b[:end] {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("has the byte %#02x", c)
		}
	}
	return string(b[:end]), nil
}

// readEntitlements keeps what the system lets the app do.
func (s *Signature) readEntitlements(blob []byte, at uint32) error {
	b, err := part(blob, at, magicEntitlements, 8)
	if err != nil {
		return err
	}
	if b = b[8:]; len(b) > maxEntitlements {
		return fmt.Errorf("its entitlements have more than %d bytes", maxEntitlements)
	}
	s.Entitlements = bytes.Clone(b) // the signature is much longer
	return nil
}
