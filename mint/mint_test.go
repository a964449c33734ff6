package mint_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/approovgate/approovgate/mint"
)

const keyDir = "../testdata/keys"

func readKey(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(keyDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func secret(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(readKey(t, name))))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func private(t testing.TB, name string) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode(readKey(t, name))
	if block == nil {
		t.Fatalf("%s holds no PEM block", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

func fixedRand() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1, 2, 3}) }

var claims = map[string]any{
	"anno": []string{"rooted", "frida"},
	"did":  "ExampleApproovTokenDID==",
	"exp":  4708683205.891912,
	"ip":   "1.2.3.4",
	"iss":  "a <b> & c",
	"pay":  "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=",
}

const canonicalClaims = `{"anno":["rooted","frida"],"did":"ExampleApproovTokenDID==","exp":4708683205.891912,"ip":"1.2.3.4",` +
	`"iss":"a <b> & c","pay":"tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="}`

type signer struct {
	alg       string
	key, open any
}

func signers(t testing.TB) []signer {
	account := secret(t, "hs256-account.base64")
	rsaKey := private(t, "rsa-account.private.pem")
	ecKey := private(t, "p256-account.private.pem")
	return []signer{
		{"HS256", account, account},
		{"RS256", rsaKey, rsaKey.Public()},
		{"PS256", rsaKey, rsaKey.Public()},
		{"ES256", ecKey, ecKey.Public()},
	}
}

func TestSignIsVerifiedByIndependentLibraries(t *testing.T) {
	for _, s := range signers(t) {
		for _, kid := range []string{"", "k1"} {
			for name, m := range map[string]mint.Minter{"random": {}, "reproducible": {Rand: fixedRand()}} {
				t.Run(strings.Join([]string{s.alg, "kid " + kid, name}, " "), func(t *testing.T) {
					text, err := m.Sign(s.alg, kid, s.key, claims)
					if err != nil {
						t.Fatal(err)
					}
					checkGolangJWT(t, s, text)
					checkGoJOSE(t, s, kid, text)
				})
			}
		}
	}
}

func checkGolangJWT(t *testing.T, s signer, text string) {
	t.Helper()
	parsed, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return s.open, nil },
		jwt.WithValidMethods([]string{s.alg}), jwt.WithExpirationRequired())
	if err != nil || !parsed.Valid {
		t.Errorf("golang-jwt: got %v, want a valid token", err)
	}
}

func checkGoJOSE(t *testing.T, s signer, kid, text string) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.alg)})
	if err != nil {
		t.Fatalf("go-jose parse: %v", err)
	}
	payload, err := signed.Verify(s.open)
	if err != nil {
		t.Fatalf("go-jose verify: %v", err)
	}
	if string(payload) != canonicalClaims {
		t.Errorf("payload: got %s, want %s", payload, canonicalClaims)
	}
	if got := signed.Signatures[0].Header.KeyID; got != kid {
		t.Errorf("kid: got %q, want %q", got, kid)
	}
}

func TestHeaderIsCanonical(t *testing.T) {
	account := secret(t, "hs256-account.base64")
	for kid, want := range map[string]string{
		"":      `{"alg":"HS256","typ":"JWT"}`,
		"k1":    `{"alg":"HS256","kid":"k1","typ":"JWT"}`,
		"<k&1>": `{"alg":"HS256","kid":"<k&1>","typ":"JWT"}`,
	} {
		text, err := mint.Sign("HS256", kid, account, map[string]any{"exp": 1})
		if err != nil {
			t.Fatal(err)
		}
		header, err := base64.RawURLEncoding.DecodeString(text[:strings.IndexByte(text, '.')])
		if err != nil {
			t.Fatal(err)
		}
		if string(header) != want {
			t.Errorf("header: got %s, want %s", header, want)
		}
	}
}

func TestEncryptIsOpenedByGoJOSE(t *testing.T) {
	account := secret(t, "hs256-account.base64")
	for _, kid := range []string{"", "k1"} {
		text, err := mint.Encrypt(account, kid, claims)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.A256GCMKW}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatalf("go-jose parse: %v", err)
		}
		key := sha256.Sum256(account)
		payload, err := sealed.Decrypt(key[:])
		if err != nil {
			t.Fatalf("go-jose decrypt: %v", err)
		}
		if string(payload) != canonicalClaims {
			t.Errorf("payload: got %s, want %s", payload, canonicalClaims)
		}
		if sealed.Header.KeyID != kid {
			t.Errorf("kid: got %q, want %q", sealed.Header.KeyID, kid)
		}
	}
}

func TestReproducibleMinterRepeatsItself(t *testing.T) {
	tokens := func() []string {
		m := mint.Minter{Rand: fixedRand()}
		var out []string
		for _, s := range signers(t) {
			text, err := m.Sign(s.alg, "", s.key, claims)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
		text, err := m.Encrypt(secret(t, "hs256-account.base64"), "", claims)
		if err != nil {
			t.Fatal(err)
		}
		return append(out, text)
	}
	first, second := tokens(), tokens()
	for i := range first {
		if first[i] != second[i] {
			t.Errorf("token %d: got %s, want %s", i, second[i], first[i])
		}
	}
}

func TestRandomMinterNeverRepeatsAnEncryption(t *testing.T) {
	account := secret(t, "hs256-account.base64")
	first, err := mint.Encrypt(account, "", claims)
	if err != nil {
		t.Fatal(err)
	}
	second, err := mint.Encrypt(account, "", claims)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("got the same JWE twice: %s", first)
	}
}

func TestSignRefusesWrongKeys(t *testing.T) {
	rsaKey := private(t, "rsa-account.private.pem").(*rsa.PrivateKey)
	ecKey := private(t, "p256-account.private.pem").(*ecdsa.PrivateKey)
	for _, row := range []struct {
		name, alg string
		key       any
	}{
		{"unknown algorithm", "HS512", secret(t, "hs256-account.base64")},
		{"none", "none", nil},
		{"RSA key for HS256", "HS256", rsaKey},
		{"EC key for RS256", "RS256", ecKey},
		{"secret for ES256", "ES256", []byte("secret")},
		{"RSA key for ES256", "ES256", rsaKey},
	} {
		for _, m := range []mint.Minter{{}, {Rand: fixedRand()}} {
			if text, err := m.Sign(row.alg, "", row.key, claims); err == nil {
				t.Errorf("%s: got %s, want an error", row.name, text)
			}
		}
	}
}

func TestRawTextsArriveUnchanged(t *testing.T) {
	account := secret(t, "hs256-account.base64")
	const header, payload = `{"alg":"none","alg":1`, "\xff not JSON"
	signed, err := mint.SignRaw("HS256", account, header, payload)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	for i, want := range []string{header, payload} {
		got, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || string(got) != want {
			t.Errorf("part %d: got %q, want %q", i, got, want)
		}
	}
	sealed, err := mint.EncryptRaw(account, nil, `{"enc":"A256GCM","alg":"A256GCMKW","x":true,"tag":"{tag}","iv":"{iv}"}`, payload)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseEncryptedCompact(sealed, []jose.KeyAlgorithm{jose.A256GCMKW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(account)
	if got, err := parsed.Decrypt(key[:]); err != nil || string(got) != payload {
		t.Errorf("payload: got %q (%v), want %q", got, err, payload)
	}
}

func TestContentKeyOfOtherSizesIsWrappedAsItIs(t *testing.T) {
	account := secret(t, "hs256-account.base64")
	for _, size := range []int{16, 24, 32} {
		text, err := mint.EncryptRaw(account, make([]byte, size), `{"iv":"{iv}","tag":"{tag}"}`, "x")
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
		if err != nil || len(wrapped) != size {
			t.Errorf("wrapped key: got %d bytes (%v), want %d", len(wrapped), err, size)
		}
	}
	if text, err := mint.EncryptRaw(account, make([]byte, 31), "{}", "x"); err == nil {
		t.Errorf("31-byte key: got %s, want an error", text)
	}
}

// TestManualExamples re-creates what the manual prints: the binding of "custom-data" (Generating Example Token
// with Binding) and the two-header binding of the published ASP.NET cases, in tokens under its example secret.
func TestManualExamples(t *testing.T) {
	key := secret(t, "hs256-manual-example.base64")
	if len(key) != 64 {
		t.Fatalf("example secret: got %d bytes, want 64", len(key))
	}
	for bound, want := range map[string]string{
		"custom-data":                          "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=",
		"Bearer myauth_token" + "my-device-id": "71tnS3rSq2lanEWrKz4MoexiOMtv7w0fspfM8BAQKNU=",
	} {
		sum := sha256.Sum256([]byte(bound))
		pay := base64.StdEncoding.EncodeToString(sum[:])
		if pay != want {
			t.Errorf("pay of %q: got %s, want %s", bound, pay, want)
		}
		text, err := mint.Sign("HS256", "", key, map[string]any{"exp": 4708683205.891912, "pay": pay})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		if got["pay"] != want {
			t.Errorf("pay claim: got %v, want %s", got["pay"], want)
		}
		checkGolangJWT(t, signer{alg: "HS256", open: key}, text)
	}
}
