package jose

import "strings"

const maxParts = 5 // of a JWE (RFC 7516 §7.1); a JWS has three (RFC 7515 §7.1)

// split cuts a compact token at its dots. It returns 0 parts when there are more than five.
func split(compact string) (parts [maxParts]string, n int) {
	rest := compact
	for n < maxParts-1 {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		parts[n] = rest[:dot]
		rest = rest[dot+1:]
		n++
	}
	if strings.IndexByte(rest, '.') >= 0 {
		return parts, 0
	}
	parts[n] = rest
	return parts, n + 1
}

// decodeSegment appends the bytes of one base64url segment to dst. Line breaks, padding, other
// alphabets and non-zero unused bits are refused.
func decodeSegment(dst []byte, segment string) ([]byte, bool) {
	n := len(dst)
	need := base64url.DecodedLen(len(segment))
	if cap(dst)-n < need+len(segment) {
		grown := make([]byte, n, n+need+len(segment))
		copy(grown, dst)
		dst = grown
	}
	// The text is staged behind the room for the result, because Decode takes bytes and a conversion
	// would allocate.
	text := dst[n+need : n+need+len(segment)]
	copy(text, segment)
	written, err := base64url.Decode(dst[n:n+need], text)
	// Decode skips CR and LF, and then writes less than the length promises. Only for a length that no
	// encoding has, one more than a multiple of four, the promise would be too small to tell.
	whole := written == need && len(segment)%4 != 1
	return dst[:n+written], err == nil && whole
}
