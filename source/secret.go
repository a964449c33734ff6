package source

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MinSecret is the fewest bytes a decoded secret may have: those of the HMAC's hash (RFC 7518 §3.2).
const MinSecret = 32

// DecodeSecret decodes a secret from its declared encoding, base64, base32 or raw. Nothing is guessed.
//
// base64 is the standard or the URL alphabet (RFC 4648 §4 and §5) but not both at once, base32 is upper or lower
// case (§6); for both, padding is optional, white space around the text is ignored, and unused bits must be
// zero. The decoded bytes are never trimmed: published Approov secrets end in a line feed. raw is the text byte
// for byte; a line break at its end is refused, because an editor or echo put it there and the secret would
// differ from the one tokens are made with.
//
// Errors say what is wrong with the form and never repeat the text.
func DecodeSecret(text []byte, encoding string) ([]byte, error) {
	if bytes.Contains(text, []byte("-----BEGIN")) {
		return nil, errors.New("holds a PEM block, not a shared secret; use public_key for a public key")
	}
	var secret []byte
	var err error
	switch encoding {
	case "base64":
		secret, err = decodeBase64(strings.Trim(string(text), whiteSpace))
	case "base32":
		secret, err = decodeBase32(strings.Trim(string(text), whiteSpace))
	case "raw":
		secret, err = decodeRaw(text)
	default:
		err = errors.New("its encoding must be base64, base32 or raw")
	}
	if err != nil {
		return nil, err
	}
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("weak: %d bytes, at least %d needed", len(secret), MinSecret)
	}
	return secret, nil
}

const whiteSpace = " \t\r\n"

func decodeRaw(text []byte) ([]byte, error) {
	if bytes.HasSuffix(text, []byte("\n")) || bytes.HasSuffix(text, []byte("\r")) {
		return nil, errors.New("ends in a line break; write it without (printf %s instead of echo), " +
			"or declare encoding: base64 if the line break belongs to it")
	}
	return append([]byte(nil), text...), nil
}

func decodeBase64(text string) ([]byte, error) {
	digits := strings.TrimRight(text, "=")
	standard, url := false, false
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		switch {
		case c == '+' || c == '/':
			standard = true
		case c == '-' || c == '_':
			url = true
		case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default:
			return nil, errors.New("is not base64: it holds a character of neither alphabet; is another encoding meant?")
		}
	}
	if !padded(text, digits, 4) {
		return nil, errors.New("is not base64: its padding does not fit its length; was it cut off?")
	}
	if standard && url {
		return nil, errors.New("is not base64: it mixes the standard (+ /) and the URL (- _) alphabet")
	}
	decoder := base64.RawStdEncoding
	if url {
		decoder = base64.RawURLEncoding
	}
	secret, err := decoder.Strict().DecodeString(digits)
	if err != nil {
		return nil, errors.New("is not base64: its last characters are incomplete; was it cut off?")
	}
	return secret, nil
}

func decodeBase32(text string) ([]byte, error) {
	digits := strings.TrimRight(text, "=")
	upper := strings.ToUpper(digits)
	if digits != upper && digits != strings.ToLower(digits) {
		return nil, errors.New("is not base32: it mixes upper and lower case; is another encoding meant?")
	}
	for i := 0; i < len(upper); i++ {
		if (upper[i] < 'A' || upper[i] > 'Z') && (upper[i] < '2' || upper[i] > '7') {
			return nil, errors.New("is not base32: it holds a character outside A-Z and 2-7; is another encoding meant?")
		}
	}
	if !padded(text, digits, 8) {
		return nil, errors.New("is not base32: its padding does not fit its length; was it cut off?")
	}
	decoder := base32.StdEncoding.WithPadding(base32.NoPadding)
	secret, err := decoder.DecodeString(upper)
	if err != nil || decoder.EncodeToString(secret) != upper {
		return nil, errors.New("is not base32: its last characters are incomplete; was it cut off?")
	}
	return secret, nil
}

// padded reports whether a text's padding, if it has any, fills the last group (RFC 4648 §3.2).
func padded(text, digits string, group int) bool {
	padding := len(text) - len(digits)
	return padding == 0 || len(text)%group == 0 && padding < group
}
