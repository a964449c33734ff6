package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
)

// The sizes that A256GCMKW and A256GCM fix (RFC 7518 §4.7.1, §5.3). They are checked before anything
// is opened: Go's GCM panics on a nonce of another size.
const (
	cekSize = 32
	ivSize  = 12
	tagSize = 16
)

// envelope is a JWE's parts, decoded. Its pieces share one buffer.
type envelope struct {
	protected []byte // the header, still base64url: the additional authenticated data (RFC 7516 §5.1)
	wrapIV    []byte
	wrapped   []byte // the encrypted key and its tag
	iv        []byte
	content   []byte // the ciphertext and its tag; decryption puts the plaintext in its place
}

// openEnvelope decodes a JWE's parts and checks their sizes. That is done once, however many keys are tried.
func openEnvelope(parts *[maxParts]string, h *header) (envelope, bool) {
	var e envelope
	var ok1, ok2, ok3, ok4 bool
	content := len(parts[3])/4*3 + len(parts[3]) // the content and, behind it, its text: see decodeSegment
	buf := make([]byte, 0, content+len(parts[0])+256)
	buf, e.wrapIV, ok1 = fixed(buf, h.iv, ivSize)
	buf, e.wrapped, ok2 = joined(buf, parts[1], h.tag)
	buf, e.iv, ok3 = fixed(buf, parts[2], ivSize)
	buf, e.content, ok4 = joined(buf, parts[3], parts[4])
	start := len(buf)
	buf = append(buf, parts[0]...)
	e.protected = buf[start:]
	return e, ok1 && ok2 && ok3 && ok4 && len(e.wrapped) == cekSize+tagSize
}

// gcmKeyWrap decrypts JWE whose content key is wrapped under key.
func gcmKeyWrap(key [sha256.Size]byte) (func(e envelope) (string, Fault), error) {
	wrap, err := newGCM(key[:])
	if err != nil {
		return nil, err
	}
	return func(e envelope) (string, Fault) {
		cek, err := wrap.Open(nil, e.wrapIV, e.wrapped, nil) // not in place: another key may have to try
		if err != nil {
			return "", DecryptionFailed
		}
		gcm, err := newGCM(cek)
		if err != nil {
			return "", DecryptionFailed
		}
		plain, err := gcm.Open(e.content[:0], e.iv, e.content, e.protected)
		if err != nil {
			return "", DecryptionFailed
		}
		return string(plain), ""
	}, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// fixed decodes a segment that must have size bytes, at the end of buf.
func fixed(buf []byte, segment string, size int) (grown, value []byte, ok bool) {
	start := len(buf)
	buf, ok = decodeSegment(buf, segment)
	return buf, buf[start:], ok && len(buf)-start == size
}

// joined decodes a ciphertext and its tag into one piece, as GCM's Open takes it, at the end of buf.
func joined(buf []byte, segment, tag string) (grown, value []byte, ok bool) {
	start := len(buf)
	buf, okText := decodeSegment(buf, segment)
	middle := len(buf)
	buf, okTag := decodeSegment(buf, tag)
	return buf, buf[start:], okText && okTag && len(buf)-middle == tagSize
}
