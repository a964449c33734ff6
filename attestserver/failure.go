package attestserver

import (
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/store"
)

// noted is a failed attestation on its way to the store. Why no registration fits is only looked for when it is
// written: that takes longer than all else, and who sends the next request on the connection must not feel it.
type noted struct {
	failure    store.Failure // but for what appFault adds
	account    *compiled
	pkg        string // in full
	library    string
	fits       bool // a registration does
	sameDigest int
}

// keepFailed has a failed attestation kept, once its answer has been sent.
func (s *Server) keepFailed(c *compiled, q *attestapi.AttestRequest, f *finding, flags []string, id string, now time.Time) {
	proven := f.genuine && !f.badNonce()
	if !s.failures.reserve(c.account.Name, proven) {
		return
	}
	s.failures.note(noted{
		failure: store.Failure{
			Account: c.account.Name, Request: id, At: now, Device: strings.Clone(q.DeviceID), Proven: proven,
			Found: store.Found{
				Package: kept(q.App.Package), Version: kept(q.App.Version),
				Library: kept(q.Library.ID), Platform: kept(q.Library.Platform), SDK: kept(q.Library.Version),
				Flags: flags, Policy: c.policy(f).String(), Own: f.deviceOwn.ownPolicy,
				Evidence: f.evidenceOf.Level.String(), Nonce: c.nonceFault(q, f, now), MAC: f.macFault(),
			},
		},
		account: c, pkg: strings.Clone(q.App.Package), library: strings.Clone(q.Library.ID), fits: f.app != (app{}), sameDigest: f.sameDigest,
	})
}

// kept is what is kept of a text of an app. It is a copy, because a part would keep the whole request in memory.
func kept(text string) string { return strings.Clone(clip(text)) }

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

// complete is the failure with the reason why no registration fits, by the account as it was: later nobody knows the
// digest any more.
func (n noted) complete() store.Failure {
	found := &n.failure.Found
	for _, r := range n.account.account.LiveRegistrations(n.failure.At) { // the latest first
		if r.Package != n.pkg {
			continue
		}
		if found.Registered++; found.Registered == 1 {
			found.Last = r.Registered
		}
	}
	switch {
	case n.fits:
		found.App = attestapi.AppRegistered
	case n.sameDigest >= 0:
		near, code := n.nearest()
		found.App, found.Near = code, near.name+"-"+near.version+"-"+near.libraryName
		if code == attestapi.AppExpired {
			found.Expired = near.expires
		}
	case found.Registered > 0:
		found.App = attestapi.AppDigestUnknown
	default:
		found.App = attestapi.AppPackageUnknown
	}
	return n.failure
}

// nearest is the registration with the app's digest that comes closest to fitting, and what keeps it from that.
func (n noted) nearest() (near app, code string) {
	for _, one := range n.account.apps {
		switch {
		case one.digest != n.account.apps[n.sameDigest].digest:
		case one.name == n.pkg && one.libraryName == n.library:
			return one, attestapi.AppExpired
		case one.name == n.pkg:
			near, code = one, attestapi.AppOtherLibrary
		case code != attestapi.AppOtherLibrary:
			near, code = one, attestapi.AppOtherPackage
		}
	}
	return near, code
}
