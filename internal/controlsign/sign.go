// Package controlsign makes the signed documents that gates poll: control documents and key rings, in the
// envelopes that gate.OpenControl and gate.OpenRing open.
//
// It owns reading the private key, what an envelope's claims are, and refusing what gates would refuse. It
// knows nothing of files' syntax or flags, which are the command line's, and it signs no tokens.
//
// Start reading at [Control] and [Ring].
package controlsign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// maxEnvelope is the most bytes of an envelope. Gates read 64 KiB, and a line break behind it must have room.
const maxEnvelope = 64*1024 - 1

const coordinate = 32 // bytes of each half of an ES256 signature (RFC 7518 §3.4)

// Sign makes a compact JWS (RFC 7515 §7.1) of one type with ES256. The key must be on P-256. Text in claims must
// be valid UTF-8.
func Sign(key *ecdsa.PrivateKey, typ string, claims map[string]any) (string, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return "", errors.New("the key is not on P-256, the only curve of ES256")
	}
	header, err := compact(map[string]any{"alg": "ES256", "typ": typ})
	if err != nil {
		return "", err
	}
	payload, err := compact(claims)
	if err != nil {
		return "", err
	}
	signed := header + "." + payload
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", fmt.Errorf("the key cannot sign: %w", err)
	}
	signature := make([]byte, 2*coordinate)
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	envelope := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(envelope) > maxEnvelope {
		return "", fmt.Errorf("the envelope has %d bytes and gates read at most %d; make the document smaller", len(envelope), maxEnvelope)
	}
	return envelope, nil
}

// compact is a JSON object in base64url.
func compact(object map[string]any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return "", errors.New("the document holds something that JSON cannot say")
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(text.Bytes(), []byte("\n"))), nil
}
