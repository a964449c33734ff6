package account

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	maxPackage = 200 // bytes
	maxVersion = 100
)

// Signature names a registration: digest, package, version and library (manual, "Listing Registrations").
func (r Registration) Signature() string {
	return base64.StdEncoding.EncodeToString(r.Digest[:]) + r.Package + "-" + r.Version + "-" + r.Library
}

func (r Registration) permanent() bool { return r.Expires.IsZero() }

// LiveRegistrations are those that have not expired, the latest first.
func (a *Account) LiveRegistrations(at time.Time) []Registration {
	live := slices.DeleteFunc(slices.Clone(a.Registrations), func(r Registration) bool { return !r.live(at) })
	slices.SortStableFunc(live, func(a, b Registration) int { return b.Registered.Compare(a.Registered) })
	return live
}

// ParseDigest reads an app's digest: base64 of 32 bytes.
func ParseDigest(text string) (digest [attestapi.DigestSize]byte, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(digest) {
		return digest, refuse(attestapi.CodeInvalid, "digest: %.80q is not an app's digest: want base64 of 32 bytes", text)
	}
	return [attestapi.DigestSize]byte(raw), nil
}

// AddRegistration registers an app, of which r holds digest, package, version and library (manual, "Registering an
// App"). lives is how long it is to stay registered, a duration such as 3d12h; empty: for good. An app that is registered
// already keeps the later expiry of the two, and the name of who registered it first. One that a developer registered
// becomes an administrator's who registers it again: then developers cannot remove it any more.
func (a *Account) AddRegistration(by Actor, at time.Time, r Registration, lives string) (Registration, error) {
	err := a.change(by, at, OpRegistrationAdd, func(c *Account) (outcome, error) {
		if err := c.checkRegistration(r); err != nil {
			return unchanged, err
		}
		r.By, r.ByRole, r.Registered, r.Expires = by.Name, by.Role, second(at), time.Time{}
		if lives != "" {
			length, err := lifetime("lifetime", lives)
			if err != nil {
				return unchanged, err
			}
			r.Expires = secondUp(at.Add(length))
		}
		where, found := c.findRegistration(r.Signature())
		if found {
			merged, err := c.Registrations[where].again(r)
			if err != nil {
				return unchanged, err
			}
			r = merged
			c.Registrations[where] = r
			return did(r.Signature(), r.detail()), nil
		}
		if len(c.Registrations) >= MaxRegistrations {
			return unchanged, refuse(attestapi.CodeLimit, "the account has %d registrations, which is the most it may have; remove those no longer in use with approov registration -removeMatching", MaxRegistrations)
		}
		c.Registrations = slices.Insert(c.Registrations, where, r)
		return did(r.Signature(), r.detail()), nil
	})
	return r, err
}

// again is a registration that is made once more.
func (r Registration) again(anew Registration) (Registration, error) {
	if r.Digest != anew.Digest || r.Package != anew.Package || r.Version != anew.Version || r.Library != anew.Library {
		return r, refuse(attestapi.CodeConflict, "the signature would be that of %.80s version %.80s, which is registered: choose another version name", r.Package, r.Version)
	}
	if r.permanent() || (!anew.permanent() && r.Expires.After(anew.Expires)) {
		anew.Expires = r.Expires
	}
	if anew.ByRole != Admin || r.ByRole == Admin {
		anew.By, anew.ByRole = r.By, r.ByRole
	}
	return anew, nil
}

func (r Registration) detail() string {
	if r.permanent() {
		return "for good"
	}
	return "until " + r.Expires.Format(time.RFC3339)
}

func (a *Account) checkRegistration(r Registration) error {
	if err := cmp.Or(checkWord("package", r.Package, maxPackage), checkWord("version", r.Version, maxVersion)); err != nil {
		return err
	}
	if !slices.ContainsFunc(a.Libraries, func(l Library) bool { return l.ID == r.Library }) {
		return refuse(attestapi.CodeInvalid, "library_id: the account has no SDK library %.40q; build the app with one of the account's own (approov sdk -getLibrary)", r.Library)
	}
	return nil
}

func (a *Account) findRegistration(signature string) (where int, found bool) {
	return slices.BinarySearchFunc(a.Registrations, signature, func(r Registration, signature string) int {
		return strings.Compare(r.Signature(), signature)
	})
}

// RemoveRegistration removes one registration (manual, "Removing Registrations"). One that an administrator made, or a
// permanent one of somebody else, is the administrator's to remove.
func (a *Account) RemoveRegistration(by Actor, at time.Time, signature string) (Registration, error) {
	var removed Registration
	err := a.change(by, at, OpRegistrationRemove, func(c *Account) (outcome, error) {
		where, found := c.findRegistration(signature)
		if !found {
			return unchanged, refuse(attestapi.CodeNotFound, "there is no registration %.300q; see approov registration -list", signature)
		}
		removed = c.Registrations[where]
		if !by.Role.May(OpPermanentRemove) {
			switch {
			case removed.ByRole == Admin:
				return unchanged, refuse(attestapi.CodeForbidden, "the app was registered with an administration management token, and can be removed with one only")
			case removed.permanent() && removed.By != by.Name:
				return unchanged, refuse(attestapi.CodeForbidden, "the registration is permanent and was made by %s: that person's management token or an administration one is needed", removed.By)
			}
		}
		c.Registrations = slices.Delete(c.Registrations, where, where+1)
		return did(signature, ""), nil
	})
	if err != nil {
		return Registration{}, err
	}
	return removed, nil
}

// RemoveMatching removes all registrations of a package that were last registered longer than age ago (manual,
// "Removing Multiple Registrations"), and returns them, the latest first.
func (a *Account) RemoveMatching(by Actor, at time.Time, pkg, age string) ([]Registration, error) {
	var removed []Registration
	err := a.change(by, at, OpMatchingRemove, func(c *Account) (outcome, error) {
		length, err := ParseDuration(age)
		if err != nil {
			return unchanged, refuse(attestapi.CodeInvalid, "older_than: %s", err)
		}
		if err := checkWord("package", pkg, maxPackage); err != nil {
			return unchanged, err
		}
		done := outcome{detail: "of " + pkg + ", older than " + age}
		for _, r := range c.LiveRegistrations(at) {
			if r.Package == pkg && at.Sub(r.Registered) > length {
				removed = append(removed, r)
				done.subjects = append(done.subjects, r.Signature())
			}
		}
		c.Registrations = slices.DeleteFunc(c.Registrations, func(r Registration) bool {
			return slices.Contains(done.subjects, r.Signature())
		})
		done.nothing = len(removed) == 0
		return done, nil
	})
	if err != nil {
		return nil, err
	}
	return removed, nil
}

// NewerLibrary is the version of the latest SDK library for the platform of library id, if that is newer than its
// own (manual, "Registration Upgrade Messages").
func (a *Account) NewerLibrary(id string) (latest Library, newer bool) {
	own, err := a.Library(id, "")
	if err != nil {
		return Library{}, false
	}
	latest, err = a.Library("", own.Platform)
	return latest, err == nil && compareVersions(latest.Version, own.Version) > 0
}
