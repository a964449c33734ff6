package account

import (
	"slices"
	"time"
)

// Expire removes what has expired: registrations and management tokens (manual, "Listing Registrations": an expired
// one is removed automatically), and token secrets of the past. It reports whether there was something, and writes
// it down. Every change does the same first; nothing that has expired counts before it is removed.
func (a *Account) Expire(at time.Time) bool {
	before := len(a.Entries)
	a.expire(at)
	return len(a.Entries) > before
}

func (a *Account) expire(at time.Time) {
	service := Actor{Name: Service}
	a.Registrations = slices.DeleteFunc(a.Registrations, func(r Registration) bool {
		if r.live(at) {
			return false
		}
		a.note(service, at, "registration.expire", r.Signature(), "")
		return true
	})
	a.Tokens = slices.DeleteFunc(a.Tokens, func(t ManagementToken) bool {
		if t.Expires.After(at) {
			return false
		}
		a.note(service, at, "management-token.expire", t.ID, "")
		return true
	})
	a.Keys = slices.DeleteFunc(a.Keys, func(k Key) bool {
		if k.NotAfter.IsZero() || k.NotAfter.After(at) {
			return false
		}
		a.note(service, at, "key.expire", string(k.Purpose), "")
		return true
	})
}

// live reports whether a registration has not expired.
func (r Registration) live(at time.Time) bool { return r.Expires.IsZero() || r.Expires.After(at) }
