package attestserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/evidence"
	"github.com/approovgate/approovgate/attestserver/issue"
)

// finding is what is found out about an attestation before the nonce is consumed and the policy asked.
type finding struct {
	key        []byte // of the library; the decoy, if there is no such library
	flags      []string
	app        app  // the registration that fits; zero: none does
	genuine    bool // the request was made with the library's key
	outdated   bool // the SDK's configuration is behind the account's
	deviceOwn  device
	hasOwn     bool // the device has an entry of its own
	evidenceOf evidence.Result

	// For those who ask why an attestation failed; nothing is judged by these.
	libraryKnown bool
	replayed     bool // the nonce was good once
	sameDigest   int  // of the registrations, one with the app's digest, whether it fits or not; -1: there is none
}

func (f *finding) raise(flag string) {
	if !slices.Contains(f.flags, flag) {
		f.flags = append(f.flags, flag)
	}
}

func (f *finding) badNonce() bool { return slices.Contains(f.flags, attestapi.FlagBadNonce) }

// find judges all of a request that needs neither the store nor evidence. It does the same work whatever it finds, so
// that its time says nothing either: every key is derived, every registration's digest tried.
func (c *compiled) find(q *attestapi.AttestRequest, body []byte, mac string, now time.Time) *finding {
	f := &finding{key: c.decoy}
	key, known := c.libraries[q.Library.ID]
	if f.libraryKnown = known; known {
		f.key = key
	}
	f.genuine = attestapi.SameMAC(mac, attestapi.RequestMAC(f.key, q.Nonce, q.DeviceID, body)) && known
	if !f.genuine {
		f.raise(attestapi.FlagBadHMAC)
	}
	if q.ConfigKey != c.fingerprint {
		f.raise(attestapi.FlagTampered) // the configuration was changed and signed anew (manual, "How SDK Configuration Works")
	}
	f.app, f.sameDigest, _ = c.registered(q, now)
	if f.app == (app{}) {
		f.raise(attestapi.FlagAppNotRegistered)
	}
	for _, flag := range q.Flags {
		if slices.Contains(reportedFlags, flag) { // others are of a later SDK, or not an app's to say
			f.raise(flag)
		}
	}
	if slices.Contains(f.flags, attestapi.FlagFridaHook) {
		f.raise(attestapi.FlagFrida) // it is Frida at work (manual, "Flag Metrics")
	}
	// The request names the configuration in use, which is the initial one or an update of it. If that is behind,
	// so is the initial one, and now it has to be updated (manual, "Annotation Results").
	f.outdated = q.ConfigVersion < c.account.ConfigVersion
	if f.outdated {
		f.raise(attestapi.FlagInitConfigOutdated)
	}
	f.deviceOwn, f.hasOwn = c.devices[q.DeviceID]
	return f
}

var reportedFlags = attestapi.ReportedFlags()

// registered is the registration that fits what an app was measured to be: of its package, with its library, not
// expired, and with a digest of which the measurement is the MAC. Every registration of the account costs one MAC and
// one comparison, of whatever package it is and whether one before it fits or not; work counts them. near is one that
// has the digest at least, or -1.
func (c *compiled) registered(q *attestapi.AttestRequest, now time.Time) (found app, near, work int) {
	given, err := base64.StdEncoding.Strict().DecodeString(q.App.Measurement)
	if err != nil || len(given) != sha256.Size {
		given = make([]byte, sha256.Size)
	}
	malformed := err != nil
	m := hmac.New(sha256.New, []byte(q.Nonce))
	var sum [sha256.Size]byte
	match, near := -1, -1
	for i := range c.apps {
		one := &c.apps[i]
		m.Reset()
		m.Write(one.digest[:])
		same := subtle.ConstantTimeCompare(m.Sum(sum[:0]), given)
		work++
		fits := subtle.ConstantTimeByteEq(boolByte(one.name == q.App.Package), 1) &
			subtle.ConstantTimeByteEq(boolByte(one.libraryName == q.Library.ID), 1) &
			subtle.ConstantTimeByteEq(boolByte(one.expires.IsZero() || now.Before(one.expires)), 1)
		match = subtle.ConstantTimeSelect(same&fits, i, match)
		near = subtle.ConstantTimeSelect(same, i, near)
	}
	if malformed {
		near = -1
	}
	if match < 0 || malformed {
		return app{}, near, work
	}
	return c.apps[match], near, work
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// policy is what the device is judged by.
func (c *compiled) policy(f *finding) account.Policy {
	if f.hasOwn {
		return f.deviceOwn.policy
	}
	return c.account.Policy
}

// update is the SDK configuration to send, if any. One for the device alone goes with every answer: an app never keeps
// it. The ordinary one goes to every app that has another, also to one whose pin mode was taken back.
func (c *compiled) update(own device, version int64) string {
	switch {
	case own.config != "":
		return own.config
	case version != c.account.ConfigVersion:
		return c.config
	}
	return ""
}

// sortFlags puts flags in the order of the manual, which does not depend on what an app sent.
func sortFlags(flags []string) []string {
	var sorted []string
	for _, flag := range allFlags {
		if slices.Contains(flags, flag) {
			sorted = append(sorted, flag)
		}
	}
	return sorted
}

var allFlags = issue.Flags()
