package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/big"
	"sync"
	"time"
)

// The signature algorithms (RFC 7518 §3.1).
const (
	HS256 = "HS256"
	RS256 = "RS256"
	PS256 = "PS256"
	ES256 = "ES256"
)

const (
	// MinSecret is the fewest bytes an HS256 secret may have (RFC 7518 §3.2).
	MinSecret = 32

	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // what a verification may cost
	coordinate = 32   // bytes of a P-256 coordinate (RFC 7518 §3.4)
)

// Key verifies, and if it may also decrypts, tokens of one algorithm. The zero value opens nothing.
type Key struct {
	name, alg, kid      string
	set                 string // the set it is a member of; empty: none
	notBefore, notAfter int64  // Unix seconds; used from notBefore up to, not including, notAfter

	verify  func(signed, signature string) bool // nil: never
	decrypt func(e envelope) (string, Fault)    // nil: not for JWE
	macs    *sync.Pool                          // of hash.Hash, for trials; nil: not HS256
}

// Name is what logs, metrics and policies call the key.
func (k Key) Name() string { return k.name }

// Alg is the key's one algorithm.
func (k Key) Alg() string { return k.alg }

// Kid is the key id that tokens of this key name; empty: they may name any, or none.
func (k Key) Kid() string { return k.kid }

// Set is the name of the set that the key is a member of, or else its own name: what a policy chooses keys by.
func (k Key) Set() string {
	if k.set != "" {
		return k.set
	}
	return k.name
}

// Member is a copy of k with a name of its own in a set.
func (k Key) Member(set, name string) Key {
	k.set, k.name = set, name
	return k
}

// Window is a copy of k that is used from notBefore up to, not including, notAfter. A zero time leaves
// that side open. Windows count whole seconds, those in which they begin and end included.
func (k Key) Window(notBefore, notAfter time.Time) Key {
	if !notBefore.IsZero() {
		k.notBefore = notBefore.Unix()
	}
	if !notAfter.IsZero() {
		k.notAfter = notAfter.Unix()
		if notAfter.Nanosecond() > 0 {
			k.notAfter++
		}
	}
	return k
}

// Usable reports whether nowUnix, in Unix seconds, is inside the key's window.
func (k Key) Usable(nowUnix int64) bool { return nowUnix >= k.notBefore && nowUnix < k.notAfter }

func newKey(name, alg, kid string) Key {
	return Key{name: name, alg: alg, kid: kid, notBefore: math.MinInt64, notAfter: math.MaxInt64}
}

// NewHS256 makes a key from a shared secret of at least 32 bytes. A non-empty kid restricts it to
// tokens with that kid. With jwe it also opens JWE under the secret's SHA-256 (manual, "Token
// Format": the key is SHA-256 of the signing key). The secret is copied.
func NewHS256(name, kid string, secret []byte, jwe bool) (Key, error) {
	if len(secret) < MinSecret {
		return Key{}, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(secret), MinSecret)
	}
	own := append([]byte(nil), secret...)
	k := newKey(name, HS256, kid)
	k.verify = hs256(own)
	k.macs = &sync.Pool{New: func() any { return hmac.New(sha256.New, own) }}
	if jwe {
		var err error
		if k.decrypt, err = gcmKeyWrap(sha256.Sum256(own)); err != nil {
			return Key{}, err
		}
	}
	return k, nil
}

// macState is what one HS256 verification needs and the next one can use again.
type macState struct {
	mac    hash.Hash
	signed []byte
	sum    []byte
	want   []byte
	given  []byte
}

// hs256 verifies by encoding the right signature and comparing texts, which leaves no other spelling
// of it to be accepted.
func hs256(secret []byte) func(signed, signature string) bool {
	size := base64url.EncodedLen(sha256.Size)
	pool := &sync.Pool{New: func() any {
		return &macState{mac: hmac.New(sha256.New, secret), want: make([]byte, size)}
	}}
	return func(signed, signature string) bool {
		if len(signature) != size {
			return false
		}
		s := pool.Get().(*macState)
		s.signed = append(s.signed[:0], signed...)
		s.given = append(s.given[:0], signature...)
		s.mac.Reset()
		s.mac.Write(s.signed)
		s.sum = s.mac.Sum(s.sum[:0])
		base64url.Encode(s.want, s.sum)
		same := subtle.ConstantTimeCompare(s.want, s.given) == 1
		pool.Put(s)
		return same
	}
}

// NewPublic makes a key for RS256, PS256 or ES256 from a PEM public key ("PUBLIC KEY", or "RSA PUBLIC
// KEY"). RSA keys must have 2048 to 8192 bits, EC keys must be on P-256.
func NewPublic(name, alg, kid string, pemText []byte) (Key, error) {
	block, _ := pem.Decode(pemText)
	if block == nil {
		return Key{}, errors.New("no PEM block found; a public key in PEM form is needed")
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("the PEM block is a %q; a PUBLIC KEY is needed (openssl pkey -pubout)", block.Type)
	}
	if err != nil {
		return Key{}, errors.New("the PEM block holds no readable public key")
	}
	return publicKey(name, alg, kid, public)
}

// publicKey matches a parsed key with the algorithm it is to serve.
func publicKey(name, alg, kid string, public any) (Key, error) {
	k := newKey(name, alg, kid)
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if alg != RS256 && alg != PS256 {
			return Key{}, fmt.Errorf("an RSA key cannot serve %s; use RS256 or PS256", alg)
		}
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return Key{}, fmt.Errorf("the RSA key has %d bits, %d to %d are accepted", bits, minRSABits, maxRSABits)
		}
		k.verify = rsaVerifier(pub, alg == PS256)
	case *ecdsa.PublicKey:
		if alg != ES256 {
			return Key{}, fmt.Errorf("an EC key cannot serve %s; use ES256", alg)
		}
		if pub.Curve != elliptic.P256() {
			return Key{}, errors.New("the EC key is not on P-256, the only curve of ES256")
		}
		k.verify = ecVerifier(pub)
	default:
		return Key{}, errors.New("the key is neither RSA nor EC")
	}
	return k, nil
}

// rsaVerifier verifies RSASSA-PKCS1-v1_5 or, with pss, RSASSA-PSS with a salt as long as the hash
// (RFC 7518 §3.3, §3.5).
func rsaVerifier(pub *rsa.PublicKey, pss bool) func(signed, signature string) bool {
	return func(signed, signature string) bool {
		sig, ok := decodeSegment(nil, signature)
		if !ok {
			return false
		}
		digest := sha256.Sum256([]byte(signed))
		if pss {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, options) == nil
		}
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
	}
}

// ecVerifier verifies ECDSA over the two coordinates of RFC 7518 §3.4, 64 bytes in all.
func ecVerifier(pub *ecdsa.PublicKey) func(signed, signature string) bool {
	return func(signed, signature string) bool {
		sig, ok := decodeSegment(nil, signature)
		if !ok || len(sig) != 2*coordinate {
			return false
		}
		digest := sha256.Sum256([]byte(signed))
		r := new(big.Int).SetBytes(sig[:coordinate])
		s := new(big.Int).SetBytes(sig[coordinate:])
		return ecdsa.Verify(pub, digest[:], r, s)
	}
}
