package store

import "time"

// The bounds of what is kept of failed attestations. Of each account there are at most twice MaxFailures: as many that
// are proven as others, so that nobody who makes requests up drives out what genuine apps have met.
const (
	MaxFailures = 5000               // of an account that are proven, and of those that are not
	FailureAge  = 7 * 24 * time.Hour // of a clock that was wrong also so long ahead

	// FailureStep is how many are forgotten in one transaction, so that those who write never wait long.
	FailureStep = 1000
)

// Failure is what is kept of an attestation that failed, so that people can be told why. It holds nothing that an app
// could be impersonated with: no nonce, MAC, measurement, token or address.
type Failure struct {
	Account string
	Request string // id
	At      time.Time
	Device  string
	// Proven: it was made with the key of one of the account's SDK libraries and with a fresh nonce.
	Proven bool
	Found  Found
}

// Found is what was found out about it. It is kept as JSON: nobody searches by it. What a flag leads to under a policy
// is not in it.
type Found struct {
	Package  string   `json:"pkg,omitempty"` // this and the next four as the app said
	Version  string   `json:"ver,omitempty"`
	Library  string   `json:"lib,omitempty"`
	Platform string   `json:"plat,omitempty"`
	SDK      string   `json:"sdk,omitempty"`
	Flags    []string `json:"flags,omitempty"`
	Policy   string   `json:"policy"` // that judged
	Own      bool     `json:"own,omitempty"`
	Evidence string   `json:"evidence,omitempty"`
	Nonce    string   `json:"nonce,omitempty"` // one of attestapi's Nonce constants; empty: it was good
	MAC      string   `json:"mac,omitempty"`   // one of attestapi's Library constants; empty: it was right
	App      string   `json:"app"`             // one of attestapi's App constants
	// Of the account as it was, and of the package or of the registration with the same digest.
	Registered int       `json:"registered,omitempty"`
	Last       time.Time `json:"last,omitzero"`
	Near       string    `json:"near,omitempty"`
	Expired    time.Time `json:"expired,omitzero"`
}

// FailureQuery asks for the failures of an account: with a request's id, or of a device.
type FailureQuery struct {
	Account string
	Request string // empty: by Device
	Device  string
	Limit   int // at most so many, the newest; of a device half are proven if there are so many
}
