package account

import (
	"cmp"
	"crypto/sha256"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	maxEmail  = 254 // bytes (RFC 5321 §4.5.3.1.3, without the brackets)
	maxHolder = 100 // bytes of a name
)

// NewToken asks for a management token. Email is for information only.
type NewToken struct {
	Email    string
	Name     string
	Role     Role
	Lifetime string // a duration
}

// AddToken makes a management token (manual, "Creating New Management Tokens"), and returns its text, which is kept
// nowhere. It expires no later than its creator's.
func (a *Account) AddToken(by Actor, at time.Time, random io.Reader, n NewToken) (row ManagementToken, text string, err error) {
	err = a.change(by, at, OpTokenAdd, func(c *Account) (outcome, error) {
		length, err := n.check()
		if err != nil {
			return unchanged, err
		}
		row = ManagementToken{Email: n.Email, Name: n.Name, Role: n.Role, Issued: second(at), Expires: second(at.Add(length))}
		if row.Expires.After(by.Expires) {
			return unchanged, refuse(attestapi.CodeInvalid, "lifetime: the token would expire at %s, later than your own, which expires at %s; choose a shorter one",
				row.Expires.Format(time.RFC3339), by.Expires.UTC().Format(time.RFC3339))
		}
		if len(c.Tokens) >= MaxTokens {
			return unchanged, refuse(attestapi.CodeLimit, "the account has %d management tokens, which is the most it may have; revoke one with approov management -revoke", MaxTokens)
		}
		if text, err = c.issue(&row, randomOr(random)); err != nil {
			return unchanged, err
		}
		c.insertToken(row)
		return did(row.ID, string(row.Role)+" for "+row.Name+" until "+row.Expires.Format(time.RFC3339)), nil
	})
	if err != nil {
		return ManagementToken{}, "", err
	}
	return row, text, nil
}

func (n NewToken) check() (time.Duration, error) {
	if err := cmp.Or(checkText("email", n.Email, maxEmail), checkText("name", n.Name, maxHolder)); err != nil {
		return 0, err
	}
	switch {
	case n.Name == "":
		return 0, refuse(attestapi.CodeInvalid, "name: it is missing; give the name of the person or machine that holds the token")
	case n.Name == Service:
		return 0, refuse(attestapi.CodeInvalid, "name: %s stands for the service itself in the audit log; choose another name", Service)
	case strings.Contains(n.Name, ",") || strings.Contains(n.Email, ","):
		return 0, refuse(attestapi.CodeInvalid, "name and email must have no comma, which parts them in lists")
	}
	switch n.Role {
	case Dev, Admin, Gateway:
	default:
		return 0, refuse(attestapi.CodeInvalid, "role: unknown role %.40q: use dev, admin or gateway", n.Role)
	}
	return lifetime("lifetime", n.Lifetime)
}

// LiveTokens are the management tokens that the actor may see: those that expire no later than its own (manual,
// "Listing Management Tokens"), those that last longest first.
func (a *Account) LiveTokens(by Actor, at time.Time) ([]ManagementToken, error) {
	if err := by.Check(OpTokenList); err != nil {
		return nil, err
	}
	live := slices.DeleteFunc(slices.Clone(a.Tokens), func(t ManagementToken) bool {
		return !t.Expires.After(at) || t.Expires.After(by.Expires)
	})
	slices.SortStableFunc(live, func(a, b ManagementToken) int { return b.Expires.Compare(a.Expires) })
	return live, nil
}

// RevokeToken revokes a management token by its ID or its text (manual, "Revoking Management Tokens"): one that
// expires before the actor's own and was not made at sign-up.
func (a *Account) RevokeToken(by Actor, at time.Time, idOrText string) error {
	return a.change(by, at, OpTokenRevoke, func(c *Account) (outcome, error) {
		hash := sha256.Sum256([]byte(idOrText))
		where := slices.IndexFunc(c.Tokens, func(t ManagementToken) bool { return t.ID == idOrText || t.Hash == hash })
		if where < 0 {
			return unchanged, refuse(attestapi.CodeNotFound, "there is no such management token; it may have expired or been revoked before: see approov management -list")
		}
		t := c.Tokens[where]
		switch {
		case t.Initial:
			return unchanged, refuse(attestapi.CodeForbidden, "the management token was issued when the account was created and cannot be revoked; whoever runs the service can replace it")
		case !t.Expires.Before(by.Expires):
			return unchanged, refuse(attestapi.CodeForbidden, "only a management token that expires before your own can be revoked, and this one expires at %s", t.Expires.Format(time.RFC3339))
		}
		c.Tokens = slices.Delete(c.Tokens, where, where+1)
		return did(t.ID, string(t.Role)+" of "+t.Name), nil
	})
}
