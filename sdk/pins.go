package sdk

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"slices"
)

// PinError is a connection whose certificates have none of the pins.
type PinError struct {
	Name string // of the domain, or of the attestation service
}

func (e *PinError) Error() string {
	return "approov: no certificate of " + e.Name + " has one of its pins: someone may be in between, or the pins are old"
}

// checkPins checks pins against the chains that were verified: against what a server just sends along, anyone could
// pass (manual, "Managing Pins": any part of the chain may match).
func checkPins(name string, pins []string, state tls.ConnectionState) error {
	for _, chain := range state.VerifiedChains {
		for _, certificate := range chain {
			sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
			if slices.Contains(pins, base64.StdEncoding.EncodeToString(sum[:])) {
				return nil
			}
		}
	}
	return &PinError{name}
}
