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
	Detail  string    `json:"detail,omitempty"` // what is wrong
	Since   time.Time `json:"since,omitzero"`   // when it came into this state
	Checked time.Time `json:"checked,omitzero"` // when it was looked at last
}

// PinStatuses are those of all domains, by name.
type PinStatuses struct {
	Monitored bool        `json:"monitored"` // false: the monitor is switched off
	Domains   []PinStatus `json:"domains"`
}

// The states of PinStatus.
const (
	PinsMatched     = "matched"
	PinsMismatched  = "mismatched"  // no certificate of the verified chain has one of the pins
	PinsUntrusted   = "untrusted"   // the chain does not verify, so apps refuse the domain whatever the pins
	PinsUnreachable = "unreachable" // no TLS connection could be made
	PinsUnpinned    = "unpinned"    // there are no pins, and the domain is well
	PinsUnknown     = "unknown"
)
