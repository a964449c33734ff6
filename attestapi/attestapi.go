// Package attestapi is what the attestation service, the SDK and the management tool say to each other: the paths
// and messages of an attestation, the labels of its MACs, the SDK configuration, the SDK library, and the messages
// of the management API. docs/protocol.md tells the same to those who write another client.
//
// It owns names and encodings only. What a message leads to is decided in attestserver; when to send one, in sdk.
//
// Start reading at AttestRequest, then mac.go.
package attestapi

import (
	"encoding/base64"
	"fmt"
)

// Version is the version of the protocol, a member of every attestation.
const Version = 1

// The paths of the attestation service.
const (
	PathChallenge = "/v1/challenge"
	PathAttest    = "/v1/attest"
	PathConfig    = "/v1/config"
	PathHealth    = "/v1/health"
	PathWellKnown = "/.well-known/attest"
	PathControl   = "/gate/v1/control" // for gates: the control document in force, ?gate=NAME
	PathKeys      = "/gate/v1/keys"    // for gates: the ring of the account's token keys, ?gate=NAME
)

// HeaderMAC carries the MAC of a request and of its response, see RequestMAC and ResponseMAC.
const HeaderMAC = "Attest-MAC"

// Bounds of messages, in bytes.
const (
	MaxRequest  = 64 << 10
	MaxResponse = 512 << 10
)

// Sizes, in bytes.
const (
	DeviceIDSize    = 16 // a device ID, "did" (manual, "Extracting the Device ID")
	DigestSize      = 32 // an app's digest
	FingerprintSize = 32 // SHA-256 of the account's public key
	MessageKeySize  = 32 // the account's message signing key
)

// ChallengeRequest asks for a nonce: the first of the two requests of a cold fetch (manual, "Token Fetch Latency").
type ChallengeRequest struct {
	Account  string `json:"account"`
	Library  string `json:"lib"` // id of the SDK library
	DeviceID string `json:"did"`
}

// ChallengeResponse brings the nonce, and how the app is to be looked at.
type ChallengeResponse struct {
	Nonce    string `json:"nonce"`       // opaque; for one attestation of this account and device
	NonceTTL int    `json:"nonce_ttl_s"` // seconds from now
	Rules    *Rules `json:"rules"`
	Now      int64  `json:"now"` // the service's clock, Unix seconds; for logs only
	Request  string `json:"rid"` // names this request in the service's log
}

// Rules say what the SDK gathers and looks for (manual, "Security Rules Updates"). They come with a challenge, and
// with an attestation when they have changed.
type Rules struct {
	Version int64             `json:"v"`
	Checks  []string          `json:"checks"` // names of the checks to run, see the Check constants; unknown ones are skipped
	Names   map[string]string `json:"names"`  // part of a file name, in lower case → the flag that its being loaded raises
}

// The checks that rules may ask for.
const (
	CheckTracer  = "tracer"  // is another process tracing this one: FlagDebug
	CheckPreload = "preload" // was code put in front of the libraries: FlagScanFail
	CheckLoaded  = "loaded"  // are libraries loaded whose names Rules.Names knows
	CheckRoot    = "root"    // is the operating system opened up: FlagRooted, FlagRootRisk
)

// AttestRequest is one attestation. Its bytes as sent are what RequestMAC authenticates.
type AttestRequest struct {
	Version       int        `json:"v"`
	Account       string     `json:"account"`
	Nonce         string     `json:"nonce"`
	ConfigKey     string     `json:"cfg_key_fp"` // KeyFingerprint of the public key in the SDK's initial configuration
	ConfigVersion int64      `json:"cfg_ver"`    // of the configuration the SDK uses
	RulesVersion  int64      `json:"rules_ver"`
	Library       LibraryRef `json:"lib"`
	App           App        `json:"app"`
	DeviceID      string     `json:"did"`
	Flags         []string   `json:"flags,omitempty"`    // what the SDK found, see the Flag constants
	Pay           string     `json:"pay,omitempty"`      // token.Pay of the data that tokens are to be bound to
	Evidence      []Evidence `json:"evidence,omitempty"` // from hardware or platform, see EvidenceBinding
	Calls         Calls      `json:"stats,omitempty"`    // of the SDK since the last attestation that was answered
}

// LibraryRef names an SDK library.
type LibraryRef struct {
	ID       string `json:"id"`
	Platform string `json:"plat"`
	Version  string `json:"ver"`
}

// App is the app as the SDK measured it.
type App struct {
	Package     string `json:"pkg"`
	Version     string `json:"ver"`
	Measurement string `json:"meas"` // see Measurement
}

// Evidence is what hardware or platform says of the app or device.
type Evidence struct {
	Type string `json:"type"`
	Data string `json:"data"` // base64
}

// Calls counts what the app asked of the SDK and what came of it (manual, "SDK Metrics"): by the metric's name
// without "sdk-", such as calls-fetch-sync or result-success.
type Calls map[string]int64

// AttestResponse answers an attestation, whatever came of it: the tokens of an app that was not recognised look
// like those of one that was (manual, "Key Components").
type AttestResponse struct {
	Tokens   map[string]Token `json:"tokens"` // by API domain
	Nonce    string           `json:"next_nonce"`
	NonceTTL int              `json:"nonce_ttl_s"`
	Config   string           `json:"config,omitempty"`  // an SDK configuration newer than the app's, see OpenConfig
	Rules    *Rules           `json:"rules,omitempty"`   // if newer than the app's
	Message  *MessageKey      `json:"msg_key,omitempty"` // if the account has message signing
	Request  string           `json:"rid"`
}

// MessageKey is what the app signs its messages to APIs with: HMAC-SHA256 under the key. That of an app which was not
// recognised looks like that of one which was, and is no key of anybody.
type MessageKey struct {
	ID  string `json:"id"` // claim mskid of the tokens that came with it
	Key string `json:"k"`  // base64, of MessageKeySize bytes
}

// Bytes is the key itself.
func (k MessageKey) Bytes() ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(k.Key)
	if err != nil || len(key) != MessageKeySize {
		return nil, fmt.Errorf("a message key must be base64 of %d bytes", MessageKeySize)
	}
	return key, nil
}

// String and the like do not show the key.
func (k MessageKey) String() string   { return "message key " + k.ID }
func (k MessageKey) GoString() string { return k.String() }

// Token is a token and how long it is to be used. The SDK never compares its own clock with exp.
type Token struct {
	Text string `json:"t"`
	TTL  int64  `json:"ttl_ms"`
}

// ConfigRequest asks whether there is a newer SDK configuration (manual, "Writing Dynamic SDK Configuration").
// The answer is a ConfigResponse, or 304 when there is none.
type ConfigRequest struct {
	Account   string `json:"account"`
	Version   int64  `json:"cfg_ver"`
	ConfigKey string `json:"cfg_key_fp"`
	DeviceID  string `json:"did,omitempty"`
}

// ConfigResponse brings an SDK configuration.
type ConfigResponse struct {
	Config string `json:"config"`
}

// Description is what the service says of itself at PathWellKnown.
type Description struct {
	Service  string   `json:"service"` // "approovgate attestation"
	Server   string   `json:"server_version"`
	Versions []int    `json:"versions"` // of the protocol
	Evidence []string `json:"evidence"` // types it verifies
	MaxBody  int      `json:"max_request_bytes"`
}

// ParseDeviceID reads a device ID: base64, in the standard alphabet with padding, of 16 bytes.
func ParseDeviceID(text string) (id [DeviceIDSize]byte, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != DeviceIDSize {
		return id, fmt.Errorf("%.40q is not a device ID: want base64 of 16 bytes, such as h4gubfCFzJu81j/U2BJsdg==", text)
	}
	return [DeviceIDSize]byte(raw), nil
}
