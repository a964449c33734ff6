package yaegitest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/conformance"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// TestCorpusInterpreted runs every case of the corpus in the interpreter.
func TestCorpusInterpreted(t *testing.T) {
	cases, err := conformance.Load(filepath.Join(root, "testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	ask := interpreted(t, "Ask")
	asked := 0
	for _, c := range conformance.AllSizes(cases) {
		t.Run(c.File, func(t *testing.T) {
			if c.Want.RefusedBy == conformance.RefusedByHost {
				return // net/http answers; the gate is never asked
			}
			plain, err := c.Plain()
			if err != nil {
				t.Fatal(err)
			}
			peer := plain.Peer
			if peer == "" {
				peer = "192.0.2.1:4711"
			}
			asked++
			answer := ask(string(plain.Policy), plain.Now, peer, plain.Scheme, string(plain.Request))
			var got struct {
				conformance.Outcome
				Error string
			}
			if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Error != "" {
				t.Fatalf("got answer %s (%v), want an outcome", answer, err)
			}
			for _, difference := range c.Compare(got.Outcome) {
				t.Error(difference)
			}
		})
	}
	if asked < 250 {
		t.Errorf("asked %d cases, want at least 250", asked)
	}
}

// TestNothingSecretIsShownInterpreted looks for tokens, secrets and bound values in all that a host could log.
// Methods that redact are not called on interpreted types, so nothing may be there to redact.
func TestNothingSecretIsShownInterpreted(t *testing.T) {
	const (
		secret = "TEST KEY, never use: 64 bytes of a secret to look for in all logs" // marked as what it is
		login  = "Bearer bound-value-to-look-for"
		now    = "2027-01-15T08:00:00Z"
	)
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	policy := `{"keys": [{"name": "account", "alg": "HS256", "secret": "inline:` + encoded + `", "jwe": true}],
		"binding": {"from": ["header:Authorization", "query:session"]}, "format": "any"}`
	signed, err := mint.Sign("HS256", "", []byte(secret), map[string]any{"exp": 1800000300, "pay": token.Pay([]byte(login + "query-to-look-for"))})
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := mint.Encrypt([]byte(secret), "", map[string]any{"exp": 1800000300, "pay": token.Pay([]byte("other"))})
	if err != nil {
		t.Fatal(err)
	}
	show := interpreted(t, "Show")
	weak := strings.Replace(policy, encoded, "c2hvcnQgc2VjcmV0IHRvIGxvb2sgZm9y", 1)
	for name, text := range map[string]string{
		"genuine": signed, "encrypted": encrypted, "bad signature": signed[:len(signed)-5] + "AAAAA", "garbage": "token-to-look-for",
	} {
		request := "GET /v1/shapes?session=query-to-look-for HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: " + login +
			"\r\nApproov-Token: " + text + "\r\n\r\n"
		shown := show(policy, now, "192.0.2.1:4711", "", request) + show(weak, now, "192.0.2.1:4711", "", request)
		if !strings.Contains(shown, `"reason"`) || !strings.Contains(shown, "weak") {
			t.Fatalf("%s: got %s, want a log line and a problem", name, shown)
		}
		parts := strings.Split(text, ".")
		for _, hidden := range []string{
			text, parts[len(parts)-1], secret, encoded, hex.EncodeToString([]byte(secret)), fmt.Sprint([]byte(secret))[1:60], fmt.Sprintf("%#v", []byte(secret))[7:60],
			login, "bound-value-to-look-for", "query-to-look-for", "c2hvcnQgc2Vj", "short secret",
		} {
			if strings.Contains(shown, hidden) {
				t.Errorf("%s: got %q in what is shown, want it nowhere\n%s", name, hidden, shown)
			}
		}
	}
}
