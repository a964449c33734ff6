package attestserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// messages are an account's keys for signing messages to APIs. The zero value: the account has none.
type messages struct {
	id    string
	good  []byte
	decoy []byte // keys that are no keys are made of it
}

func newMessages(a *account.Account) messages {
	key, ok := a.MessageKeyOf()
	if !ok {
		return messages{}
	}
	m := messages{id: key.ID, good: key.Material.Bytes()}
	for _, k := range a.Keys {
		if k.Purpose == account.DecoyKey {
			m.decoy = derive(k.Material.Bytes(), "attest/v1 message key that is none "+key.ID, sha256.Size)
		}
	}
	return m
}

// key is what a device signs messages with: the account's key, or one that nobody verifies with. That stays the same
// for a device as long as the account's key does, so that asking again tells nothing; it is made in any case, so that
// the time tells nothing either. Nil: the account has no message signing.
func (m messages) key(device string, good bool) *attestapi.MessageKey {
	if m.id == "" {
		return nil
	}
	mac := hmac.New(sha256.New, m.decoy)
	mac.Write([]byte(device))
	key := mac.Sum(nil)
	if good {
		key = m.good
	}
	return &attestapi.MessageKey{ID: m.id, Key: base64.StdEncoding.EncodeToString(key)}
}
