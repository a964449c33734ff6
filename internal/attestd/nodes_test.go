package attestd_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// Two nodes share a PostgreSQL database. A nonce of one is good at the other, and spent at both; a change at one
// reaches the other; and when one is killed the other goes on.
func TestTwoNodes(t *testing.T) {
	database := pgtest.Shared(t).Database(t)
	first := startService(t, t.TempDir(), "--db", database)
	key := "file:" + filepath.Join(first.data, "sealing.key")
	second := startService(t, t.TempDir(), "--db", database, "--key", key, "--url", first.url())
	a := newApps(t, first)
	client := a.client(first, 1)
	eventually(t, "the second node knows the account's app", func() string {
		client.base, client.nonce = second.url(), ""
		answer, err := client.attest()
		if err != nil {
			return err.Error()
		}
		if !first.isValid(t, answer) {
			return "its token is not valid"
		}
		return ""
	})

	client.base = first.url() // with the nonce that the second node has given
	answer, err := client.attest()
	if err != nil || !first.isValid(t, answer) {
		t.Fatalf("a nonce of the other node: got no valid token, %v", err)
	}
	replayed, nonce := client.last, nonceOf(t, client.last)
	for _, node := range []*service{first, second} {
		client.base = node.url()
		again, err := client.send(replayed, nonce)
		if err != nil || first.isValid(t, again) {
			t.Errorf("the same attestation again: got a valid token or %v, want a token that is not", err)
		}
	}

	eventually(t, "what failed at the second node is explained by the first", func() string {
		if status, text := first.tryManage(t, http.MethodGet, attestapi.PathExplanations+"?did="+url.QueryEscape(client.did), nil, nil); status != http.StatusOK || strings.Count(text, "nonce-used") != 2 {
			return text
		}
		return ""
	})

	fresh := answer.Nonce
	first.kill()
	client.base, client.nonce = second.url(), fresh
	second.data = first.data // where the management token is
	if answer, err = client.attest(); err != nil || !second.isValid(t, answer) {
		t.Errorf("after the kill, with a nonce of the killed node: got no valid token, %v", err)
	}
	again, err := client.send(replayed, nonce)
	if err != nil || second.isValid(t, again) {
		t.Errorf("an attestation from before the kill: got a valid token or %v", err)
	}
	var list attestapi.Registrations
	if second.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list); len(list.Registrations) != 1 {
		t.Errorf("registrations: got %d, want 1", len(list.Registrations))
	}
}

// nonceOf is the nonce in an attestation.
func nonceOf(t testing.TB, s sent) string {
	t.Helper()
	var request attestapi.AttestRequest
	mustUnmarshal(t, s.body, &request)
	return request.Nonce
}

// Without its database the service says 503 and when to come back; once the database is there again, so is the service.
func TestTheDatabaseGoesAndComesBack(t *testing.T) {
	server := pgtest.Own(t)
	s := startService(t, t.TempDir(), "--db", server.Database(t))
	a := newApps(t, s)
	client := a.client(s, 1)
	if answer, err := client.attest(); err != nil || !s.isValid(t, answer) {
		t.Fatalf("got no valid token, %v", err)
	}
	server.Kill()
	response, err := a.raw(s, 2)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("without a database: got status %d, Retry-After %q, want 503 and a time", response.StatusCode, response.Header.Get("Retry-After"))
	}
	if status, text := s.tryManage(t, http.MethodPost, attestapi.PathDomains, attestapi.APIDomain{Domain: "b.example.com", Format: "jws"}, nil); status != http.StatusServiceUnavailable {
		t.Errorf("a change without a database: got %d: %s, want 503", status, text)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service answers again", func() string {
		client.nonce = ""
		answer, err := client.attest()
		switch {
		case err != nil:
			return err.Error()
		case !s.isValid(t, answer):
			return "its token is not valid"
		}
		return ""
	})
}
