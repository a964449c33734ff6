// Package account is an account of the attestation service: its state, the rules by which it changes, and who may
// change it. A change is a method that either does all it says or returns an error and does nothing; it does no I/O.
// Package store keeps accounts, package attestserver answers attestations by them, and package manage lets people
// change them.
//
// Start reading at Account.
package account

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The bounds of an account (manual, "Managing API Domains", "Managing Registrations", "Managing Devices", "Management
// Tokens").
const (
	MaxDomains       = 25
	MaxRegistrations = 250
	MaxDevices       = 25
	MaxTokens        = 25 // management tokens that have not expired
	MaxLibraries     = 25
)

// Account is everything the service knows of an account. It is small: the whole of it is read and written at once.
// Whoever is handed one that others read changes a Clone.
type Account struct {
	Name          string
	Created       time.Time
	Version       int64 // rises by one with every change; store counts it
	ConfigVersion int64 // rises with every change that apps learn of through their SDK configuration
	Policy        Policy
	IPTracking    IPTracking
	Grace         time.Duration // a token's exp is this much later than its lifetime says; 0: 10 s
	DemoDomain    string        // the demonstration domain, which has a secret of its own; empty: there is none
	Network       Network
	Keys          []Key
	Domains       []Domain          // by name
	Registrations []Registration    // by Signature
	Devices       []Device          // by ID
	Libraries     []Library         // by ID, as a number
	Tokens        []ManagementToken // by ID
	Controls      []Control         // by gate

	Entries []Entry // what was done since the account was read: store appends these to the audit log and forgets them here
}

// IPTracking says what becomes of an app's address (manual, "IP Tracking Policy"). The zero value is TrackToken.
type IPTracking string

// The ways to track addresses.
const (
	TrackNone  IPTracking = "none"  // not in the token, not recorded
	TrackToken IPTracking = "token" // in the token, recorded as a one-way hash only; the default
	TrackFull  IPTracking = "full"  // in the token, and may be recorded
)

// Network is how apps reach the service, as their configuration says it (see attestapi.Network).
type Network struct {
	Primary  []string // base URLs
	Failover []string
	Pins     []string // of the service's TLS
}

// Secret is key material. Printing it in any way does not show it.
type Secret struct{ bytes []byte }

// NewSecret wraps key material.
func NewSecret(material []byte) Secret { return Secret{slices.Clone(material)} }

// Bytes is the material itself.
func (s Secret) Bytes() []byte { return slices.Clone(s.bytes) }

// Len is its length in bytes.
func (s Secret) Len() int { return len(s.bytes) }

const redacted = "[secret]"

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Purpose says what a key is for.
type Purpose string

// The purposes. Of each that is marked "one" an account has exactly one.
const (
	TokenKey      Purpose = "token"        // HS256, 64 bytes: the account secret. One without NotAfter, and those before it until their NotAfter
	DemoKey       Purpose = "demo"         // HS256: the demonstration domain's secret. One
	DecoyKey      Purpose = "decoy"        // HS256: signs what must never verify. One
	KeysetKey     Purpose = "keyset"       // ES256 or RS256, PKCS#8: signs the tokens of domains that name its ID
	KeysetDecoy   Purpose = "keyset-decoy" // the same algorithm and ID as a KeysetKey: signs what must never verify in its place
	ConfigKey     Purpose = "config"       // ES256, PKCS#8: signs the SDK configuration. One
	ControlKey    Purpose = "control"      // ES256, PKCS#8: signs control documents and rings for gates. One
	NonceKey      Purpose = "nonce"        // 32 bytes: seals nonces. One
	ManagementKey Purpose = "management"   // HS256: signs management tokens. One
	MessageKey    Purpose = "message"      // HS256, 32 bytes: apps sign their messages to APIs with it, ID is claim mskid. At most one
)

// Key is a key of the account.
type Key struct {
	Purpose  Purpose
	ID       string // kid; empty unless the purpose is KeysetKey, KeysetDecoy or MessageKey, or it is told apart from another of its purpose
	Alg      string // HS256, ES256, RS256; empty for NonceKey
	Material Secret // the secret, or a private key in PKCS#8 form (DER)
	Created  time.Time
	NotAfter time.Time // when it ceases to be accepted; zero: never
}

// Format is what tokens look like on a domain.
type Format string

// The formats. The zero value is JWS.
const (
	JWS  Format = "jws"
	JWE  Format = "jwe"
	None Format = "none" // the domain is known, and needs no tokens
)

// Domain is an API domain.
type Domain struct {
	Name   string // lower case
	Format Format
	KeyID  string   // ID of the KeysetKey that signs its tokens; empty: the account secret
	Pins   []string // base64 of SHA-256 of the subject public key info, in the order given
}

// Registration is a registered app.
type Registration struct {
	Digest     [32]byte // see package measure
	Package    string
	Version    string // with the build number, such as 2.0[3]
	Library    string // ID of a Library
	Registered time.Time
	Expires    time.Time // zero: never
	By         string    // name of the management token's holder
	ByRole     Role
}

// Device is a device with a policy or pin mode of its own.
type Device struct {
	ID      string // did
	Policy  Policy // zero: the account's
	PinMode PinMode
	By      string
}

// PinMode changes what one device is told of pins (manual, "Setting Pinning Mode"). The zero value is PinNormal.
type PinMode string

// The pin modes.
const (
	PinNormal   PinMode = "pin"
	PinOff      PinMode = "unpin"
	PinBlock    PinMode = "block"
	PinBlockAll PinMode = "blockAll"
)

// Library is an SDK library: see attestapi.Library.
type Library struct {
	ID       string // digits
	Platform string
	Version  string
	Key      Secret
	Created  time.Time
}

// Role is what a management token may do (manual, "Management Tokens").
type Role string

// The roles.
const (
	Dev     Role = "dev"
	Admin   Role = "admin"
	Gateway Role = "gateway" // ours: a gate reads control and keys with it, and nothing else
)

// ManagementToken is a management token. Its text is not kept, only the hash of it.
type ManagementToken struct {
	ID      string
	Hash    [32]byte // SHA-256 of the token's text
	Email   string
	Name    string
	Role    Role
	Issued  time.Time
	Expires time.Time
	Initial bool // made at sign-up; cannot be revoked through the API
}

// Control is the live switch of one gate: what its control document says, see config.Control.
type Control struct {
	Gate    string
	Version int64  // 1 for the first, one more with every change; the document's is issue.ControlVersion
	Mode    string // enforce, log, bypass; empty: the policy's
	Routes  map[string]string
	Until   time.Time // zero: there is no override
	Reason  string
	By      string
}

// Entry is a line of the audit log. Store gives it its number.
type Entry struct {
	Sequence int64
	At       time.Time
	By       string // name of the management token's holder, or server for what the service does itself
	Role     Role
	Action   string // such as registration.add
	Subject  string
	Detail   string // never a secret
	Request  string // id of the request
}

// Clone is a copy that shares nothing that can be changed.
func (a *Account) Clone() *Account {
	c := *a
	c.Network.Primary = slices.Clone(a.Network.Primary)
	c.Network.Failover = slices.Clone(a.Network.Failover)
	c.Network.Pins = slices.Clone(a.Network.Pins)
	c.Keys = slices.Clone(a.Keys)
	c.Domains = slices.Clone(a.Domains)
	for i := range c.Domains {
		c.Domains[i].Pins = slices.Clone(c.Domains[i].Pins)
	}
	c.Registrations = slices.Clone(a.Registrations)
	c.Devices = slices.Clone(a.Devices)
	c.Libraries = slices.Clone(a.Libraries)
	c.Tokens = slices.Clone(a.Tokens)
	c.Controls = slices.Clone(a.Controls)
	for i := range c.Controls {
		c.Controls[i].Routes = maps.Clone(c.Controls[i].Routes)
	}
	c.Entries = slices.Clone(a.Entries)
	return &c
}

// Error is a change that is refused: by the account's rules, not by a fault.
type Error struct {
	Code string // one of attestapi's Code constants
	Text string // what is wrong and how to put it right, for the person who asked
}

func (e *Error) Error() string { return e.Text }

// refuse makes an Error.
func refuse(code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
