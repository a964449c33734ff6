package account

import (
	"encoding/base64"
	"io"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// The account's message signing key, in bytes, and its ID, in bytes before they are written in base64url.
const (
	messageKeySize = 32 // of HMAC-SHA256 (RFC 2104 §3: no fewer than the hash has)
	messageIDSize  = 9
)

// MessageKeyOf is the key with which apps sign their messages to APIs, for those who do not ask on somebody's behalf;
// ok is false if the account has none.
func (a *Account) MessageKeyOf() (key Key, ok bool) {
	at := slices.IndexFunc(a.Keys, isMessageKey)
	if at < 0 {
		return Key{}, false
	}
	return a.Keys[at], true
}

// ReadMessageKey is the message signing key, for whoever verifies what apps have signed.
func (a *Account) ReadMessageKey(by Actor) (Key, error) {
	if err := by.Check(OpMessageKeyRead); err != nil {
		return Key{}, err
	}
	key, ok := a.MessageKeyOf()
	if !ok {
		return Key{}, noMessageKey()
	}
	return key, nil
}

// ChangeMessageKey gives the account a new random message signing key, the first or another one. Apps have it with
// their next attestation, and the ID that stands in their tokens says which key they have.
func (a *Account) ChangeMessageKey(by Actor, at time.Time, random io.Reader) error {
	return a.change(by, at, OpMessageKeyChange, func(c *Account) (outcome, error) {
		material, err := randomBytes(randomOr(random), messageKeySize+messageIDSize)
		if err != nil {
			return unchanged, err
		}
		key := Key{
			Purpose: MessageKey, ID: base64.RawURLEncoding.EncodeToString(material[messageKeySize:]), Alg: "HS256",
			Material: NewSecret(material[:messageKeySize]), Created: second(at),
		}
		c.Keys = append(slices.DeleteFunc(c.Keys, isMessageKey), key)
		return did(key.ID, ""), nil
	})
}

// RemoveMessageKey ends message signing: apps have no key from their next attestation on.
func (a *Account) RemoveMessageKey(by Actor, at time.Time) error {
	return a.change(by, at, OpMessageKeyRemove, func(c *Account) (outcome, error) {
		key, ok := c.MessageKeyOf()
		if !ok {
			return unchanged, noMessageKey()
		}
		c.Keys = slices.DeleteFunc(c.Keys, isMessageKey)
		return did(key.ID, ""), nil
	})
}

func isMessageKey(k Key) bool { return k.Purpose == MessageKey }

func noMessageKey() error {
	return refuse(attestapi.CodeNotFound, "the account has no message signing key; approov secret -messageSigningKey change makes one")
}
