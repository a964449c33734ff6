package suite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// secretOf is the secret of a test key: public, never to be used.
func secretOf(name string) []byte {
	sum := sha512.Sum512([]byte("live control test key " + name + ", public, never use"))
	return sum[:]
}

func secretText(name string) string { return base64.StdEncoding.EncodeToString(secretOf(name)) }

// signer signs what a control plane sends, with a library that shares nothing with the gate's own reader.
type signer struct {
	key    *ecdsa.PrivateKey
	public string // PEM
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// Types of envelopes.
const (
	controlType = "approov-control+jwt"
	ringType    = "approov-keys+jwt"
)

// sign is an envelope for the gate edge, issued at noon. claims may say otherwise; null takes one out.
func (s *signer) sign(t testing.TB, typ string, claims tree) string {
	t.Helper()
	all := jwt.MapClaims{"aud": "edge", "iat": noon.Unix()}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	envelope := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	envelope.Header["typ"] = typ
	text, err := envelope.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// document is a control document in its envelope.
func (p *player) document(claims tree) string {
	p.Helper()
	return p.signer.sign(p, controlType, claims)
}

// override is a document that overrides the mode for so long after noon.
func (p *player) override(version int, mode string, after time.Duration) string {
	p.Helper()
	return p.document(tree{"version": version, "mode": mode, "until": until(after), "reason": "INC-42", "by": "ops"})
}

// ring is a ring of keys in its envelope.
func (p *player) ring(version int, keys ...any) string {
	p.Helper()
	return p.signer.sign(p, ringType, tree{"version": version, "keys": keys})
}

// member is a ring's key with a window in minutes after noon; 0: open.
func member(name string, notBefore, notAfter int) tree {
	key := tree{"name": name, "alg": "HS256", "secret": "inline:" + secretText(name)}
	if notBefore != 0 {
		key["not_before"] = until(time.Duration(notBefore) * time.Minute)
	}
	if notAfter != 0 {
		key["not_after"] = until(time.Duration(notAfter) * time.Minute)
	}
	return key
}
