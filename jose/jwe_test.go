package jose_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// macOver completes two segments with their HS256 signature by the account key, whatever they hold.
func macOver(t testing.TB, signing string) string {
	t.Helper()
	mac := hmac.New(sha256.New, secret(t, "account"))
	mac.Write([]byte(signing))
	return signing + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// jweSizes are the sizes, in bytes, of a JWE's fixed-size parts.
type jweSizes struct{ wrapIV, wrapTag, wrapped, iv, tag int }

// sized is a JWE whose parts have the given sizes, and whose content has another.
func sized(s jweSizes, content int) string {
	part := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	header := fmt.Sprintf(`{"alg":"A256GCMKW","enc":"A256GCM","iv":%q,"tag":%q}`, part(s.wrapIV), part(s.wrapTag))
	return join(b64(header), part(s.wrapped), part(s.iv), part(content), part(s.tag))
}

// TestJWESizes: a part of a wrong size is found before anything is opened, where Go's GCM would panic.
func TestJWESizes(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	right := jweSizes{wrapIV: 12, wrapTag: 16, wrapped: 32, iv: 12, tag: 16}
	before := runtime.NumGoroutine()
	for part, set := range map[string]func(s *jweSizes, n int){
		"iv of the wrapping":  func(s *jweSizes, n int) { s.wrapIV = n },
		"tag of the wrapping": func(s *jweSizes, n int) { s.wrapTag = n },
		"encrypted key":       func(s *jweSizes, n int) { s.wrapped = n },
		"iv of the content":   func(s *jweSizes, n int) { s.iv = n },
		"tag of the content":  func(s *jweSizes, n int) { s.tag = n },
	} {
		for n := 0; n <= 70; n++ {
			sizes := right
			set(&sizes, n)
			want := jose.Malformed
			if sizes == right {
				want = jose.DecryptionFailed
			}
			for _, content := range []int{0, 1, 1000} {
				if _, _, fault := ring.Open(sized(sizes, content), 0, encrypted); fault != want {
					t.Errorf("%s of %d bytes: got %q, want %q", part, n, fault, want)
				}
			}
		}
	}
	// What is cut from one part and given to its neighbour leaves the sum as it was.
	for _, row := range []jweSizes{{12, 15, 33, 12, 16}, {12, 17, 31, 12, 16}, {13, 15, 32, 12, 16}, {16, 12, 32, 12, 16}, {12, 16, 32, 16, 12}, {12, 0, 48, 12, 16}} {
		if _, _, fault := ring.Open(sized(row, 8), 0, encrypted); fault != jose.Malformed {
			t.Errorf("sizes %+v: got %q, want %q", row, fault, jose.Malformed)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("goroutines: got %d, want the %d of before", after, before)
	}
}

// TestContentKeySizes: a content key of 16 or 24 bytes unwraps to the wrong size for A256GCM.
func TestContentKeySizes(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	for size, want := range map[int]jose.Fault{16: jose.Malformed, 24: jose.Malformed, 32: ""} {
		text, err := mint.EncryptRaw(secret(t, "account"), make([]byte, size), goodJWE, payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, fault := ring.Open(text, 0, encrypted); fault != want {
			t.Errorf("content key of %d bytes: got %q, want %q", size, fault, want)
		}
	}
}

func TestJWEContents(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	for name, content := range map[string]string{"empty": "", "one byte": "x", "not JSON": "\x00\xff", "6,000 bytes": strings.Repeat("y", 6000)} {
		text, err := mint.EncryptRaw(secret(t, "account"), nil, goodJWE, content)
		if err != nil {
			t.Fatal(err)
		}
		got, key, fault := ring.Open(text, 0, encrypted)
		if got != content || key != "account" || fault != "" {
			t.Errorf("%s: got %q by %q (%q), want it by account", name, got, key, fault)
		}
		parts := strings.Split(text, ".")
		for i, part := range parts[1:] {
			for _, suffix := range []string{"=", "\n", " ", "A", "?"} {
				changed := append([]string(nil), parts...)
				changed[i+1] = part + suffix
				if got, _, fault := ring.Open(strings.Join(changed, "."), 0, encrypted); fault == "" {
					t.Errorf("%s, part %d with %q behind it: got %q, want a fault", name, i+1, suffix, got)
				}
			}
		}
	}
}

// TestWrappedUnderTheSecretItself: the wrapping key is the secret's SHA-256, never the secret.
func TestWrappedUnderTheSecretItself(t *testing.T) {
	raw := make([]byte, 32) // test key: all zero
	key, err := jose.NewHS256("zero", "", raw, true)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 12)
	wrapped := gcm.Seal(nil, iv, raw, nil)
	part := base64.RawURLEncoding.EncodeToString
	header := b64(fmt.Sprintf(`{"alg":"A256GCMKW","enc":"A256GCM","iv":%q,"tag":%q}`, part(iv), part(wrapped[32:])))
	content := gcm.Seal(nil, iv, []byte(payload), []byte(header))
	cut := len(content) - 16
	text := join(header, part(wrapped[:32]), part(iv), part(content[:cut]), part(content[cut:]))
	if got, _, fault := ringOf(t, key).Open(text, 0, encrypted); fault != jose.DecryptionFailed {
		t.Errorf("got %q (%q), want %q", got, fault, jose.DecryptionFailed)
	}
}
