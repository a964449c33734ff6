package jose_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

func TestSecretSizes(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: false, 31: false, 32: true, 33: true, 64: true, 4096: true} {
		for _, jwe := range []bool{false, true} {
			_, err := jose.NewHS256("k", "", make([]byte, n), jwe)
			if got := err == nil; got != want {
				t.Errorf("secret of %d bytes: got %v, want accepted %v", n, err, want)
			}
		}
	}
	if _, err := jose.NewHS256("k", "", nil, true); err == nil {
		t.Error("no secret: got a key, want an error")
	}
}

// TestSecretIsCopied: whoever wipes a secret after loading must not change the key.
func TestSecretIsCopied(t *testing.T) {
	raw := secret(t, "account")
	key, err := jose.NewHS256("account", "", raw, true)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	checkOpen(t, ringOf(t, key), sign(t, `{"alg":"HS256"}`), "")
	checkOpen(t, ringOf(t, key), seal(t, goodJWE), "")
}

// TestSecretsThatEndInNewline: the last byte of a decoded secret is part of it, whatever it is.
func TestSecretsThatEndInNewline(t *testing.T) {
	raw := secret(t, "newline")
	if raw[len(raw)-1] != '\n' {
		t.Fatalf("the test key ends in %#x, want a line feed", raw[len(raw)-1])
	}
	text, err := mint.Sign(jose.HS256, "", raw, map[string]any{"exp": 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, fault := ringOf(t, hs256(t, "newline", "")).Open(text, 0, signed); fault != "" {
		t.Errorf("got %q, want it opened", fault)
	}
}

func pemOf(t *testing.T, kind string, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestPublicKeys(t *testing.T) {
	rsaKey := private(t, "rsa-account").Public().(*rsa.PublicKey)
	rsaPEM, ecPEM := string(keyText(t, "rsa-account.public.pem")), string(keyText(t, "p256-account.public.pem"))
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sized := func(bits uint) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(rsaKey)}))
	for _, row := range []struct {
		name, alg, text, says string
	}{
		{"an RSA key for RS256", jose.RS256, rsaPEM, ""},
		{"an RSA key for PS256", jose.PS256, rsaPEM, ""},
		{"an RSA key in its own form", jose.RS256, pkcs1, ""},
		{"an EC key for ES256", jose.ES256, ecPEM, ""},
		{"text before the PEM block", jose.ES256, "the key:\n" + ecPEM, ""},
		{"an RSA key of 8192 bits", jose.RS256, pemOf(t, "PUBLIC KEY", sized(8192)), ""},
		{"an RSA key for ES256", jose.ES256, rsaPEM, "use RS256 or PS256"},
		{"an RSA key for HS256", jose.HS256, rsaPEM, "use RS256 or PS256"},
		{"an RSA key for RS512", "RS512", rsaPEM, "use RS256 or PS256"},
		{"an RSA key for nothing", "", rsaPEM, "use RS256 or PS256"},
		{"an EC key for RS256", jose.RS256, ecPEM, "use ES256"},
		{"an EC key for HS256", jose.HS256, ecPEM, "use ES256"},
		{"an EC key on P-384", jose.ES256, pemOf(t, "PUBLIC KEY", &p384.PublicKey), "P-256"},
		{"an Ed25519 key", jose.ES256, pemOf(t, "PUBLIC KEY", edKey), "neither RSA nor EC"},
		{"an RSA key of 1024 bits", jose.RS256, pemOf(t, "PUBLIC KEY", sized(1024)), "1024 bits"},
		{"an RSA key of 2047 bits", jose.RS256, pemOf(t, "PUBLIC KEY", sized(2047)), "2047 bits"},
		{"an RSA key of 8193 bits", jose.RS256, pemOf(t, "PUBLIC KEY", sized(8193)), "8193 bits"},
		{"a private key", jose.ES256, string(keyText(t, "p256-account.private.pem")), "PUBLIC KEY is needed"},
		{"a certificate", jose.ES256, pemOf(t, "CERTIFICATE", &p384.PublicKey), "PUBLIC KEY is needed"},
		{"no PEM", jose.ES256, "AAAA", "no PEM block"},
		{"no text", jose.ES256, "", "no PEM block"},
		{"a PEM block of rubbish", jose.ES256, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), "no readable public key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			k, err := jose.NewPublic("k", row.alg, "", []byte(row.text))
			if (err == nil) != (row.says == "") {
				t.Fatalf("got %v, want an error that says %q", err, row.says)
			}
			if err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %q, want it to say %q", err, row.says)
			}
			if err == nil && k.Name() != "k" {
				t.Errorf("name: got %q, want k", k.Name())
			}
		})
	}
}

// TestKeysServeOneAlgorithm: the key names its algorithm, the token never chooses.
func TestKeysServeOneAlgorithm(t *testing.T) {
	rsaKey := private(t, "rsa-account")
	for _, used := range []string{jose.RS256, jose.PS256} {
		for _, claimed := range []string{jose.RS256, jose.PS256, jose.ES256, jose.HS256} {
			text, err := mint.SignRaw(used, rsaKey, fmt.Sprintf(`{"alg":%q}`, claimed), payload)
			if err != nil {
				t.Fatal(err)
			}
			for _, named := range []string{jose.RS256, jose.PS256} {
				want := jose.AlgorithmRefused
				if claimed == named {
					want = jose.SignatureInvalid
					if used == named {
						want = ""
					}
				}
				checkOpen(t, ringOf(t, public(t, named, "rsa-account", "")), text, want)
			}
		}
	}
	es := parties(t)[jose.ES256][0]
	text, err := es.minter.Sign(jose.ES256, "", private(t, "p256-foreign"), map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	checkOpen(t, ringOf(t, public(t, jose.ES256, "p256-account", "")), text, jose.SignatureInvalid)
}

// TestPrintedKeysShowNothing prints keys and rings in every way a log might.
func TestPrintedKeysShowNothing(t *testing.T) {
	raw := []byte("printable test secret, long enough to be one")
	key, err := jose.NewHS256("visible", "kid", raw, true)
	if err != nil {
		t.Fatal(err)
	}
	ring := ringOf(t, key)
	for _, value := range []any{key, &key, []jose.Key{key}, ring, *ring} {
		encoded, _ := json.Marshal(value)
		for _, text := range []string{fmt.Sprint(value), fmt.Sprintf("%+v", value), fmt.Sprintf("%#v", value), fmt.Sprintf("%s", value), fmt.Sprintf("%x", value), string(encoded)} {
			for _, form := range []string{string(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%v", raw), b64(string(raw))} {
				if strings.Contains(text, form) || strings.Contains(text, strings.Trim(form, "[]")) {
					t.Errorf("got the secret in %q, want it nowhere", text)
				}
			}
		}
	}
}
