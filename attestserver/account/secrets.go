package account

import (
	"crypto/hmac"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// How long a token secret is accepted after it was replaced: what was signed with it just before every node knew.
const (
	TokenLifetime = 5 * time.Minute  // of an app's token (manual, "Token Lifespan")
	DefaultGrace  = 10 * time.Second // that a token's exp is later, see Account.Grace
	Propagation   = 30 * time.Second // until a change has reached every node (manual, "Token Secret Update")
)

// maxTokenKeys bounds the token secrets that are accepted at one time: a gate tries at most four keys for a token,
// and one place is kept for what the person who runs it adds.
const maxTokenKeys = 3

// TokenSecret is the account's token secret in its base64 form (manual, "Token Secret Extraction").
func (a *Account) TokenSecret(by Actor) (string, error) {
	if err := by.Check(OpSecretRead); err != nil {
		return "", err
	}
	key, err := a.key(TokenKey)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key.Material.Bytes()), nil
}

// DemoSecret is the secret that tokens of the demonstration domain are signed with, in the same form: for whoever runs
// the demonstration, who never needs the account's (manual, "Adding Demonstration Shapes API").
func (a *Account) DemoSecret(by Actor, domain string) (string, error) {
	if err := by.Check(OpSecretRead); err != nil {
		return "", err
	}
	if a.DemoDomain == "" || !strings.EqualFold(domain, a.DemoDomain) {
		return "", refuse(attestapi.CodeInvalid, "domain: %.80q has no secret of its own, only the demonstration domain %s has; leave the domain out for the account's token secret", domain, a.DemoDomain)
	}
	key, err := a.key(DemoKey)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key.Material.Bytes()), nil
}

// UpdateSecret gives the account a new random token secret (manual, "Token Secret Update"). The one before it stays
// acceptable until the last token that was signed with it has expired.
func (a *Account) UpdateSecret(by Actor, at time.Time, random io.Reader) error {
	return a.change(by, at, OpSecretUpdate, func(c *Account) (outcome, error) {
		material, err := randomBytes(randomOr(random), secretSize)
		if err != nil {
			return unchanged, err
		}
		return c.replaceSecret(at, material)
	})
}

// ImportSecret makes an existing secret of 64 bytes the account's (manual, "Performing the Transition").
func (a *Account) ImportSecret(by Actor, at time.Time, secret []byte) error {
	return a.change(by, at, OpSecretImport, func(c *Account) (outcome, error) {
		if err := checkSecret(secret); err != nil {
			return unchanged, err
		}
		if current, err := c.key(TokenKey); err == nil && hmac.Equal(current.Material.bytes, secret) {
			return unchanged, nil
		}
		c.Keys = slices.DeleteFunc(c.Keys, func(k Key) bool { return k.Purpose == TokenKey && hmac.Equal(k.Material.bytes, secret) })
		for _, k := range c.Keys {
			if hmac.Equal(k.Material.bytes, secret) {
				return unchanged, refuse(attestapi.CodeInvalid, "secret: the account has it for another purpose already; import another one")
			}
		}
		return c.replaceSecret(at, slices.Clone(secret))
	})
}

func (a *Account) replaceSecret(at time.Time, material []byte) (outcome, error) {
	grace := a.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	end := secondUp(at.Add(TokenLifetime + grace + Propagation))
	accepted := 0
	for i := range a.Keys {
		if a.Keys[i].Purpose != TokenKey {
			continue
		}
		accepted++
		if a.Keys[i].NotAfter.IsZero() {
			a.Keys[i].NotAfter = end
		}
	}
	if accepted >= maxTokenKeys {
		return unchanged, refuse(attestapi.CodeConflict, "secret: it was replaced %d times within the last minutes, and tokens under the former ones are still in use; try again in 6 minutes", accepted-1)
	}
	a.Keys = append(a.Keys, Key{Purpose: TokenKey, Alg: "HS256", Material: NewSecret(material), Created: second(at)})
	return did("token secret", "the former is accepted until "+end.Format(time.RFC3339)), nil
}

func checkSecret(secret []byte) error {
	if len(secret) != secretSize {
		return refuse(attestapi.CodeInvalid, "secret: it has %d bytes, and a token secret has %d; give the base64 text that the service it comes from prints", len(secret), secretSize)
	}
	return nil
}
