package token_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/token"
)

// compact is an unsigned text in the form of a token.
func compact(payload, signature string) string {
	return "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + signature
}

func TestLoggable(t *testing.T) {
	const signature = "TD37p4c_0jmreSrBSDmE0F3mYSPtkZ3WrSyI5wb_KTg"
	const malformed = `{"error":"MALFORMED"}`
	for _, row := range []struct{ name, text, want string }{
		{"claims with the start of the signature", compact(`{"exp":1,"did":"x"}`, signature), `{"exp":1,"did":"x","sip":"TD37p4"}`},
		{"no claims", compact(`{}`, signature), `{"sip":"TD37p4"}`},
		{"no claims but space", compact(" { } \n", signature), ` { "sip":"TD37p4"}`},
		{"claims of nested objects", compact(`{"a":{}}`, signature), `{"a":{},"sip":"TD37p4"}`},
		{"a claim that ends in a brace", compact(`{"a":"{"}`, signature), `{"a":"{","sip":"TD37p4"}`},
		{"the shortest signature", compact(`{}`, "-_AZ09"), `{"sip":"-_AZ09"}`},
		{"a signature of five characters", compact(`{}`, "TD37p"), malformed},
		{"no signature", compact(`{}`, ""), malformed},
		{"a signature with a quote", compact(`{}`, `TD37"4`), malformed},
		{"a signature with a line break", compact(`{}`, "TD3\np4"), malformed},
		{"claims with a sip of their own", compact(`{"sip":"AAAAAA"}`, signature), malformed},
		{"claims with a sip spelt with an escape", compact(`{"s\u0069p":"AAAAAA"}`, signature), malformed},
		{"claims twice", compact(`{"a":1,"a":2}`, signature), malformed},
		{"a payload that is no JSON", compact("\x1b[31mred", signature), malformed},
		{"a payload that is a list", compact(`[]`, signature), malformed},
		{"an empty payload", compact(``, signature), malformed},
		{"a payload that is not base64url", "e30.e30=." + signature, malformed},
		{"an encrypted token", "a.b.c.d.e", `{"error":"JWE"}`},
		{"no text", "", malformed},
		{"one part", "e30", malformed},
		{"two parts", "e30.e30", malformed},
		{"four parts", "e30.e30.e30.e30", malformed},
		{"six parts", "a.b.c.d.e.f", malformed},
		{"a client's status word", "NO_NETWORK", malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := token.Loggable(row.text)
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("got %s, want JSON", got)
			}
			if strings.Contains(got, signature[:7]) {
				t.Errorf("got %s, want no more than six characters of the signature", got)
			}
		})
	}
}

func TestLoggableOfDotsCostsNothing(t *testing.T) {
	dots := strings.Repeat(".", 1<<20)
	if got := testing.AllocsPerRun(10, func() { token.Loggable(dots) }); got != 0 {
		t.Errorf("1 MB of dots: got %v allocations, want 0", got)
	}
}

func TestSIP(t *testing.T) {
	for _, row := range []struct{ name, compact, want string }{
		{"the start of the signature", "e30.e30.TD37p4xyz", "TD37p4"},
		{"no more than the signature", "e30.e30.TD37p4", "TD37p4"},
		{"a signature too short", "e30.e30.TD37p", ""},
		{"an encrypted token has none", "e30.TD37p4.TD37p4.TD37p4.TD37p4", ""},
		{"text that is no base64url", "e30.e30.a\nb\"c{}", ""},
		{"no token", "NO_NETWORK", ""},
		{"nothing", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := token.SIP(row.compact); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
