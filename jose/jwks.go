package jose

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
)

const maxSetKeys = 64 // in one key set

// jwk is one entry of a key set, reduced to what is acted on (RFC 7517 §4, RFC 7518 §6).
type jwk struct {
	kty, use, alg, kid string
	n, e               string // RSA
	crv, x, y          string // EC
	k                  string // shared secret
	ops                []string
	hasOps, private    bool
}

// ParseJWKS reads a JSON Web Key Set (RFC 7517 §5). Every entry serves exactly one of algs: the one it
// names, or else the only one of algs that its type allows. Entries for encryption, for other
// algorithms and of unknown types are passed over, as §5 asks. An unreadable key, a private key, two
// entries with one kid, a set with both shared secrets and public keys, or one in which nothing is
// left are errors. Shared secrets (oct) are taken only with allowOct.
func ParseJWKS(name string, text []byte, algs []string, allowOct bool) ([]Key, error) {
	entries, err := setEntries(string(text))
	if err != nil {
		return nil, err
	}
	var keys []Key
	kids := map[string]bool{}
	shared, public := false, false
	for i, raw := range entries {
		entry, err := parseJWK(raw)
		if err != nil {
			return nil, fmt.Errorf("key set entry %d: %v", i, err)
		}
		if entry.kid != "" && kids[entry.kid] {
			return nil, fmt.Errorf("key set entry %d: its kid stands twice in the set; give every key its own", i)
		}
		kids[entry.kid] = true
		shared = shared || entry.kty == "oct"
		public = public || entry.kty == "EC" || entry.kty == "RSA"
		alg, err := entry.algorithm(algs)
		if err != nil {
			return nil, fmt.Errorf("key set entry %d: %v", i, err)
		}
		if alg == "" {
			continue
		}
		key, err := entry.key(name, alg, allowOct)
		if err != nil {
			return nil, fmt.Errorf("key set entry %d: %v", i, err)
		}
		keys = append(keys, key)
	}
	if shared && public {
		return nil, errors.New("the key set mixes shared secrets (oct) with public keys; keep them in separate sets, so that no secret is published by mistake")
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the key set holds no key for %v", algs)
	}
	return keys, nil
}

// setEntries are the JSON texts of a set's keys.
func setEntries(text string) ([]string, error) {
	var entries []string
	found := false
	o := OpenObject(text)
	for o.Next() {
		if o.Name != "keys" {
			continue
		}
		found = true
		var ok bool
		if entries, ok = objects(o.Value); !ok {
			return nil, errors.New("the key set's keys must be a list of JSON objects")
		}
	}
	switch {
	case !o.OK():
		return nil, errors.New("the key set is not strict JSON")
	case !found:
		return nil, errors.New(`the key set has no list of "keys"`)
	case len(entries) > maxSetKeys:
		return nil, fmt.Errorf("the key set has %d keys, at most %d are accepted", len(entries), maxSetKeys)
	}
	return entries, nil
}

// objects cuts a JSON array that has already been found valid into its elements, which must be objects.
func objects(raw string) ([]string, bool) {
	all, ok := Elements(raw)
	for _, element := range all {
		ok = ok && element[0] == '{'
	}
	return all, ok
}

// Elements cuts a JSON array, such as the Value of an Object's member, into the texts of its elements.
func Elements(raw string) ([]string, bool) {
	if raw == "" || raw[0] != '[' {
		return nil, false
	}
	var all []string
	pos := skipSpace(raw, 1)
	for pos < len(raw) && raw[pos] != ']' {
		end := scanValue(raw, pos, 1)
		if end < 0 {
			return nil, false
		}
		all = append(all, raw[pos:end])
		pos = skipSpace(raw, end)
		if pos >= len(raw) || raw[pos] != ',' {
			break
		}
		pos = skipSpace(raw, pos+1)
	}
	return all, pos == len(raw)-1 && raw[pos] == ']'
}

func parseJWK(raw string) (jwk, error) {
	var entry jwk
	o := OpenObject(raw)
	for o.Next() {
		var field *string
		switch o.Name {
		case "kty":
			field = &entry.kty
		case "use":
			field = &entry.use
		case "alg":
			field = &entry.alg
		case "kid":
			field = &entry.kid
		case "n":
			field = &entry.n
		case "e":
			field = &entry.e
		case "crv":
			field = &entry.crv
		case "x":
			field = &entry.x
		case "y":
			field = &entry.y
		case "k":
			field = &entry.k
		case "d", "p", "q", "dp", "dq", "qi", "oth":
			entry.private = true
		case "key_ops":
			entry.hasOps = true
			if !Strings(o.Value, func(op string) { entry.ops = append(entry.ops, op) }) {
				return jwk{}, errors.New("key_ops must be a list of strings")
			}
		}
		if field == nil {
			continue
		}
		text, ok := o.Text()
		if !ok {
			return jwk{}, fmt.Errorf("%s must be a string", o.Name)
		}
		*field = text
	}
	if !o.OK() {
		return jwk{}, errors.New("not strict JSON, or a member stands twice")
	}
	if entry.private {
		return jwk{}, errors.New("it is a private key; publish only public ones, and replace this one")
	}
	return entry, nil
}

// algorithm is the one of algs that the entry serves; empty: it is to be passed over.
func (entry *jwk) algorithm(algs []string) (string, error) {
	if entry.use != "" && entry.use != "sig" {
		return "", nil
	}
	if entry.hasOps && !contains(entry.ops, "verify") {
		return "", nil
	}
	if entry.alg != "" {
		if contains(algs, entry.alg) {
			return entry.alg, nil
		}
		return "", nil
	}
	var possible []string
	for _, alg := range algs {
		if serves(entry.kty, alg) {
			possible = append(possible, alg)
		}
	}
	if len(possible) > 1 {
		return "", fmt.Errorf("it names no alg, and its type fits %v; name the alg in the set, or list only one in algs", possible)
	}
	if len(possible) == 0 || entry.kty == "EC" && entry.crv != "P-256" {
		return "", nil
	}
	return possible[0], nil
}

func serves(kty, alg string) bool {
	switch alg {
	case HS256:
		return kty == "oct"
	case ES256:
		return kty == "EC"
	}
	return kty == "RSA"
}

func contains(list []string, wanted string) bool {
	for _, member := range list {
		if member == wanted {
			return true
		}
	}
	return false
}

func (entry *jwk) key(name, alg string, allowOct bool) (Key, error) {
	if !serves(entry.kty, alg) {
		return Key{}, fmt.Errorf("its type does not serve %s", alg)
	}
	switch alg {
	case HS256:
		if !allowOct {
			return Key{}, errors.New("it is a shared secret (oct), which is accepted from files only")
		}
		secret, ok := decodeSegment(nil, entry.k)
		if !ok {
			return Key{}, errors.New("k is not base64url without padding")
		}
		return NewHS256(name, entry.kid, secret, false)
	case ES256:
		public, err := entry.ec()
		if err != nil {
			return Key{}, err
		}
		return publicKey(name, alg, entry.kid, public)
	}
	public, err := entry.rsa()
	if err != nil {
		return Key{}, err
	}
	return publicKey(name, alg, entry.kid, public)
}

// ec is the entry's point, which must lie on P-256 (RFC 7518 §6.2.1).
func (entry *jwk) ec() (any, error) {
	x, okX := decodeSegment(nil, entry.x)
	y, okY := decodeSegment(nil, entry.y)
	if entry.crv != "P-256" || !okX || !okY || len(x) != coordinate || len(y) != coordinate {
		return nil, errors.New("crv must be P-256, x and y base64url of 32 bytes")
	}
	public, err := x509.ParsePKIXPublicKey(append(append([]byte(p256Prefix), x...), y...))
	if err != nil {
		return nil, errors.New("x and y are not a point on P-256")
	}
	return public, nil
}

// p256Prefix is what stands before the two coordinates in the DER form of a P-256 public key
// (RFC 5480 §2): the algorithm's identifiers and the mark of an uncompressed point. Parsing that form
// checks that the point is on the curve.
const p256Prefix = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" +
	"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"

const maxExponent = 1<<31 - 1 // what crypto/rsa accepts on every platform

// rsa is the entry's modulus and exponent (RFC 7518 §6.3.1); publicKey checks the size.
func (entry *jwk) rsa() (*rsa.PublicKey, error) {
	n, okN := decodeSegment(nil, entry.n)
	e, okE := decodeSegment(nil, entry.e)
	exponent := new(big.Int).SetBytes(e)
	if !okN || !okE || len(n) == 0 || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > maxExponent || exponent.Bit(0) == 0 {
		return nil, errors.New("n and e must be base64url of an RSA modulus and an odd exponent of at least 3")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}
