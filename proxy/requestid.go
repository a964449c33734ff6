package proxy

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"github.com/approovgate/approovgate/engine"
)

// longestRequestID is the longest id that is taken over from a client, in bytes.
const longestRequestID = 128

// requestID is the id of a request, which its header then holds once and in no other spelling: the one it
// came with if that is well-formed, else a new one of 32 hexadecimal digits. Ids are for finding lines
// that belong together; they are no secret and prove nothing.
func requestID(h http.Header, name string) string {
	lines := h[name]
	for other := range h {
		if other != name && engine.SameHeader(other, name) {
			delete(h, other)
		}
	}
	if len(lines) == 1 && isRequestID(lines[0]) {
		return lines[0]
	}
	id := newRequestID()
	h[name] = []string{id}
	return id
}

// isRequestID reports whether text may be passed on and logged as an id.
func isRequestID(text string) bool {
	if text == "" || len(text) > longestRequestID {
		return false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' && c != '+' && c != '=' {
			return false
		}
	}
	return true
}

// newRequestID makes an id of 128 random bits.
func newRequestID() string {
	var raw [16]byte
	for i := 0; i < len(raw); i += 8 {
		n := rand.Uint64()
		for j := range 8 {
			raw[i+j] = byte(n >> (8 * j))
		}
	}
	var text [2 * len(raw)]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}
