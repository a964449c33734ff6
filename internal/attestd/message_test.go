package attestd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/token"
)

// mskid is what a token says of the key that its messages are signed with.
func mskid(t *testing.T, text string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims, fault := token.Decode(string(payload))
	if fault != "" {
		t.Fatalf("got the claims %s, which are %s, want those of a token", payload, fault)
	}
	return claims.SigningKey
}

// TestAppsSignMessages has a back end verify what a genuine app has signed with the key that the tool prints, and
// refuse what a patched one has.
func TestAppsSignMessages(t *testing.T) {
	for _, db := range databases() {
		t.Run(db.name, func(t *testing.T) {
			w := newWorld(t, db)
			const message = "\"@method\": POST"
			if id := mskid(t, w.device.fetch("api.example.com")); id != "" {
				t.Errorf("before there is a key: got mskid %q, want none", id)
			}
			if a := w.device.do("sign " + message); a.Token != "" || !strings.Contains(a.Error, "no key") {
				t.Errorf("before there is a key: got %q and %q, want an error", a.Token, a.Error)
			}
			w.s.approov(t, "secret", "-messageSigningKey", "change")
			var key attestapi.MessageSigningKey
			text := w.s.approov(t, "secret", "-messageSigningKey", "get-base64url", "-json")
			if err := json.Unmarshal([]byte(text), &key); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			secret, err := base64.RawURLEncoding.DecodeString(key.Key)
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(message))
			want := base64.StdEncoding.EncodeToString(mac.Sum(nil))

			users := []string{"alice", "bob"}
			eventually(t, "the app has the key", func() string {
				w.device.do("bind " + users[0]) // which makes it attest again
				users[0], users[1] = users[1], users[0]
				genuine := w.device.fetch("api.example.com")
				if id := mskid(t, genuine); id != key.ID {
					return "its token names the key " + id
				}
				w.expect(t, "a genuine app", "/", genuine, "ok")
				return ""
			})
			if got := w.device.do("sign " + message); got.Token != want {
				t.Errorf("a genuine app: got the signature %q (%s), want %q", got.Token, got.Error, want)
			}

			patched := filepath.Join(t.TempDir(), "shop")
			w.s.makeApp(t, patched, "patched\n")
			d := w.other(t, patched)
			bad := d.fetch("api.example.com")
			w.expect(t, "a patched copy of the app", "/", bad, "signature_invalid")
			if id := mskid(t, bad); id != key.ID {
				t.Errorf("a patched copy: got mskid %q, want %q as genuine ones have", id, key.ID)
			}
			if got := d.do("sign " + message); got.Token == want || len(got.Token) != len(want) {
				t.Errorf("a patched copy: got the signature %q, want a wrong one that looks like a right one", got.Token)
			}
		})
	}
}
