package sdk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/approovgate/approovgate/attestapi"
)

// messageKey is what messages are signed with. Its type keeps it from being printed.
type messageKey struct{ bytes []byte }

func (messageKey) String() string   { return "sdk.messageKey" }
func (messageKey) GoString() string { return "sdk.messageKey" }

// ErrNoMessageKey is why a message cannot be signed: no token was fetched yet, or the account has no message signing.
var ErrNoMessageKey = errors.New("sdk: there is no key to sign messages with: fetch a token first; if that does not help, the account has no message signing (approov secret -messageSigningKey change)")

// AccountMessageSignature signs a message to an API, such as the signature base of RFC 9421 §2.5: HMAC-SHA256 under the
// account's message signing key, in base64. The claim mskid of the token that goes with the message names the key. The
// key is the one of the latest attestation, so fetch the token first. An app that the service rejects gets signatures
// that look like others and are wrong: whether one is right can only the API tell. The error is NotInitialized or
// ErrNoMessageKey.
func (c *Client) AccountMessageSignature(message string) (string, error) {
	if !c.usable() || c.life.Err() != nil {
		return "", NotInitialized
	}
	key := c.message.Load()
	if key == nil {
		return "", ErrNoMessageKey
	}
	mac := hmac.New(sha256.New, key.bytes)
	mac.Write([]byte(message))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// keepMessageKey takes the key that an attestation brought; nil: message signing is off.
func (c *Client) keepMessageKey(key *attestapi.MessageKey) {
	if key == nil {
		c.message.Store(nil)
		return
	}
	if bytes, err := key.Bytes(); err == nil { // readAnswer has looked
		c.message.Store(&messageKey{bytes})
	}
}
