package attestapi

import "time"

// The paths of the management API that are about pins (manual, "Public Key Pinning Configuration"). A domain that
// cannot be reached is CodeUnreachable. PUT PathDomains with Domains replaces all API domains at once and is answered
// with Changed, whose notes say what changes, one domain each: "adds x", "removes y", "changes pins of z".
const (
	PathPins      = PathManage + "/pins"        // GET ?domain=: ServedPins, what the service sees on a domain right now
	PathPinStatus = PathManage + "/pins/status" // GET: PinStatuses, what its monitor saw last of every domain
)

// ServedCertificate is a certificate that a domain serves, or the root that one of them was verified by.
type ServedCertificate struct {
	Pin     string    `json:"pin"`
	Expires time.Time `json:"expires"`
	Subject string    `json:"subject"` // RFC 2253
}

// ServedPins is what is served on a domain, the leaf first.
type ServedPins struct {
	Domain       string              `json:"domain"`
	Certificates []ServedCertificate `json:"certificates"`
	Problem      string              `json:"problem,omitempty"` // why the certificates are not trusted
}

// PinStatus is what the service's pin monitor knows of a domain.
type PinStatus struct {
	Domain  string    `json:"domain"`
	State   string    `json:"state"`            // matched, mismatched, untrusted, unreachable, unpinned, or unknown before the first check
	Pin     string    `json:"pin,omitempty"`    // the one that matched
	Leaf    string    `json:"leaf,omitempty"`   // the pin of the leaf that was served
	Expires time.Time `json:"expires,omitzero"` // the served certificate's that ends first
	Detail  string    `json:"detail,omitempty"` // what is wrong, or why the last look failed if that has not changed the state yet
	Since   time.Time `json:"since,omitzero"`   // when it came into this state
	Checked time.Time `json:"checked,omitzero"` // when it was looked at last
}

// PinStatuses are those of all domains, by name.
type PinStatuses struct {
	Monitored bool        `json:"monitored"` // false: the monitor is switched off
	Domains   []PinStatus `json:"domains"`
}

// PinMessage is what the pin monitor sends to a webhook, as JSON.
type PinMessage struct {
	ID       string    `json:"id"`    // the same when it is sent again
	Event    string    `json:"event"` // problem, recovered, changed or expiring
	Account  string    `json:"account"`
	Domain   string    `json:"domain"`
	State    string    `json:"state"` // as in PinStatus
	Previous string    `json:"previous_state"`
	Pins     []string  `json:"pins"`                    // that the domain is to have one of
	Leaf     string    `json:"leaf,omitempty"`          // the pin of the leaf that is served
	Before   string    `json:"previous_leaf,omitempty"` // and of the one before it
	Expires  time.Time `json:"expires,omitzero"`        // the served certificate's that ends first
	Detail   string    `json:"detail,omitempty"`        // may repeat what the server says of itself
	Time     time.Time `json:"time"`
	Text     string    `json:"text"` // a sentence for a person
}

// HeaderPinSignature is the header of a PinMessage under a secret: sha256= and HMAC-SHA256 of the body under the
// secret's text, in lower case hex.
const HeaderPinSignature = "Attestserver-Signature"

// The events of PinMessage.
const (
	PinsProblem   = "problem"   // the state has become one in which apps fail
	PinsRecovered = "recovered" // it is no longer one
	PinsChanged   = "changed"   // the domain is as well as before, with other keys or pins
	PinsExpiring  = "expiring"  // a certificate ends within 14 days
)

// The states of PinStatus.
const (
	PinsMatched     = "matched"
	PinsMismatched  = "mismatched"  // no certificate of the verified chain has one of the pins
	PinsUntrusted   = "untrusted"   // the chain does not verify, so apps refuse the domain whatever the pins
	PinsUnreachable = "unreachable" // no TLS connection could be made
	PinsUnpinned    = "unpinned"    // there are no pins, and the domain is well
	PinsUnknown     = "unknown"
)
