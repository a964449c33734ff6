package attestapi

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
)

// The labels that keep the keys of the protocol apart.
const (
	labelRequest  = "attest/v1 req"
	labelResponse = "attest/v1 resp"
	labelEvidence = "attest/v1 evidence"
)

// RequestMAC authenticates an attestation: base64 of HMAC-SHA256 over the bytes of the body. The key is HKDF-SHA256
// (RFC 5869) of the library's key with the nonce's text as salt, and the label and the device ID's text as info.
func RequestMAC(libraryKey []byte, nonce, deviceID string, body []byte) string {
	return mac(labelRequest, libraryKey, nonce, deviceID, body)
}

// ResponseMAC authenticates the answer to the request with MAC request: over that text, a zero byte, the status
// in decimal, a zero byte and the bytes of the body.
func ResponseMAC(libraryKey []byte, nonce, deviceID, request string, status int, body []byte) string {
	message := append([]byte(request+"\x00"+strconv.Itoa(status)+"\x00"), body...)
	return mac(labelResponse, libraryKey, nonce, deviceID, message)
}

// SameMAC compares two MACs in constant time.
func SameMAC(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

func mac(label string, libraryKey []byte, nonce, deviceID string, message []byte) string {
	key, err := hkdf.Key(sha256.New, libraryKey, []byte(nonce), label+"\x00"+deviceID, sha256.Size)
	if err != nil {
		panic("attestapi: " + err.Error()) // only for a longer key
	}
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Measurement proves knowledge of an app's digest without showing it: base64 of HMAC-SHA256 over the digest, with
// the nonce's text as key, so that it is another one with every attestation.
func Measurement(nonce string, digest [DigestSize]byte) string {
	m := hmac.New(sha256.New, []byte(nonce))
	m.Write(digest[:])
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// EvidenceBinding is what evidence must be about, so that it cannot be moved to another attestation: SHA-256 of the
// label, a zero byte, the nonce's text, a zero byte, and the hash of the body with an empty evidence list.
func EvidenceBinding(nonce string, bodyWithout []byte) [sha256.Size]byte {
	body := sha256.Sum256(bodyWithout)
	return sha256.Sum256(append([]byte(labelEvidence+"\x00"+nonce+"\x00"), body[:]...))
}

// KeyFingerprint is base64 of the SHA-256 of a public key in its PKIX form.
func KeyFingerprint(spki []byte) string {
	sum := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(sum[:])
}
