package account

import (
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// SetPolicy sets the account's security policy (manual, "Changing Security Policy").
func (a *Account) SetPolicy(by Actor, at time.Time, p Policy) error {
	return a.change(by, at, OpPolicySet, func(c *Account) (outcome, error) {
		if _, err := ParsePolicy(p.String()); err != nil {
			return unchanged, err
		}
		if c.Policy == p {
			return unchanged, nil
		}
		detail := "was " + c.Policy.String()
		c.Policy = p
		return did(p.String(), detail), nil
	})
}

// Tracking is the account's IP tracking policy.
func (a *Account) Tracking() IPTracking {
	if a.IPTracking == "" {
		return TrackToken
	}
	return a.IPTracking
}

// SetIPTracking sets the account's IP tracking policy (manual, "IP Tracking Policy").
func (a *Account) SetIPTracking(by Actor, at time.Time, tracking IPTracking) error {
	return a.change(by, at, OpIPTrackingSet, func(c *Account) (outcome, error) {
		switch tracking {
		case TrackNone, TrackToken, TrackFull:
		default:
			return unchanged, refuse(attestapi.CodeInvalid, "tracking: unknown IP tracking policy %.40q: use none, token or full", tracking)
		}
		if c.Tracking() == tracking {
			return unchanged, nil
		}
		detail := "was " + string(c.Tracking())
		c.IPTracking = tracking
		return did(string(tracking), detail), nil
	})
}
