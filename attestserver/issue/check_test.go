package issue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

func TestCheck(t *testing.T) {
	a := testAccount(t)
	text := func(domain string, good bool) string {
		made, err := issue.Mint(a, find(t, a, domain), claims, good)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	payload, _ := mint.Canonical(claims)
	sign := func(b byte, of map[string]any) string {
		made, err := mint.Sign("HS256", "", secret(b).Bytes(), of)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	jwe := func(b byte) string {
		made, err := mint.Encrypt(secret(b).Bytes(), "", claims)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	good := text("api.example.com", true)
	spaced := strings.NewReplacer(`,"`, `, "`, `":`, `": `).Replace(token.Loggable(good))
	exact := `{"exp":1.8e9,"note":"<&>"}`
	exactToken, _ := mint.SignRaw("HS256", secret('n').Bytes(), `{"alg":"HS256","typ":"JWT"}`, exact)
	for _, row := range []struct {
		name, text string
		at         time.Time
		want       attestapi.CheckedToken
	}{
		{"a valid token", good, start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"a valid token with a line break", good + "\n", start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"a valid token that has expired", good, start.Add(time.Hour), attestapi.CheckedToken{Valid: true, Expired: true, Kind: "JWS", Claims: payload}},
		{"a decoy", text("api.example.com", false), start, attestapi.CheckedToken{Kind: "JWS", Claims: payload}},
		{"a decoy that has expired", text("api.example.com", false), start.Add(time.Hour), attestapi.CheckedToken{Expired: true, Kind: "JWS", Claims: payload}},
		{"a token of the demonstration domain", text("demo.example.com", true), start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"a token under ES256", text("ec.example.com", true), start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"a decoy under ES256", text("ec.example.com", false), start, attestapi.CheckedToken{Kind: "JWS", Claims: payload}},
		{"a token under RS256", text("rsa.example.com", true), start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"a decoy under RS256", text("rsa.example.com", false), start, attestapi.CheckedToken{Kind: "JWS", Claims: payload}},
		{"an encrypted token", text("secret.example.com", true), start, attestapi.CheckedToken{Valid: true, Kind: "JWE", Claims: payload}},
		{"an encrypted token that has expired", text("secret.example.com", true), start.Add(time.Hour), attestapi.CheckedToken{Valid: true, Expired: true, Kind: "JWE", Claims: payload}},
		{"an encrypted decoy, which can be read", text("secret.example.com", false), start, attestapi.CheckedToken{Kind: "JWE", Claims: payload}},
		{"an encrypted token of a stranger", jwe('x'), start, attestapi.CheckedToken{Kind: "JWE"}},
		{"a token under the earlier secret", sign('o', claims), start, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: payload}},
		{"an encrypted token under the earlier secret", jwe('o'), start, attestapi.CheckedToken{Valid: true, Kind: "JWE", Claims: payload}},
		{"a token under the earlier secret when that is over", sign('o', claims), start.Add(5 * time.Minute), attestapi.CheckedToken{Expired: true, Kind: "JWS", Claims: payload}},
		{"a token of a stranger", sign('x', claims), start, attestapi.CheckedToken{Kind: "JWS", Claims: payload}},
		{"a token without exp", sign('n', map[string]any{"did": "x"}), start, attestapi.CheckedToken{}},
		{"a loggable token", token.Loggable(good), start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token written with spaces", spaced, start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token that has expired", token.Loggable(good), start.Add(time.Hour), attestapi.CheckedToken{Valid: true, Expired: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable decoy", token.Loggable(text("api.example.com", false)), start, attestapi.CheckedToken{Kind: "loggable JWS", Claims: payload}},
		{"a loggable token under the earlier secret", token.Loggable(sign('o', claims)), start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token of the demonstration domain", token.Loggable(text("demo.example.com", true)), start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token under ES256", token.Loggable(text("ec.example.com", true)), start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token under RS256", token.Loggable(text("rsa.example.com", true)), start, attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: payload}},
		{"a loggable token with another claim", strings.Replace(token.Loggable(good), "192.0.2.7", "192.0.2.8", 1), start,
			attestapi.CheckedToken{Kind: "loggable JWS", Claims: strings.Replace(payload, "192.0.2.7", "192.0.2.8", 1)}},
		{"a loggable token whose number is spelt unusually", token.Loggable(exactToken), time.Unix(1, 0), attestapi.CheckedToken{Valid: true, Kind: "loggable JWS", Claims: exact}},
		{"a loggable error", `{"error":"POOR_NETWORK"}`, start, attestapi.CheckedToken{}},
		{"a loggable token with a short sip", `{"exp":1,"sip":"abc"}`, start, attestapi.CheckedToken{}},
		{"a loggable token with a claim twice", `{"exp":1,"exp":1,"sip":"abcdef"}`, start, attestapi.CheckedToken{}},
		{"no token", "NO_NETWORK", start, attestapi.CheckedToken{}},
		{"nothing", "", start, attestapi.CheckedToken{}},
		{"three parts that are nothing", "a.b.c", start, attestapi.CheckedToken{}},
		{"a text that is too long", strings.Repeat("a", 1<<20), start, attestapi.CheckedToken{}},
	} {
		if got := issue.Check(a, row.text, row.at); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
	}
	a.Keys[1].Material, a.Keys[0].Material = account.NewSecret(nil), account.NewSecret(nil)
	if got := issue.Check(a, sign('n', claims), start); got.Valid {
		t.Error("an account without secrets: got a valid token, want none")
	}
}
