package attestserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
)

func TestDescription(t *testing.T) {
	r := newRig(t, nil)
	w := r.ask(http.MethodGet, attestapi.PathWellKnown, nil, nil)
	var d attestapi.Description
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("got %d %s, %v", w.Code, w.Body, err)
	}
	if d.Server != "test" || !slices.Equal(d.Versions, []int{1}) || d.MaxBody != attestapi.MaxRequest || d.Evidence == nil {
		t.Errorf("got %+v, want what the server speaks", d)
	}
	if w := r.ask(http.MethodGet, attestapi.PathHealth, nil, nil); w.Code != 200 {
		t.Errorf("health: got %d, want 200", w.Code)
	}
	if w := r.ask(http.MethodHead, attestapi.PathHealth, nil, nil); w.Code != 200 {
		t.Errorf("health by HEAD: got %d, want 200", w.Code)
	}
}

func TestDocumentsForGates(t *testing.T) {
	admin := account.Actor{Name: "A N Other", Role: account.Admin, Expires: start.Add(100 * 24 * time.Hour)}
	texts := map[account.Role]string{}
	r := newRig(t, func(_ *Options, a *account.Account) {
		for _, role := range []account.Role{account.Dev, account.Admin, account.Gateway} {
			_, text, err := a.AddToken(admin, start, nil, account.NewToken{Email: "a@example.com", Name: "A N Other", Lifetime: "1d", Role: role})
			if err != nil {
				t.Fatal(err)
			}
			texts[role] = text
		}
	})
	ask := func(path, token, tag string) (int, string, http.Header) {
		w := r.ask(http.MethodGet, path, nil, func(q *http.Request) {
			q.Header.Set("Authorization", token)
			q.Header.Set("If-None-Match", tag)
		})
		return w.Code, w.Body.String(), w.Header()
	}
	for _, row := range []struct {
		name, query, token string
		status             int
	}{
		{"a gate's token", "?gate=edge", "Bearer " + texts[account.Gateway], 200},
		{"an administrator's token", "?gate=edge", "Bearer " + texts[account.Admin], 200},
		{"a developer's token", "?gate=edge", "Bearer " + texts[account.Dev], 403},
		{"no token", "?gate=edge", "", 401},
		{"a token of another scheme", "?gate=edge", "Basic " + texts[account.Gateway], 401},
		{"a token that was changed", "?gate=edge", "Bearer " + turned(texts[account.Gateway]), 401},
		{"no token but a word", "?gate=edge", "Bearer x", 401},
		{"a very long token", "?gate=edge", "Bearer " + strings.Repeat("x.", 10000), 401},
		{"no gate", "", "Bearer " + texts[account.Gateway], 400},
		{"an empty gate", "?gate=", "Bearer " + texts[account.Gateway], 400},
		{"a gate with a space at its end", "?gate=edge%20", "Bearer " + texts[account.Gateway], 400},
		{"a gate with a line break", "?gate=ed%0age", "Bearer " + texts[account.Gateway], 400},
		{"a very long gate", "?gate=" + strings.Repeat("x", 1000), "Bearer " + texts[account.Gateway], 400},
	} {
		for _, path := range []string{attestapi.PathControl, attestapi.PathKeys} {
			if code, body, _ := ask(path+row.query, row.token, ""); code != row.status {
				t.Errorf("%s, %s: got %d %s, want %d", path, row.name, code, body, row.status)
			}
		}
	}

	token := "Bearer " + texts[account.Gateway]
	_, envelope, header := ask(attestapi.PathControl+"?gate=edge", token, "")
	ring := controlRing(t, r.Account("acme"))
	if c, err := gate.OpenControl(envelope, ring, "edge", start); err != nil || !c.Empty() {
		t.Errorf("got %+v, %v, want a document without an override", c, err)
	}
	if code, body, _ := ask(attestapi.PathControl+"?gate=edge", token, header.Get("ETag")); code != 304 || body != "" {
		t.Errorf("the same document again: got %d, want 304", code)
	}
	if code, _, _ := ask(attestapi.PathControl+"?gate=back", token, header.Get("ETag")); code != 200 {
		t.Errorf("another gate's document: got %d, want 200", code)
	}
	r.change(func(a *account.Account) {
		if err := a.SetControl(admin, start, []string{"edge"}, account.Override{Mode: "bypass", For: "15m"}); err != nil {
			t.Fatal(err)
		}
	})
	code, envelope, _ := ask(attestapi.PathControl+"?gate=edge", token, header.Get("ETag"))
	if c, err := gate.OpenControl(envelope, ring, "edge", start); code != 200 || err != nil || c.Mode != "bypass" || c.Version != 2 {
		t.Errorf("after a switch: got %d, %+v, %v, want bypass in version 2", code, c, err)
	}
	_, envelope, header = ask(attestapi.PathKeys+"?gate=edge", token, "")
	if keys, err := gate.OpenRing(envelope, ring, "edge", start); err != nil || len(keys.Keys) != 2 {
		t.Errorf("got %d keys, %v, want the account secret and a public key", len(keys.Keys), err)
	}
	r.change(func(a *account.Account) {
		if err := a.UpdateSecret(admin, start, nil); err != nil {
			t.Fatal(err)
		}
	})
	code, envelope, header = ask(attestapi.PathKeys+"?gate=edge", token, header.Get("ETag"))
	if keys, err := gate.OpenRing(envelope, ring, "edge", start); code != 200 || err != nil || len(keys.Keys) != 3 {
		t.Errorf("after a new secret: got %d, %d keys, %v, want the one before too", code, len(keys.Keys), err)
	}
	r.pass(time.Hour)
	code, envelope, _ = ask(attestapi.PathKeys+"?gate=edge", token, header.Get("ETag"))
	if keys, err := gate.OpenRing(envelope, ring, "edge", start.Add(time.Hour)); code != 200 || err != nil || len(keys.Keys) != 2 {
		t.Errorf("when the one before is over: got %d, %d keys, %v, want it gone", code, len(keys.Keys), err)
	}
	r.change(func(a *account.Account) { a.Tokens = nil })
	if code, _, _ := ask(attestapi.PathKeys+"?gate=edge", token, ""); code != 401 {
		t.Errorf("a revoked token: got %d, want 401", code)
	}
}

// controlRing is what a gate pins.
func controlRing(t testing.TB, a *account.Account) *jose.Ring {
	t.Helper()
	text, err := a.GatewayKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.NewPublic("control", "ES256", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// turned is a token with another letter in its signature: neither the last, of which not every bit counts, nor one
// that may be there by chance.
func turned(token string) string {
	at, letter := len(token)-10, "A"
	if token[at] == 'A' {
		letter = "B"
	}
	return token[:at] + letter + token[at+1:]
}
