package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// lifetime is how long the demo's tokens are valid, as long as the real service's usually are.
const lifetime = 5 * time.Minute

// account is a made-up Approov account. Its secrets are random, live as long as the demo, and are no
// good for anything else.
type account struct {
	secret []byte // signs and encrypts genuine tokens
	decoy  []byte // signs what apps get whose attestation failed: it looks like a token and never verifies
	device string // did of the one device there is
}

func newAccount() account {
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b) // never fails, by its documentation
		return b
	}
	return account{secret: random(64), decoy: random(64), device: base64.StdEncoding.EncodeToString(random(16))}
}

// token mints one of the demo's kinds of tokens. A bind other than "" becomes its pay claim.
func (a account) token(kind, bind string) (string, error) {
	claims := map[string]any{"exp": time.Now().Add(lifetime).Unix(), "did": a.device, "ip": "127.0.0.1"}
	if bind != "" {
		claims["pay"] = token.Pay([]byte(bind))
	}
	switch kind {
	case "valid":
		return mint.Sign("HS256", "", a.secret, claims)
	case "expired":
		claims["exp"] = time.Now().Add(-time.Minute).Unix()
		return mint.Sign("HS256", "", a.secret, claims)
	case "badsig":
		return mint.Sign("HS256", "", a.decoy, claims)
	case "failover":
		return mint.Sign("HS256", "", a.secret, map[string]any{"exp": claims["exp"]})
	case "jwe":
		return mint.Encrypt(a.secret, "", claims)
	}
	return "", fmt.Errorf("unknown type %q: use valid, expired, badsig, failover or jwe", kind)
}

// ServeHTTP is the token minter: GET /token?type=…&bind=… answers a token. Nothing like it may ever
// face a network: who reaches it needs no genuine app.
func (a account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Approovgate-Demo", "tokens of a made-up account")
	if r.Method != http.MethodGet || r.URL.Path != "/token" {
		http.Error(w, "GET /token?type=valid|expired|badsig|failover|jwe&bind=TEXT", http.StatusNotFound)
		return
	}
	kind := r.URL.Query().Get("type")
	if kind == "" {
		kind = "valid"
	}
	minted, err := a.token(kind, r.URL.Query().Get("bind"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, minted)
}
