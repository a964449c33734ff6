package controlsign_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	josev4 "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/approovgate/approovgate/internal/controlsign"
	"github.com/approovgate/approovgate/jose"
)

var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

func pemFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../testdata/keys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func signer(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := controlsign.ParseKey(pemFile(t, "p256-account.private.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verifier is a gate's control.keys.
func verifier(t *testing.T, file string) *jose.Ring {
	t.Helper()
	key, err := jose.NewPublic("control.keys[0]", jose.ES256, "", pemFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// openIndependently verifies an envelope with two libraries that share no code with ours and returns its claims.
func openIndependently(t *testing.T, envelope, typ string, public *ecdsa.PublicKey) map[string]any {
	t.Helper()
	parsed, err := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()).
		Parse(envelope, func(*jwt.Token) (any, error) { return public, nil })
	if err != nil {
		t.Fatalf("golang-jwt: %v", err)
	}
	if parsed.Header["typ"] != typ || len(parsed.Header) != 2 {
		t.Errorf("header: got %v, want alg ES256 and typ %s alone", parsed.Header, typ)
	}
	object, err := josev4.ParseSignedCompact(envelope, []josev4.SignatureAlgorithm{josev4.ES256})
	if err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	payload, err := object.Verify(public)
	if err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestSignIsReadByIndependentLibraries(t *testing.T) {
	key := signer(t)
	for range 1000 { // one of 128 signatures has a half that begins with zeros
		envelope, err := controlsign.Sign(key, "example+jwt", map[string]any{"text": "<é&\"\\\u2028>", "n": 1 << 53})
		if err != nil {
			t.Fatal(err)
		}
		claims := openIndependently(t, envelope, "example+jwt", &key.PublicKey)
		if claims["text"] != "<é&\"\\\u2028>" || claims["n"] != float64(1<<53) {
			t.Fatalf("claims: got %v", claims)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		key    *ecdsa.PrivateKey
		claims map[string]any
		want   string
	}{
		{"no key", nil, nil, "not on P-256"},
		{"a key on P-384", other, nil, "not on P-256"},
		{"what JSON cannot say", signer(t), map[string]any{"f": func() {}}, "JSON cannot say"},
		{"an envelope that gates would not read", signer(t), map[string]any{"x": strings.Repeat("x", 50000)}, "gates read at most 65535"},
	} {
		if envelope, err := controlsign.Sign(row.key, "x", row.claims); envelope != "" || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %.20q, %v, want nothing and an error with %q", row.name, envelope, err, row.want)
		}
	}
}

func block(kind string, bytes []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
}

func TestParseKey(t *testing.T) {
	key := signer(t)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherDER, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: sec1})
	for _, row := range []struct {
		name string
		text []byte
		want string // in the error; empty: it is the key
	}{
		{"PKCS #8", pemFile(t, "p256-account.private.pem"), ""},
		{"SEC 1", block("EC PRIVATE KEY", sec1), ""},
		{"SEC 1 behind its parameters, as openssl ecparam -genkey writes it", append(block("EC PARAMETERS", []byte{6, 1, 0}), block("EC PRIVATE KEY", sec1)...), ""},
		{"text around it", append([]byte("made in 2030\n"), append(block("EC PRIVATE KEY", sec1), "\nthe end"...)...), ""},
		{"a public key", pemFile(t, "p256-account.public.pem"), "is a public key"},
		{"RSA in PKCS #8", pemFile(t, "rsa-account.private.pem"), "not an EC key on P-256"},
		{"RSA in PKCS #1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), `a "RSA PRIVATE KEY"`},
		{"P-384", block("PRIVATE KEY", otherDER), "not an EC key on P-256"},
		{"an encrypted one", block("ENCRYPTED PRIVATE KEY", sec1), "is encrypted"},
		{"one encrypted as openssl once did", legacy, "is encrypted"},
		{"PKCS #8 cut off", block("PRIVATE KEY", []byte("cut off")), "no readable private key"},
		{"SEC 1 cut off", block("EC PRIVATE KEY", sec1[:20]), "no readable private key"},
		{"parameters alone", block("EC PARAMETERS", []byte{6, 1, 0}), "no private key in PEM form"},
		{"nothing", nil, "openssl genpkey"},
		{"no PEM", []byte("a secret of some length"), "no private key in PEM form"},
	} {
		got, err := controlsign.ParseKey(row.text)
		switch {
		case row.want == "" && (err != nil || !got.Equal(key)):
			t.Errorf("%s: got %v, want the key", row.name, err)
		case row.want != "" && (got != nil || err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: got %v, want an error with %q", row.name, err, row.want)
		}
	}
}
