package issue

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/controlsign"
)

// ControlVersion is the version of a gate's control document: 1 for a gate that nobody has ever switched, so that the
// first switch, which account numbers 1, comes after it. A gate takes no document with the number of another one.
func ControlVersion(c account.Control) int64 { return c.Version + 1 }

// Control is the signed control document for a gate, see config.Control: the one override the account holds for it, or
// none.
func Control(a *account.Account, gate string, at time.Time) (envelope string, err error) {
	key, err := onCurve(a, account.ControlKey)
	if err != nil {
		return "", err
	}
	tree := map[string]any{}
	var found account.Control
	for _, c := range a.Controls {
		if c.Gate == gate {
			found = c
		}
	}
	if !found.Until.IsZero() && (found.Mode != "" || len(found.Routes) > 0) {
		tree["until"] = found.Until.UTC().Format(time.RFC3339)
		for name, value := range map[string]string{"mode": found.Mode, "reason": found.Reason, "by": found.By} {
			if value != "" {
				tree[name] = value
			}
		}
		routes := map[string]any{}
		for name, mode := range found.Routes {
			routes[name] = mode
		}
		if len(routes) > 0 {
			tree["routes"] = routes
		}
	}
	envelope, problems := controlsign.Control(key, tree, controlsign.Terms{Audience: []string{gate}, Version: ControlVersion(found), Now: at})
	return envelope, failure("the control document", problems)
}

// maxSecrets is how many account secrets a ring holds: a gate tries no more keys than four for one token.
const maxSecrets = 4

// Keys is the signed ring of the keys that tokens of the account verify with, for a gate: the account secret, those
// before it until they cease to be accepted, and the keyset's public keys. The demonstration domain's secret is not in
// it: whatever a gate guards, it is no demonstration.
func Keys(a *account.Account, gate string, at time.Time) (envelope string, err error) {
	key, err := onCurve(a, account.ControlKey)
	if err != nil {
		return "", err
	}
	if _, err := current(a, at); err != nil {
		return "", err
	}
	var keys []any
	secrets := tokenKeys(a, at)
	for i, k := range secrets[:min(len(secrets), maxSecrets)] {
		entry := map[string]any{
			"name": "account", "alg": "HS256", "jwe": true,
			"secret": "inline:" + base64.StdEncoding.EncodeToString(k.Material.Bytes()), "encoding": "base64",
		}
		if i > 0 {
			entry["name"] = fmt.Sprintf("account-%d", i)
		}
		until(entry, k)
		keys = append(keys, entry)
	}
	for _, k := range a.Keys {
		if k.Purpose != account.KeysetKey || !k.NotAfter.IsZero() && !at.Before(k.NotAfter) {
			continue
		}
		text, err := PublicPEM(k)
		if err != nil {
			return "", err
		}
		entry := map[string]any{"name": "keyset-" + k.ID, "alg": k.Alg, "kid": k.ID, "public_key": "inline:" + text}
		until(entry, k)
		keys = append(keys, entry)
	}
	envelope, problems := controlsign.Ring(key, map[string]any{"keys": keys},
		controlsign.Terms{Audience: []string{gate}, Version: max(a.Version, 1), Now: at},
		func(string) ([]byte, []string, error) {
			return nil, nil, errors.New("a key of an account is no reference")
		})
	return envelope, failure("the ring of keys", problems)
}

// until adds the end of a key's window.
func until(entry map[string]any, k account.Key) {
	if !k.NotAfter.IsZero() {
		entry["not_after"] = k.NotAfter.UTC().Format(time.RFC3339)
	}
}

// PublicPEM is the public half of a key that is kept in PKCS#8 form, as gates' policies pin it.
func PublicPEM(k account.Key) (string, error) {
	signer, err := private(k)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return "", fmt.Errorf("the %s key %s has no public form", k.Purpose, k.ID)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// failure is the first problem that is more than a warning.
func failure(what string, problems []config.Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return fmt.Errorf("%s: %s", what, p.String())
		}
	}
	return nil
}
