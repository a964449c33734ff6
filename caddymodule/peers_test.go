package caddymodule

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// peersSite passes genuine requests on, tells of them, and says of a refusal why.
const peersSite = `	approov {
		secret {SECRET}
		preflight exempt
	}
	respond "passed {http.approov.result} {http.approov.reason} {http.approov.device}" 200
	handle_errors {
		respond "{http.approov.result} {http.approov.reason}"
	}`

// TestWhatOtherModulesGetWrong asks for what token modules of Caddy are known to let through, to refuse or to say
// nothing about.
func TestWhatOtherModulesGetWrong(t *testing.T) {
	f := newFront(t, peersSite)
	good := f.token("HS256", nil)
	expired := f.token("HS256", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
	claims := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "did": "TEST-device"}
	with512, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims).SignedString(frontKey)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("TEST KEY, never use: another one than all gates in this file have"))
	if err != nil {
		t.Fatal(err)
	}
	client := f.client(1)
	for _, row := range []struct {
		name   string
		method string
		fields []string
		status int
		body   string
	}{
		{"a genuine token passes", "GET", []string{"Approov-Token", good}, 200, "passed pass ok TEST-device"},
		{"a token without did and sub passes", "GET", []string{"Approov-Token", f.token("HS256", map[string]any{"did": nil})}, 200, "passed pass ok "},
		{"the same key with alg HS512 is denied", "GET", []string{"Approov-Token", with512}, 401, "fail algorithm_refused"},
		{"alg none is denied", "GET", []string{"Approov-Token", unsigned}, 401, "fail algorithm_refused"},
		{"a token without exp is denied", "GET", []string{"Approov-Token", f.token("HS256", map[string]any{"exp": nil})}, 401, "fail exp_missing"},
		{"an expired token is denied", "GET", []string{"Approov-Token", expired}, 401, "fail token_expired"},
		{"another key is denied", "GET", []string{"Approov-Token", otherKey}, 401, "fail signature_invalid"},
		{"garbage is denied", "GET", []string{"Approov-Token", "garbage"}, 401, "fail token_malformed"},
		{"without a token the reason is said, not its placeholder's name", "GET", nil, 401, "fail token_missing"},
		{"a good token in Authorization alone is none", "GET", []string{"Authorization", "Bearer " + good}, 401, "fail token_missing"},
		{"a bad token beside a good one in Authorization is denied", "GET", []string{"Approov-Token", expired, "Authorization", "Bearer " + good}, 401, "fail token_expired"},
		{"a good one in a cookie or the query is not looked at", "GET", []string{"Approov-Token", otherKey, "Cookie", "Approov-Token=" + good}, 401, "fail signature_invalid"},
		{"two tokens, bad and good, are denied", "GET", []string{"Approov-Token", expired, "Approov-Token", good}, 401, "fail token_repeated"},
		{"two tokens, good and bad, are denied", "GET", []string{"Approov-Token", good, "Approov-Token", expired}, 401, "fail token_repeated"},
		{"two good tokens are denied", "GET", []string{"Approov-Token", good, "Approov-Token", good}, 401, "fail token_repeated"},
		{"a CORS preflight passes where the policy says so", "OPTIONS", []string{"Origin", "https://app.test", "Access-Control-Request-Method", "PUT"}, 200, "passed none preflight "},
		{"an OPTIONS that is no preflight is denied", "OPTIONS", nil, 401, "fail token_missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := f.send(client, f.request(row.method, "/?Approov-Token="+good, nil, row.fields...))
			if got.status != row.status || got.body != row.body {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, row.status, row.body)
			}
			if challenge := got.header.Get("Www-Authenticate"); (challenge != "") != (row.status == http.StatusUnauthorized) {
				t.Errorf("got WWW-Authenticate %q with %d, want one with 401 alone", challenge, got.status)
			}
		})
	}
}

// TestPreflightIsDeniedUnlessThePolicySaysSo has the same request as a row above, without the key.
func TestPreflightIsDeniedUnlessThePolicySaysSo(t *testing.T) {
	f := newFront(t, strings.Replace(peersSite, "\t\tpreflight exempt\n", "\t\tpreflight check\n", 1))
	got := f.send(f.client(1), f.request("OPTIONS", "/", nil, "Origin", "https://app.test", "Access-Control-Request-Method", "PUT"))
	if got.status != 401 || got.body != "fail token_missing" {
		t.Errorf("got %d %q, want 401 and token_missing", got.status, got.body)
	}
}

// TestOtherAuthenticationIsNeededToo: the gate stands beside a user's password, not in its place.
func TestOtherAuthenticationIsNeededToo(t *testing.T) {
	const hashed = `$2a$04$KJDfO7V5z3MCjGFz4U/vNOd4Dkf7BgVMOn1PVF918bJKzcq2aDtNe` // of a test password, never used
	f := newFront(t, fmt.Sprintf("\tapproov {\n\t\tsecret {SECRET}\n\t}\n\tbasic_auth {\n\t\talice %s\n\t}\n\trespond \"passed\" 200", hashed))
	password := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:TEST password"))
	client := f.client(1)
	for _, row := range []struct {
		name   string
		fields []string
		status int
	}{
		{"token and password", []string{"Approov-Token", f.token("HS256", nil), "Authorization", password}, 200},
		{"a token alone", []string{"Approov-Token", f.token("HS256", nil)}, 401},
		{"a password alone", []string{"Authorization", password}, 401},
	} {
		if got := f.send(client, f.request("GET", "/", nil, row.fields...)); got.status != row.status {
			t.Errorf("%s: got %d, want %d", row.name, got.status, row.status)
		}
	}
}
