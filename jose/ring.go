package jose

import (
	"fmt"
	"strings"
)

// maxCandidates bounds how many keys one token may be tried with, and so what a hostile one can cost.
const maxCandidates = 4

// Ring opens tokens with a fixed set of keys. It is safe for concurrent use. The zero value opens
// nothing.
type Ring struct {
	keys  []Key
	known map[string]*header // headers that are expected, parsed by parseHeader in advance
}

// NewRing makes a ring of keys. It is an error if some token would have more than four candidates,
// because the fifth would never be tried.
func NewRing(keys []Key) (*Ring, error) {
	r := &Ring{keys: append([]Key(nil), keys...), known: map[string]*header{}}
	for _, k := range r.keys {
		candidates := 0
		for _, other := range r.keys {
			if other.alg == k.alg && (other.kid == "" || other.kid == k.kid) {
				candidates++
			}
		}
		if candidates > maxCandidates {
			return nil, fmt.Errorf("%d %s keys would have to be tried for one token, at most %d are: give them a kid or remove retired ones",
				candidates, k.alg, maxCandidates)
		}
		if k.alg == HS256 {
			r.expect(k.kid)
		}
	}
	return r, nil
}

// expect parses the headers in advance that Approov's own HS256 tokens have.
func (r *Ring) expect(kid string) {
	texts := []string{`{"alg":"HS256","typ":"JWT"}`, `{"typ":"JWT","alg":"HS256"}`}
	if kid != "" {
		texts = append(texts, `{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`, `{"kid":"`+kid+`","typ":"JWT","alg":"HS256"}`)
	}
	for _, text := range texts {
		segment := base64url.EncodeToString([]byte(text))
		parsed := parseHeader(segment)
		r.known[segment] = &parsed
	}
}

// Usable is how many of the ring's keys are inside their window at nowUnix, in Unix seconds.
func (r *Ring) Usable(nowUnix int64) int {
	n := 0
	for _, k := range r.keys {
		if k.Usable(nowUnix) {
			n++
		}
	}
	return n
}

// Key is the ring's key of that name, and whether there is one.
func (r *Ring) Key(name string) (Key, bool) {
	for _, k := range r.keys {
		if k.name == name {
			return k, true
		}
	}
	return Key{}, false
}

// Expected reports whether a token has one of the headers that Approov's own HS256 tokens have, which
// makes it cheap to open.
func (r *Ring) Expected(compact string) bool {
	dot := strings.IndexByte(compact, '.')
	if dot < 0 {
		return false
	}
	_, ok := r.known[compact[:dot]]
	return ok
}

// Open verifies or decrypts a compact token and returns its payload, in memory of its own, and the
// name of the key that did it. nowUnix, in Unix seconds, is compared with the keys' windows only.
// On a fault payload and key are empty. The caller bounds the token's length.
func (r *Ring) Open(compact string, nowUnix int64, accept Accept) (payload, key string, fault Fault) {
	parts, n := split(compact)
	if n != 3 && n != maxParts {
		return "", "", Malformed
	}
	h := r.known[parts[0]]
	if h == nil {
		parsed := parseHeader(parts[0])
		h = &parsed
	}
	switch {
	case h.fault != "":
		return "", "", h.fault
	case !h.typed(accept.Typ):
		return "", "", AlgorithmRefused
	case n == 3 && accept.JWS && h.enc == "":
		return r.openJWS(compact, &parts, h, nowUnix)
	case n == maxParts && accept.JWE && h.alg == keyWrapAlg && h.enc == contentEnc:
		return r.openJWE(&parts, h, nowUnix)
	}
	return "", "", AlgorithmRefused
}

func (r *Ring) openJWS(compact string, parts *[maxParts]string, h *header, nowUnix int64) (payload, key string, fault Fault) {
	candidates, n, fault := r.candidates(h, nowUnix, false)
	if fault != "" {
		return "", "", fault
	}
	signed := compact[:len(parts[0])+1+len(parts[1])]
	for _, i := range candidates[:n] {
		k := &r.keys[i]
		if !k.verify(signed, parts[2]) {
			continue
		}
		text, ok := decodePayload(parts[1])
		if !ok {
			return "", "", Malformed
		}
		return text, k.name, ""
	}
	return "", "", SignatureInvalid
}

// decodePayload is decodeSegment for a payload, whose text is then kept.
func decodePayload(segment string) (string, bool) {
	var room [payloadRoom]byte
	raw, ok := decodeSegment(room[:0], segment)
	return string(raw), ok
}

// payloadRoom fits the payload and the segment of all but the largest tokens on the stack.
const payloadRoom = 640

func (r *Ring) openJWE(parts *[maxParts]string, h *header, nowUnix int64) (payload, key string, fault Fault) {
	candidates, n, fault := r.candidates(h, nowUnix, true)
	if fault != "" {
		return "", "", fault
	}
	sealed, ok := openEnvelope(parts, h)
	if !ok {
		return "", "", Malformed
	}
	for _, i := range candidates[:n] {
		k := &r.keys[i]
		if text, fault := k.decrypt(sealed); fault == "" {
			return text, k.name, ""
		}
	}
	return "", "", DecryptionFailed
}

// candidates are the indices of the keys to try, those named by the token's kid first.
func (r *Ring) candidates(h *header, nowUnix int64, jwe bool) (found [maxCandidates]int, n int, fault Fault) {
	if len(r.keys) == 0 {
		return found, 0, KeyUnknown // a ring whose keys are still to come
	}
	fault = AlgorithmRefused
	for named := 1; named >= 0; named-- {
		for i := range r.keys {
			k := &r.keys[i]
			if jwe && k.decrypt == nil || !jwe && (k.alg != h.alg || k.verify == nil) {
				continue
			}
			if fault != "" {
				fault = KeyUnknown
			}
			if (k.kid != "") != (named == 1) || k.kid != "" && k.kid != h.kid {
				continue
			}
			if n < maxCandidates && k.Usable(nowUnix) {
				found[n] = i
				n++
				fault = ""
			}
		}
	}
	return found, n, fault
}
