package account

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// Service is the name in the audit log of what the service does itself.
const Service = "server"

// Actor is who makes a change: the holder of a management token, as Verify found it.
type Actor struct {
	TokenID string
	Email   string
	Name    string
	Role    Role
	Expires time.Time // of the token
	Request string    // id of the request, for the audit log
}

// Unauthorized is what whoever comes without a good management token is told (manual, "Revoking Management Tokens").
// The first letter is the manual's.
const Unauthorized = "your management token is invalid, revoked or expired - contact your Approov administrator"

var errUnauthorized = &Error{Code: attestapi.CodeUnauthorized, Text: Unauthorized}

// MaxToken bounds the text of a management token, in bytes.
const MaxToken = 4096

// tokenClaims are the claims of a management token.
type tokenClaims struct {
	Account string `json:"acct"`
	ID      string `json:"jti"`
	Email   string `json:"sub"`
	Name    string `json:"name"`
	Role    Role   `json:"role"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
}

// issue makes the text of a management token, and completes row with its ID and the text's hash.
func (a *Account) issue(row *ManagementToken, random io.Reader) (string, error) {
	for row.ID == "" || a.token(row.ID) != nil {
		raw, err := randomBytes(random, 5)
		if err != nil {
			return "", err
		}
		row.ID = strings.ToLower(base32.StdEncoding.EncodeToString(raw))
	}
	key, err := a.key(ManagementKey)
	if err != nil {
		return "", err
	}
	text, err := mint.Sign("HS256", "", key.Material.Bytes(), map[string]any{
		"acct": a.Name, "jti": row.ID, "sub": row.Email, "name": row.Name, "role": string(row.Role),
		"iat": row.Issued.Unix(), "exp": row.Expires.Unix(),
	})
	if err != nil {
		return "", err
	}
	row.Hash = sha256.Sum256([]byte(text))
	return text, nil
}

// TokenAccount is the name of the account that a management token says it is for: where to look for Verify. It
// proves nothing.
func TokenAccount(text string) (name string, ok bool) {
	if len(text) > MaxToken {
		return "", false
	}
	segments := strings.Split(text, ".")
	if len(segments) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(segments[1])
	if err != nil {
		return "", false
	}
	var claims tokenClaims
	if json.Unmarshal(payload, &claims) != nil || claims.Account == "" {
		return "", false
	}
	return claims.Account, true
}

// Verify finds whose management token text is. It must be signed with the account's ManagementKey, and there must be
// a row with its ID that has the hash of its text and has not expired: a revoked token has none. What the actor may
// do comes from the row. Every refusal is the same Error.
func (a *Account) Verify(text string, now time.Time) (Actor, error) {
	claims, ok := a.openToken(text)
	if !ok {
		return Actor{}, errUnauthorized
	}
	hash := sha256.Sum256([]byte(text))
	found := -1
	for i := range a.Tokens { // all of them, so that how long it takes says nothing
		sameID := subtle.ConstantTimeCompare([]byte(a.Tokens[i].ID), []byte(claims.ID))
		sameHash := subtle.ConstantTimeCompare(a.Tokens[i].Hash[:], hash[:])
		found = subtle.ConstantTimeSelect(sameID&sameHash, i, found)
	}
	if found < 0 || !a.Tokens[found].Expires.After(now) {
		return Actor{}, errUnauthorized
	}
	row := a.Tokens[found]
	return Actor{TokenID: row.ID, Email: row.Email, Name: row.Name, Role: row.Role, Expires: row.Expires}, nil
}

// openToken verifies the signature of a management token and reads its claims.
func (a *Account) openToken(text string) (claims tokenClaims, ok bool) {
	key, err := a.key(ManagementKey)
	if err != nil || len(text) > MaxToken {
		return tokenClaims{}, false
	}
	verifier, err := jose.NewHS256("management", "", key.Material.Bytes(), false)
	if err != nil {
		return tokenClaims{}, false
	}
	ring, err := jose.NewRing([]jose.Key{verifier})
	if err != nil {
		return tokenClaims{}, false
	}
	payload, _, fault := ring.Open(text, 0, jose.Accept{JWS: true})
	if fault != "" || json.Unmarshal([]byte(payload), &claims) != nil || claims.Account != a.Name || claims.ID == "" {
		return tokenClaims{}, false
	}
	return claims, true
}

// key is the one key of a purpose.
func (a *Account) key(purpose Purpose) (Key, error) {
	for _, k := range a.Keys {
		if k.Purpose == purpose && k.NotAfter.IsZero() {
			return k, nil
		}
	}
	return Key{}, errors.New("the account has no key for " + string(purpose))
}

// token is the row of a management token; nil: there is none.
func (a *Account) token(id string) *ManagementToken {
	for i := range a.Tokens {
		if a.Tokens[i].ID == id {
			return &a.Tokens[i]
		}
	}
	return nil
}

func (a *Account) insertToken(row ManagementToken) {
	at, _ := slices.BinarySearchFunc(a.Tokens, row, func(t, want ManagementToken) int { return strings.Compare(t.ID, want.ID) })
	a.Tokens = slices.Insert(a.Tokens, at, row)
}
