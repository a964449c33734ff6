package attestserver

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/jose"
)

const (
	maxBearer = 8 << 10 // bytes of a management token
	maxGate   = 128     // bytes of a gate's name
)

// control answers a gate with the control document in force for it (DESIGN, Control).
func (s *Server) control(w http.ResponseWriter, r *http.Request, _ []byte, _ string) error {
	return s.document(w, r, "control", issue.Control)
}

// keys answers a gate with the ring of the account's token keys.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, _ []byte, _ string) error {
	return s.document(w, r, "keys", issue.Keys)
}

// document answers a gate with a signed document of the account whose management token it shows.
func (s *Server) document(w http.ResponseWriter, r *http.Request, kind string, make func(*account.Account, string, time.Time) (string, error)) error {
	now := s.o.Now()
	a, err := s.authorize(r, now)
	if err != nil {
		return err
	}
	gate := r.URL.Query().Get("gate")
	if gate == "" || len(gate) > maxGate || strings.TrimSpace(gate) != gate || strings.ContainsFunc(gate, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return malformed("gate: name the gate, as its policy does: ?gate=edge")
	}
	tag := documentTag(a, kind, gate, now)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	envelope, err := make(a, gate, now)
	if err != nil {
		return fmt.Errorf("%s for gates: %w", kind, err)
	}
	writeBody(w, "application/jose", []byte(envelope))
	return nil
}

// documentTag changes with every document: with the account, and when one of its keys ceases to be accepted.
func documentTag(a *account.Account, kind, gate string, now time.Time) string {
	over := 0
	for _, k := range a.Keys {
		if !k.NotAfter.IsZero() && !now.Before(k.NotAfter) {
			over++
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s\x00%s\x00%d", a.Name, a.Created.UnixNano(), a.Version, kind, gate, over))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// authorize finds the account whose management token a gate shows. What is wrong with a token is not told.
func (s *Server) authorize(r *http.Request, now time.Time) (*account.Account, error) {
	refused := &fault{status: http.StatusUnauthorized, code: attestapi.CodeUnauthorized, detail: "the management token is invalid, revoked or expired"}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s.snapshot.Load() == nil {
		return nil, busy("the accounts have not been read yet")
	}
	if !isBearer || len(token) > maxBearer || s.o.Verify == nil {
		return nil, refused
	}
	a := s.Account(claimedAccount(token))
	if a == nil {
		return nil, refused
	}
	role, err := s.o.Verify(a, token, now)
	switch {
	case err != nil:
		return nil, refused
	case role != account.Gateway && role != account.Admin:
		return nil, &fault{status: http.StatusForbidden, code: attestapi.CodeForbidden, detail: "only management tokens of the roles gateway and admin may read this"}
	}
	return a, nil
}

// claimedAccount is the account that a management token says it is of. Nothing is verified.
func claimedAccount(token string) (name string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	o := jose.OpenObject(string(raw))
	for o.Next() {
		if o.Name == "acct" {
			name, _ = o.Text()
		}
	}
	if !o.OK() {
		return ""
	}
	return name
}
