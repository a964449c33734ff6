// Package seal encrypts what a store must not keep in clear: keys, mostly. It owns the form of a sealed text and where
// the key that seals them comes from. It must not decide what is sealed, and never writes a key into an error.
//
// Start reading at Sealer.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed text is version, key ID, and what AES-256-GCM makes with a random nonce (NIST SP 800-38D §8.2.2): nonce,
// ciphertext, tag. One key should seal fewer than 2^32 texts, which is far more than the keys of all accounts.
const (
	version   = 1
	idSize    = 8
	headSize  = 1 + idSize
	gcmExtra  = 12 + 16 // nonce and tag
	MinSealed = headSize + gcmExtra
)

// Errors of Open. They say what an operator can do, and are the same for every text.
var (
	ErrWrongKey = errors.New("seal: this was sealed under another key; start the server with the key file that the database was made with")
	ErrDamaged  = errors.New("seal: a sealed text is damaged or was moved from its place; restore the database from a backup")
	ErrVersion  = errors.New("seal: this was sealed by a newer version of the program; use that one")
)

// Sealer seals and opens texts under one key. It is safe for concurrent use, and printing it does not show the key.
type Sealer struct {
	gcm cipher.AEAD
	id  [idSize]byte
}

// New makes a Sealer.
func New(key Key) *Sealer {
	block, err := aes.NewCipher(key.bytes[:])
	if err != nil {
		panic("seal: " + err.Error()) // the key's size is right
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: " + err.Error()) // AES has the block size that GCM needs
	}
	return &Sealer{gcm: gcm, id: key.id()}
}

// KeyID names the key in a way that does not give it away, for logs.
func (s *Sealer) KeyID() string { return fmt.Sprintf("%x", s.id) }

func (s *Sealer) String() string   { return "seal.Sealer(" + s.KeyID() + ")" }
func (s *Sealer) GoString() string { return s.String() }

// Seal encrypts plain. The context is bound to it, not kept in it: Open must be given the same.
func (s *Sealer) Seal(plain []byte, context string) ([]byte, error) {
	sealed := make([]byte, headSize, headSize+len(plain)+gcmExtra)
	sealed[0] = version
	copy(sealed[1:], s.id[:])
	return s.gcm.Seal(sealed, nil, plain, bound(sealed, context)), nil
}

// Open is what was sealed in this context under this key, or one of the errors above.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < MinSealed || sealed[0] == 0 {
		return nil, ErrDamaged
	}
	if sealed[0] != version {
		return nil, ErrVersion
	}
	if [idSize]byte(sealed[1:headSize]) != s.id {
		return nil, ErrWrongKey
	}
	plain, err := s.gcm.Open(nil, nil, sealed[headSize:], bound(sealed[:headSize], context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// bound is the additional data: the head, so that a later version's text is never read as one of this, and the place.
func bound(head []byte, context string) []byte {
	return append(append(make([]byte, 0, len(head)+len(context)), head...), context...)
}

// id are the first bytes of a hash of the key: the key has 256 random bits, so they say nothing of it.
func (k Key) id() [idSize]byte {
	sum := sha256.Sum256(append([]byte("approovgate seal key id\x00"), k.bytes[:]...))
	return [idSize]byte(sum[:])
}
