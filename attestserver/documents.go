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
)

const maxGate = 128 // bytes of a gate's name

// control answers a gate with the control document in force for it.
func (s *Server) control(w http.ResponseWriter, r *http.Request, _ []byte, _ string) error {
	return s.document(w, r, account.OpGateControl, issue.Control)
}

// keys answers a gate with the ring of the account's token keys.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, _ []byte, _ string) error {
	return s.document(w, r, account.OpGateKeys, issue.Keys)
}

// document answers a gate with a signed document of the account whose management token it shows.
func (s *Server) document(w http.ResponseWriter, r *http.Request, op account.Operation, issue func(*account.Account, string, time.Time) (string, error)) error {
	now := s.o.Now()
	a, err := s.authorize(r, op, now)
	if err != nil {
		return err
	}
	gate := r.URL.Query().Get("gate")
	if gate == "" || len(gate) > maxGate || strings.TrimSpace(gate) != gate || strings.ContainsFunc(gate, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return malformed("gate: name the gate, as its policy does: ?gate=edge")
	}
	tag := documentTag(a, op, gate, now)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	envelope, err := issue(a, gate, now)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	writeBody(w, "application/jose", []byte(envelope))
	return nil
}

// documentTag changes with every document: with the account, and when one of its keys ceases to be accepted.
func documentTag(a *account.Account, op account.Operation, gate string, now time.Time) string {
	over := 0
	for _, k := range a.Keys {
		if !k.NotAfter.IsZero() && !now.Before(k.NotAfter) {
			over++
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s\x00%s\x00%d", a.Name, a.Created.UnixNano(), a.Version, op, gate, over))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// authorize finds the account whose management token a gate shows. What is wrong with a token is not told.
func (s *Server) authorize(r *http.Request, op account.Operation, now time.Time) (*account.Account, error) {
	if s.snapshot.Load() == nil {
		return nil, busy("the accounts have not been read yet")
	}
	refused := &fault{status: http.StatusUnauthorized, code: attestapi.CodeUnauthorized, detail: account.Unauthorized}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	name, ok := account.TokenAccount(token)
	a := s.Account(name)
	if !isBearer || !ok || a == nil {
		return nil, refused
	}
	actor, err := a.Verify(token, now)
	if err != nil {
		return nil, refused
	}
	if err := actor.Check(op); err != nil {
		return nil, &fault{status: http.StatusForbidden, code: attestapi.CodeForbidden, detail: err.Error()}
	}
	return a, nil
}
