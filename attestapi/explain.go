package attestapi

import "time"

// PathExplanations tells why attestations failed. GET ?rid= or ?did=: Explanations, the newest first.
const PathExplanations = PathManage + "/explanations"

// MaxExplanations bounds the explanations of one answer. There may be older ones.
const MaxExplanations = 20

// Explanations say why the attestations of a request, or of a device, failed. Those that passed are not kept.
type Explanations struct {
	DeviceID     string        `json:"did"`
	Device       DeviceState   `json:"device"`
	Explanations []Explanation `json:"explanations"`
	Notes        []string      `json:"notes,omitempty"` // what the person should know
}

// DeviceState is what applies to a device at the moment of the answer.
type DeviceState struct {
	Policy  string `json:"policy"`       // rules,rejection,annotation
	Own     bool   `json:"own"`          // the policy is the device's own, not the account's
	PinMode string `json:"pin_mode"`     // pin unless it has another
	By      string `json:"by,omitempty"` // who gave the device settings of its own; empty: nobody did
}

// Explanation is one attestation that failed, as it was then.
type Explanation struct {
	Request    string    `json:"rid"`
	At         time.Time `json:"at"`
	DeviceID   string    `json:"did"`
	Package    string    `json:"package"` // this and the next four as the app said
	Version    string    `json:"version"`
	Library    string    `json:"library_id"`
	Platform   string    `json:"platform"`
	SDKVersion string    `json:"sdk_version"`
	Evidence   string    `json:"evidence,omitempty"` // level that evidence of hardware or platform reached; empty: there was none
	// Genuine: the request was made with the key of one of the account's SDK libraries and with a fresh nonce. Of any
	// other nothing is certain: not that it comes from the device, nor from an app.
	Genuine bool `json:"genuine"`

	Policy     string          `json:"policy"`     // that judged: rules,rejection,annotation
	PolicyOwn  bool            `json:"policy_own"` // it was the device's own, not the account's
	Flags      []ExplainedFlag `json:"flags"`      // what was found; none: the policy alone rejected
	App        AppState        `json:"app"`
	PassesNow  bool            `json:"passes_now"` // with the same flags it would pass by the policy that applies now
	Conclusion string          `json:"conclusion"` // one sentence
}

// ExplainedFlag is a flag of an attestation that failed.
type ExplainedFlag struct {
	Code     string `json:"code"`             // one of the Flag constants
	Rejected bool   `json:"rejected"`         // the policy does not put up with it
	Detail   string `json:"detail,omitempty"` // what was found besides, for a program: one of the Nonce and Library constants
	Text     string `json:"text"`             // what it means and what to do
}

// AppState says whether a registration fitted.
type AppState struct {
	Code       string    `json:"code"`                     // one of the App constants
	Registered int       `json:"registered"`               // registrations of the package there were
	Last       time.Time `json:"last_registered,omitzero"` // when the latest of them was made
	Near       string    `json:"near,omitempty"`           // package-version-library of the registration with the same digest, if that did not fit
	Expired    time.Time `json:"expired,omitzero"`         // when it had expired
}

// What came of looking for a registration.
const (
	AppRegistered     = "registered"
	AppDigestUnknown  = "digest-unknown"  // the package is registered, with other digests
	AppPackageUnknown = "package-unknown" // and the digest as well
	AppOtherLibrary   = "other-library"   // it is registered with another SDK library
	AppOtherPackage   = "other-package"   // it is registered under another package
	AppExpired        = "expired"
)

// What was wrong with a nonce, or with the MAC.
const (
	NonceUsed      = "nonce-used"      // it was used before: a replay
	NonceExpired   = "nonce-expired"   // the request came too late
	NonceForeign   = "nonce-foreign"   // the service did not make it, for this account and device
	LibraryUnknown = "library-unknown" // the account has no such SDK library
	LibraryKnown   = "mac-wrong"       // it has, and the request was not made with its key
)
