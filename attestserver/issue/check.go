package issue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

const maxToken = 16 << 10 // bytes of a token or its loggable form

// The kinds of token that Check tells apart.
const (
	KindJWS      = "JWS"
	KindJWE      = "JWE"
	KindLoggable = "loggable JWS"
)

// Check says what a token, or the loggable form of one, is (manual, "Checking Token Validity"). It is valid if one of
// the account's keys made it, be it the demonstration domain's; a decoy is none of those. That says nothing of its
// expiry.
func Check(a *account.Account, text string, at time.Time) attestapi.CheckedToken {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxToken:
		return attestapi.CheckedToken{}
	case strings.HasPrefix(text, "{"):
		return checkLoggable(a, text, at)
	case strings.Count(text, ".") == 2:
		return checkSigned(a, text, at)
	case strings.Count(text, ".") == 4:
		return checkEncrypted(a, text, at)
	}
	return attestapi.CheckedToken{}
}

// checkSigned tries a JWS. Its claims can be read whoever signed it.
func checkSigned(a *account.Account, text string, at time.Time) attestapi.CheckedToken {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		return attestapi.CheckedToken{}
	}
	claims, expired, ok := readClaims(string(raw), at)
	if !ok {
		return attestapi.CheckedToken{}
	}
	checked := attestapi.CheckedToken{Kind: KindJWS, Expired: expired, Claims: claims}
	for _, key := range verifiers(a, at) {
		if payload, ok := open(key, text, jose.Accept{JWS: true}, at); ok && payload == string(raw) {
			checked.Valid = true
		}
	}
	return checked
}

// checkEncrypted tries a JWE, whose claims are seen only with the key. The decoy's key is tried too, so that an
// operator can read what a failed attestation's token says.
func checkEncrypted(a *account.Account, text string, at time.Time) attestapi.CheckedToken {
	checked := attestapi.CheckedToken{Kind: KindJWE}
	read := func(keys []jose.Key, valid bool) bool {
		for _, key := range keys {
			payload, ok := open(key, text, jose.Accept{JWE: true}, at)
			if !ok {
				continue
			}
			if checked.Claims, checked.Expired, ok = readClaims(payload, at); ok {
				checked.Valid = valid
				return true
			}
		}
		return false
	}
	if read(verifiers(a, at), true) {
		return checked
	}
	if decoy, err := one(a, account.DecoyKey); err == nil {
		if key, err := jose.NewHS256("decoy", "", decoy.Material.Bytes(), true); err == nil {
			read([]jose.Key{key}, false)
		}
	}
	return checked
}

// checkLoggable re-creates the token from its claims under each key of the account and compares the beginning of the
// signature (manual, "Loggable Tokens"). A loggable form shows no header, so the one that each key writes is taken.
func checkLoggable(a *account.Account, text string, at time.Time) attestapi.CheckedToken {
	payload, sip, ok := splitLoggable(text)
	if !ok {
		return attestapi.CheckedToken{}
	}
	claims, expired, ok := readClaims(payload, at)
	if !ok {
		return attestapi.CheckedToken{}
	}
	checked := attestapi.CheckedToken{Kind: KindLoggable, Expired: expired, Claims: claims}
	for _, sign := range signers(a, at) {
		made, err := sign(payload)
		if err == nil && token.SIP(made) == sip {
			checked.Valid = true
		}
	}
	return checked
}

// splitLoggable takes sip out of a loggable form, and puts the rest in canonical form.
func splitLoggable(text string) (payload, sip string, ok bool) {
	members := map[string]any{}
	o := jose.OpenObject(text)
	for o.Next() {
		if o.Name == "sip" {
			sip, _ = o.Text()
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader([]byte(o.Value)))
		decoder.UseNumber() // a number's spelling is part of what was signed
		var value any
		if decoder.Decode(&value) != nil {
			return "", "", false
		}
		members[o.Name] = value
	}
	if !o.OK() || len(sip) != len("HggK-u") {
		return "", "", false
	}
	payload, err := mint.Canonical(members)
	return payload, sip, err == nil
}

// readClaims is the text of claims, and whether they have expired.
func readClaims(payload string, at time.Time) (text string, expired, ok bool) {
	claims, fault := token.Decode(payload)
	if fault != "" {
		return "", false, false
	}
	return payload, claims.At(at, 0) == token.Expired, true
}

// open opens a token with one key.
func open(key jose.Key, text string, accept jose.Accept, at time.Time) (string, bool) {
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		return "", false
	}
	payload, _, fault := ring.Open(text, at.Unix(), accept)
	return payload, fault == ""
}

// secrets are those that make valid tokens: the account's, those before it that are still accepted, and the
// demonstration domain's.
func secrets(a *account.Account, at time.Time) []account.Key {
	keys := tokenKeys(a, at)
	if demo, err := one(a, account.DemoKey); err == nil {
		keys = append(keys, demo)
	}
	return keys
}

// verifiers are the keys that valid tokens verify with.
func verifiers(a *account.Account, at time.Time) []jose.Key {
	var keys []jose.Key
	for _, k := range secrets(a, at) {
		if key, err := jose.NewHS256(string(k.Purpose), "", k.Material.Bytes(), true); err == nil {
			keys = append(keys, key)
		}
	}
	for _, k := range a.Keys {
		if k.Purpose != account.KeysetKey || !k.NotAfter.IsZero() && !at.Before(k.NotAfter) {
			continue
		}
		text, err := PublicPEM(k)
		if err != nil {
			continue
		}
		if key, err := jose.NewPublic(k.ID, k.Alg, k.ID, []byte(text)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// signers make the tokens that the account's keys would have made.
func signers(a *account.Account, at time.Time) []signer {
	var all []signer
	for _, k := range secrets(a, at) {
		all = append(all, hs256(k.Material.Bytes()))
	}
	for _, k := range a.Keys {
		if k.Purpose != account.KeysetKey || !k.NotAfter.IsZero() && !at.Before(k.NotAfter) {
			continue
		}
		if sign, err := keyset(a, account.KeysetKey, k.ID); err == nil {
			all = append(all, sign)
		}
	}
	return all
}
