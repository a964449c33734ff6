// Package jose opens compact JSON Web Signatures and Encryptions (RFC 7515, RFC 7516) with a ring of
// keys, each of which names the one algorithm it is used with. A token's own alg never chooses.
//
// It owns the compact form, protected headers, keys, key sets and the strict JSON reader that headers
// and claims share. It knows nothing about claims, requests or policies, and it does no I/O.
//
// Start reading at [Ring.Open]. Keys are made by [NewHS256], [NewPublic] and [ParseJWKS]. They keep
// their material in closures, so that no printed struct can show it.
package jose

import "encoding/base64"

// Fault says why a token could not be opened. The zero value means it was.
type Fault string

// The faults.
const (
	Malformed        Fault = "malformed"         // not a compact JWS or JWE, or a header that cannot be read
	AlgorithmRefused Fault = "algorithm_refused" // alg, enc, zip, crit, b64, typ or form that no key here is for
	KeyUnknown       Fault = "key_unknown"       // no key has this kid, or all of them are outside their window
	SignatureInvalid Fault = "signature_invalid"
	DecryptionFailed Fault = "decryption_failed"
)

// ControlType is the typ of control documents. A ring opens them only when asked to (RFC 8725 §3.11).
const ControlType = "approov-control+jwt"

// RingType is the typ of documents that hold keys, under the same rule.
const RingType = "approov-keys+jwt"

// Accept says which tokens a caller is ready to take.
type Accept struct {
	JWS bool   // three parts, signed
	JWE bool   // five parts, encrypted
	Typ string // the typ required; empty: any but ControlType and RingType
}

// base64url is RFC 7515 §2's base64url without padding, with the unused bits required to be zero.
// It still skips CR and LF: see decodeSegment.
var base64url = base64.RawURLEncoding.Strict()
