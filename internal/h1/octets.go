package h1

import "encoding/binary"

// The kinds of octets, as bits of a table.
const (
	tokenOctet  = 1 << iota // tchar, RFC 9110 §5.6.2
	hostOctet               // what the plain forms of uri-host and port are made of, RFC 3986 §3.2.2
	targetOctet             // anything printable, and what is not ASCII, which net/http passes on too
)

// octets has the kinds of each octet.
var octets = func() (table [256]uint8) {
	for c := range table {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			table[c] = tokenOctet | hostOctet
		}
		if c > ' ' && c != 0x7f {
			table[c] |= targetOctet
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] |= tokenOctet
	}
	for _, c := range []byte("-._~:[]") {
		table[c] |= hostOctet
	}
	return table
}()

// consists reports whether all octets of s are of a kind.
func consists[text string | []byte](s text, kind uint8) bool {
	for i := 0; i < len(s); i++ {
		if octets[s[i]]&kind == 0 {
			return false
		}
	}
	return true
}

func isToken[text string | []byte](s text) bool { return len(s) > 0 && consists(s, tokenOctet) }

// isFieldValue reports whether v may be a field's value: no control character but the tab (RFC 9110
// §5.5), which excludes line ends, bare CR and NUL. It looks at eight octets at a time.
func isFieldValue(v []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(v) >= 8 {
		word := binary.LittleEndian.Uint64(v)
		del := word ^ 0x7f*ones
		// An octet under 0x20, or one that is 0x7f, sets its high bit here. A false alarm, possible in an
		// octet above a true one only, changes nothing; an octet from 0x80 raises none.
		if ((word-0x20*ones)&^word|(del-ones)&^del)&highs != 0 && !isPlainValue(v[:8]) {
			return false
		}
		v = v[8:]
	}
	return isPlainValue(v)
}

func isPlainValue(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trim takes optional whitespace off both ends (OWS, RFC 9110 §5.6.3).
func trim[text string | []byte](s text) text {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}
