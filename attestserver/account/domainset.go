package account

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// DomainChange is what SetDomains does to a domain.
type DomainChange struct {
	Op    Operation // OpDomainAdd, OpDomainChange or OpDomainRemove; empty: what was wanted of the demonstration domain is ignored
	Name  string
	Parts []DomainPart // of OpDomainChange: what is other than before
}

// DomainPart is a part of a domain's setting, in words for a person.
type DomainPart string

// The parts.
const (
	PartPins   DomainPart = "pins"
	PartFormat DomainPart = "token format"
	PartKey    DomainPart = "key"
)

// SetDomains replaces all API domains at once (manual, "Setting Pin Configuration") and says what that did, by name.
// Any change of the demonstration domain is ignored, as the manual has it; it goes if it is left out.
func (a *Account) SetDomains(by Actor, at time.Time, wanted []Domain) (changes []DomainChange, err error) {
	err = a.change(by, at, OpDomainSet, func(c *Account) (outcome, error) {
		next, ignored, err := c.domainsOf(wanted)
		if err != nil {
			return unchanged, err
		}
		if changes = compareDomains(c.Domains, next); len(changes) > 0 {
			c.noteDomains(by, at, changes, next)
			c.Domains = next
			if slices.ContainsFunc(changes, DomainChange.reachesApps) {
				c.ConfigVersion++
			}
		}
		done := outcome{nothing: len(changes) == 0}
		if ignored {
			changes = append(changes, DomainChange{Name: c.DemoDomain})
		}
		return done, nil
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// domainsOf checks a list of domains and brings it into the form that the account keeps.
func (a *Account) domainsOf(wanted []Domain) (next []Domain, ignored bool, err error) {
	if len(wanted) > MaxDomains {
		return nil, false, refuse(attestapi.CodeLimit, "domains: there are %d, and an account may have %d", len(wanted), MaxDomains)
	}
	for _, d := range wanted {
		name, err := ParseDomainName(d.Name)
		if err != nil {
			return nil, false, err
		}
		have, err := a.Domain(name)
		if demo := err == nil && name == a.DemoDomain; demo {
			ignored = ignored || !a.isSetting(d, have)
			d = have
		} else if d, err = a.checkDomain(d); err != nil {
			return nil, false, ofDomain(name, err)
		}
		where, twice := slices.BinarySearchFunc(next, name, func(d Domain, name string) int { return strings.Compare(d.Name, name) })
		if twice {
			return nil, false, refuse(attestapi.CodeInvalid, "domains: %s stands there twice; delete one", name)
		}
		next = slices.Insert(next, where, d)
	}
	return next, ignored, nil
}

// isSetting reports whether what is wanted of a domain is what it has already.
func (a *Account) isSetting(wanted, have Domain) bool {
	wanted, err := a.checkDomain(wanted)
	return err == nil && len(have.differences(wanted)) == 0
}

// ofDomain says of which domain of several a refusal is.
func ofDomain(name string, err error) error {
	var refused *Error
	if errors.As(err, &refused) {
		return refuse(refused.Code, "%s: %s", name, refused.Text)
	}
	return err
}

// compareDomains says how one list, by name, becomes another.
func compareDomains(before, after []Domain) (changes []DomainChange) {
	named := func(all []Domain, name string) (Domain, bool) {
		where := slices.IndexFunc(all, func(d Domain) bool { return d.Name == name })
		if where < 0 {
			return Domain{}, false
		}
		return all[where], true
	}
	for _, d := range after {
		have, found := named(before, d.Name)
		if !found {
			changes = append(changes, DomainChange{Op: OpDomainAdd, Name: d.Name})
		} else if parts := have.differences(d); len(parts) > 0 {
			changes = append(changes, DomainChange{Op: OpDomainChange, Name: d.Name, Parts: parts})
		}
	}
	for _, d := range before {
		if _, stays := named(after, d.Name); !stays {
			changes = append(changes, DomainChange{Op: OpDomainRemove, Name: d.Name})
		}
	}
	slices.SortFunc(changes, func(a, b DomainChange) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

// differences are the parts in which another setting of the domain differs.
func (d Domain) differences(other Domain) (parts []DomainPart) {
	if !slices.Equal(d.Pins, other.Pins) {
		parts = append(parts, PartPins)
	}
	if d.Format != other.Format {
		parts = append(parts, PartFormat)
	}
	if d.KeyID != other.KeyID {
		parts = append(parts, PartKey)
	}
	return parts
}

// reachesApps reports whether apps learn of the change: which key signs is nothing that they are told.
func (c DomainChange) reachesApps() bool {
	return c.Op != OpDomainChange || slices.Contains(c.Parts, PartPins) || slices.Contains(c.Parts, PartFormat)
}

// noteDomains writes down each change by itself, as AddDomain and RemoveDomain do.
func (a *Account) noteDomains(by Actor, at time.Time, changes []DomainChange, next []Domain) {
	for _, one := range changes {
		detail := ""
		if where := slices.IndexFunc(next, func(d Domain) bool { return d.Name == one.Name }); where >= 0 {
			detail = next[where].detail()
		}
		a.note(by, at, string(one.Op), one.Name, detail)
	}
}
