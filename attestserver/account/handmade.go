package account

import (
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/token"
)

// What an example token holds (manual, "Generating Example Tokens"). The device ID is the manual's and no valid one,
// and the address is kept for documentation (RFC 5737): neither can be taken for a real one.
const (
	ExampleDeviceID = "ExampleApproovTokenDID=="
	exampleAddress  = "192.0.2.1"
	exampleLifetime = time.Hour
	maxIssuer       = 100  // bytes of the name in a long lived token
	maxBoundData    = 8192 // bytes that an example token can be bound to
)

// Handmade is a token to be made by hand.
type Handmade struct {
	Claims  map[string]any
	Good    bool // signed with the right key
	Expires time.Time
}

// ExampleToken is a token for an API domain as apps get them, to test with. kind is valid, invalid, failover or, which is
// ours, expired an hour ago; empty means valid. data is what it is bound to, if anything.
func (a *Account) ExampleToken(by Actor, at time.Time, d Domain, kind, data string) (Handmade, error) {
	if err := by.Check(OpExampleToken); err != nil {
		return Handmade{}, err
	}
	if d.Format == None {
		return Handmade{}, refuse(attestapi.CodeInvalid, "domain: %s needs no tokens (format none)", d.Name)
	}
	if len(data) > maxBoundData {
		return Handmade{}, refuse(attestapi.CodeInvalid, "data: it has %d bytes, and may have %d", len(data), maxBoundData)
	}
	h := Handmade{Good: true, Expires: secondUp(at.Add(exampleLifetime))}
	h.Claims = map[string]any{"exp": h.Expires.Unix()}
	switch kind {
	case "invalid":
		h.Good = false
	case "expired":
		h.Expires = second(at.Add(-exampleLifetime))
		h.Claims["exp"] = h.Expires.Unix()
	case "", "valid":
	case "failover":
		if data != "" {
			return Handmade{}, refuse(attestapi.CodeInvalid, "data: a failover token is bound to nothing; leave it out")
		}
		return h, nil
	default:
		return Handmade{}, refuse(attestapi.CodeInvalid, "type: unknown type %.40q: use valid, invalid, expired or failover", kind)
	}
	h.Claims["did"] = ExampleDeviceID
	if a.Tracking() != TrackNone {
		h.Claims["ip"] = exampleAddress
	}
	if data != "" {
		h.Claims["pay"] = token.Pay([]byte(data))
	}
	return h, nil
}

// LongLivedToken is a token for a server (manual, "Long Lived Approov Tokens"). lives is how long it is valid, a duration
// such as 90d. It is under the account secret and so never for the demonstration domain. That it was made is written down.
func (a *Account) LongLivedToken(by Actor, at time.Time, name, lives string) (Handmade, error) {
	var h Handmade
	err := a.change(by, at, OpLongLivedToken, func(*Account) (outcome, error) {
		if err := checkText("name", name, maxIssuer); err != nil {
			return unchanged, err
		}
		if name == "" {
			return unchanged, refuse(attestapi.CodeInvalid, "name: it is missing; give the name of the server, which becomes the claim iss")
		}
		length, err := lifetime("lifetime", lives)
		if err != nil {
			return unchanged, err
		}
		h = Handmade{Good: true, Expires: secondUp(at.Add(length))}
		h.Claims = map[string]any{"exp": h.Expires.Unix(), "iss": name}
		return did(name, "until "+h.Expires.Format(time.RFC3339)), nil
	})
	return h, err
}
