package mint

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
)

const (
	cekSize = 32 // bytes of an A256GCM content encryption key (RFC 7518 §5.3)
	ivSize  = 12 // bytes of an AES-GCM initialisation vector, for key and content alike (RFC 7518 §4.7.1.1, §5.3)
)

// Encrypt makes a JWE in compact form (RFC 7516 §7.1): alg A256GCMKW under SHA-256 of secret, enc A256GCM
// (RFC 7518 §4.7, §5.3), which is what the manual's "Approov Tokens" calls AES256GCKW and AES256GC. The
// secret is the decoded account secret, not its base64 text. The header holds alg, enc, iv, kid (when not
// empty) and tag; header and claims are in Canonical form.
func (m Minter) Encrypt(secret []byte, kid string, claims map[string]any) (string, error) {
	header, err := canonicalHeader(map[string]any{"alg": "A256GCMKW", "enc": "A256GCM", "iv": "{iv}", "tag": "{tag}"}, kid)
	if err != nil {
		return "", err
	}
	payload, err := Canonical(claims)
	if err != nil {
		return "", err
	}
	return m.EncryptRaw(secret, nil, header, payload)
}

// EncryptRaw encrypts any payload under any header text, for tests with hostile tokens. "{iv}" and "{tag}" in
// header are replaced by those of the wrapped key, in base64url. A nil cek is a fresh one of 32 bytes; one of
// 16, 24 or 32 bytes is used as it is, whatever header says. No token of any other shape can be made here:
// take one apart and join its five parts again.
func (m Minter) EncryptRaw(secret, cek []byte, header, payload string) (string, error) {
	if cek == nil {
		cek = make([]byte, cekSize)
		if _, err := io.ReadFull(m.random(), cek); err != nil {
			return "", fmt.Errorf("content encryption key: %w", err)
		}
	}
	wrapping := sha256.Sum256(secret)
	wrapIV, wrapped, wrapTag, err := m.seal(wrapping[:], cek, nil)
	if err != nil {
		return "", fmt.Errorf("wrap key: %w", err)
	}
	header = strings.NewReplacer("{iv}", encode(wrapIV), "{tag}", encode(wrapTag)).Replace(header)
	protected := encode([]byte(header))
	iv, content, tag, err := m.seal(cek, []byte(payload), []byte(protected)) // RFC 7516 §5.1 step 14
	if err != nil {
		return "", fmt.Errorf("encrypt content: %w", err)
	}
	return strings.Join([]string{protected, encode(wrapped), encode(iv), encode(content), encode(tag)}, "."), nil
}

// seal encrypts with AES-GCM and a fresh initialisation vector.
func (m Minter) seal(key, plain, additional []byte) (iv, content, tag []byte, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, nil, err
	}
	iv = make([]byte, ivSize)
	if _, err := io.ReadFull(m.random(), iv); err != nil {
		return nil, nil, nil, fmt.Errorf("initialisation vector: %w", err)
	}
	sealed := gcm.Seal(nil, iv, plain, additional)
	cut := len(sealed) - gcm.Overhead()
	return iv, sealed[:cut], sealed[cut:], nil
}
