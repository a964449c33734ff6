package main

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

// longestID is more than an ID ever has, in bytes.
const longestID = 256

// FuzzTokenID puts any text as the ID into a token, which must come out as it went in, and takes any token.
func FuzzTokenID(f *testing.F) {
	f.Add("t-2", "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ0LTIifQ.c2ln")
	f.Add("", "e30.e30.e30")
	f.Add("a\u2028b", "..")
	f.Fuzz(func(t *testing.T, id, token string) {
		_, _ = tokenID(token)             // must not panic
		id = id[:min(len(id), longestID)] // longer tokens are none
		payload, err := json.Marshal(map[string]any{"acct": "a", "jti": id, "exp": 1})
		if err != nil {
			t.Fatal(err)
		}
		var back struct{ JTI string }
		if err := json.Unmarshal(payload, &back); err != nil {
			t.Fatal(err)
		}
		got, err := tokenID("eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln")
		if got != back.JTI || (err == nil) != (back.JTI != "") {
			t.Errorf("%q: got %q and %v, want the ID, or an error if it is empty", id, got, err)
		}
	})
}
