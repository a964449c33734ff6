package jose

import "strings"

const (
	maxHeader = 2048 // characters of a header segment; the longest in use has about 200

	keyWrapAlg = "A256GCMKW" // RFC 7518 §4.7
	contentEnc = "A256GCM"   // RFC 7518 §5.3
)

// header is a protected header, reduced to what is acted on.
type header struct {
	alg, enc, typ string
	kid           string
	iv, tag       string // of the key wrap, still base64url (RFC 7518 §4.7.1)
	fault         Fault
}

// parseHeader reads a header segment. Parameters that carry or point to keys (jwk, jku, x5u, x5c) are
// never looked at. Those that would change how the token is processed (crit, zip, b64) are refused
// by their presence: RFC 7515 §4.1.11, RFC 7516 §4.1.3, RFC 7797 §3.
func parseHeader(segment string) header {
	if len(segment) > maxHeader {
		return header{fault: Malformed}
	}
	raw, ok := decodeSegment(nil, segment)
	if !ok {
		return header{fault: Malformed}
	}
	var h header
	refused := false
	o := OpenObject(string(raw))
	for o.Next() {
		var field *string
		switch o.Name {
		case "alg":
			field = &h.alg
		case "enc":
			field = &h.enc
		case "typ":
			field = &h.typ
		case "kid":
			field = &h.kid
		case "iv":
			field = &h.iv
		case "tag":
			field = &h.tag
		case "crit", "zip", "b64":
			refused = true
		}
		if field == nil {
			continue
		}
		text, isText := o.Text()
		if !isText {
			ok = false
		}
		*field = text
	}
	switch {
	case !ok || !o.OK():
		return header{fault: Malformed}
	case refused || h.alg == "":
		return header{fault: AlgorithmRefused}
	}
	return h
}

// typed reports whether the header's typ is the one wanted (RFC 7515 §4.1.9).
func (h *header) typed(want string) bool {
	if want == "" {
		return !isType(h.typ, ControlType) && !isType(h.typ, RingType)
	}
	return isType(h.typ, want)
}

func isType(typ, want string) bool {
	const prefix = "application/"
	if len(typ) == len(prefix)+len(want) && strings.EqualFold(typ[:len(prefix)], prefix) {
		typ = typ[len(prefix):]
	}
	return strings.EqualFold(typ, want)
}
