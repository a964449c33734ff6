package jose_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
)

// The keys of testdata/keys are test keys: published, never to be accepted outside tests.

func keyText(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func secret(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(keyText(t, "hs256-"+name+".base64"))))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func private(t testing.TB, name string) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode(keyText(t, name+".private.pem"))
	if block == nil {
		t.Fatalf("%s holds no PEM block", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

func hs256(t testing.TB, name, kid string) jose.Key {
	t.Helper()
	k, err := jose.NewHS256(name, kid, secret(t, name), true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, alg, file, kid string) jose.Key {
	t.Helper()
	k, err := jose.NewPublic(alg+" "+file, alg, kid, keyText(t, file+".public.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ringOf(t testing.TB, keys ...jose.Key) *jose.Ring {
	t.Helper()
	r, err := jose.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	signed    = jose.Accept{JWS: true}
	encrypted = jose.Accept{JWE: true}
	anyForm   = jose.Accept{JWS: true, JWE: true}
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// wrappingKey is the key that a JWE's content key is wrapped under (manual, "Token Format").
func wrappingKey(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}
