package account

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	maxPins = 16
	pinSize = 32 // bytes of SHA-256
)

// ParseDomainName is attestapi.ParseDomainName with an Error.
func ParseDomainName(text string) (string, error) {
	name, err := attestapi.ParseDomainName(text)
	if err != nil {
		return "", refuse(attestapi.CodeInvalid, "domain: %s", err)
	}
	return name, nil
}

// Domain is the API domain of a name, in any case.
func (a *Account) Domain(name string) (Domain, error) {
	lower := strings.ToLower(name)
	for _, d := range a.Domains {
		if d.Name == lower {
			return d, nil
		}
	}
	return Domain{}, refuse(attestapi.CodeNotFound, "domain: %.80q is not an API domain of the account; add it with approov api -add", name)
}

// AddDomain adds an API domain, or changes the one of that name (manual, "Adding API Domains", "Setting Pin
// Configuration"). Any change of the demonstration domain, once it is there, is ignored, as the manual has it.
func (a *Account) AddDomain(by Actor, at time.Time, d Domain) error {
	exists := slices.ContainsFunc(a.Domains, func(have Domain) bool { return have.Name == strings.ToLower(d.Name) })
	op := OpDomainAdd
	if exists && by.Role.May(OpDomainAdd) { // who may not even add is told so
		if have, err := a.Domain(d.Name); err == nil && a.isSetting(d, have) {
			return nil // a repeated request changes nothing, and nobody needs a right for that
		}
		op = OpDomainChange
	}
	return a.change(by, at, op, func(c *Account) (outcome, error) {
		d, err := c.checkDomain(d)
		if err != nil {
			return unchanged, err
		}
		where, found := c.findDomain(d.Name)
		switch {
		case found && d.Name == c.DemoDomain:
			return unchanged, nil
		case found:
			if (DomainChange{Op: OpDomainChange, Parts: c.Domains[where].differences(d)}).reachesApps() {
				c.ConfigVersion++
			}
			c.Domains[where] = d
			return did(d.Name, d.detail()), nil
		case len(c.Domains) >= MaxDomains:
			return unchanged, refuse(attestapi.CodeLimit, "domain: the account has %d API domains, which is the most it may have; remove one with approov api -remove", MaxDomains)
		}
		c.Domains = slices.Insert(c.Domains, where, d)
		c.ConfigVersion++
		return did(d.Name, d.detail()), nil
	})
}

// RemoveDomain removes an API domain (manual, "Removing API Domains").
func (a *Account) RemoveDomain(by Actor, at time.Time, name string) error {
	return a.change(by, at, OpDomainRemove, func(c *Account) (outcome, error) {
		d, err := c.Domain(name)
		if err != nil {
			return unchanged, err
		}
		where, _ := c.findDomain(d.Name)
		c.Domains = slices.Delete(c.Domains, where, where+1)
		c.ConfigVersion++
		return did(d.Name, ""), nil
	})
}

func (a *Account) findDomain(name string) (where int, found bool) {
	return slices.BinarySearchFunc(a.Domains, name, func(d Domain, name string) int { return strings.Compare(d.Name, name) })
}

// checkDomain is a domain as the account keeps it.
func (a *Account) checkDomain(d Domain) (Domain, error) {
	name, err := ParseDomainName(d.Name)
	if err != nil {
		return Domain{}, err
	}
	d.Name = name
	switch d.Format {
	case "":
		d.Format = JWS
	case JWS, JWE, None:
	default:
		return Domain{}, refuse(attestapi.CodeInvalid, "format: unknown token format %.40q: use jws, jwe or none", d.Format)
	}
	if d.Pins, err = checkPins(d.Pins); err != nil {
		return Domain{}, err
	}
	return d, a.checkDomainKey(d)
}

func (a *Account) checkDomainKey(d Domain) error {
	switch {
	case d.KeyID == "":
		return nil
	case d.Name == a.DemoDomain:
		return refuse(attestapi.CodeInvalid, "kid: the demonstration domain has a secret of its own; leave the key out")
	case d.Format != JWS:
		return refuse(attestapi.CodeInvalid, "kid: a key of the keyset signs, and the format %s has no signature; leave the key out or use jws", d.Format)
	case !slices.ContainsFunc(a.Keys, func(k Key) bool { return k.Purpose == KeysetKey && k.ID == d.KeyID }):
		return refuse(attestapi.CodeInvalid, "kid: there is no key %.80q in the account's keyset; add it first", d.KeyID)
	}
	return nil
}

func checkPins(pins []string) ([]string, error) {
	if len(pins) > maxPins {
		return nil, refuse(attestapi.CodeInvalid, "pins: there are %d, and a domain may have %d", len(pins), maxPins)
	}
	for i, pin := range pins {
		raw, err := base64.StdEncoding.Strict().DecodeString(pin)
		if err != nil || len(raw) != pinSize || len(pin) != base64.StdEncoding.EncodedLen(pinSize) {
			return nil, refuse(attestapi.CodeInvalid, "pins[%d]: %.80q is not a pin: want base64 of the SHA-256 of a public key, such as JG29gD8vWiEanTCVPjYLQ5yiYMKQqR05OH38yFf0kBU=", i, pin)
		}
		if slices.Contains(pins[:i], pin) {
			return nil, refuse(attestapi.CodeInvalid, "pins[%d]: %s stands there twice; delete one", i, pin)
		}
	}
	return slices.Clone(pins), nil
}

// detail is the domain's setting for the audit log.
func (d Domain) detail() string {
	text := "format " + string(d.Format)
	if d.KeyID != "" {
		text += ", key " + d.KeyID
	}
	if len(d.Pins) > 0 {
		text += ", pins " + strings.Join(d.Pins, " ")
	}
	return text
}
