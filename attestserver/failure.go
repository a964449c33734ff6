package attestserver

import (
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/store"
)

// keepFailed has a failed attestation kept, once its answer has been sent: looking for the reasons takes time that
// passing ones do not take.
func (s *Server) keepFailed(c *compiled, q *attestapi.AttestRequest, f *finding, flags []string, id string, now time.Time) {
	proven := f.genuine && !f.badNonce()
	if !s.failures.reserve(c.account.Name, proven) {
		return
	}
	found := store.Found{
		Package: clip(q.App.Package), Version: clip(q.App.Version),
		Library: clip(q.Library.ID), Platform: clip(q.Library.Platform), SDK: clip(q.Library.Version),
		Flags: flags, Policy: c.policy(f).String(), Own: f.hasOwn && f.deviceOwn.ownPolicy,
		Evidence: f.evidenceOf.Level.String(), Nonce: c.nonceFault(q, f, now), MAC: f.macFault(),
	}
	c.appFault(&found, q, f, now)
	s.failures.note(store.Failure{Account: c.account.Name, Request: id, At: now, Device: q.DeviceID, Proven: proven, Found: found})
}

// nonceFault is what is wrong with the nonce; empty: nothing.
func (c *compiled) nonceFault(q *attestapi.AttestRequest, f *finding, now time.Time) string {
	switch {
	case !f.badNonce():
		return ""
	case f.replayed:
		return attestapi.NonceUsed
	case c.nonces.expired(q.Nonce, q.DeviceID, now):
		return attestapi.NonceExpired
	}
	return attestapi.NonceForeign
}

func (f *finding) macFault() string {
	switch {
	case f.genuine:
		return ""
	case f.libraryKnown:
		return attestapi.LibraryKnown
	}
	return attestapi.LibraryUnknown
}

// appFault says why no registration fits, by the account as it is: later nobody knows the digest any more.
func (c *compiled) appFault(found *store.Found, q *attestapi.AttestRequest, f *finding, now time.Time) {
	for _, r := range c.account.LiveRegistrations(now) { // the latest first
		if r.Package != q.App.Package {
			continue
		}
		if found.Registered++; found.Registered == 1 {
			found.Last = r.Registered
		}
	}
	switch {
	case f.app != (app{}):
		found.App = attestapi.AppRegistered
	case f.sameDigest >= 0:
		near, code := c.nearest(c.apps[f.sameDigest].digest, q)
		found.App, found.Near = code, near.name+"-"+near.version+"-"+near.libraryName
		if code == attestapi.AppExpired {
			found.Expired = near.expires
		}
	case found.Registered > 0:
		found.App = attestapi.AppDigestUnknown
	default:
		found.App = attestapi.AppPackageUnknown
	}
}

// nearest is the registration with a digest that comes closest to fitting, and what keeps it from that.
func (c *compiled) nearest(digest [attestapi.DigestSize]byte, q *attestapi.AttestRequest) (near app, code string) {
	for _, one := range c.apps {
		switch {
		case one.digest != digest:
		case one.name == q.App.Package && one.libraryName == q.Library.ID:
			return one, attestapi.AppExpired
		case one.name == q.App.Package:
			near, code = one, attestapi.AppOtherLibrary
		case code != attestapi.AppOtherLibrary:
			near, code = one, attestapi.AppOtherPackage
		}
	}
	return near, code
}
