package attestapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/approovgate/approovgate/jose"
)

// ConfigType is the typ of an SDK configuration, a compact JWS under ES256.
const ConfigType = "attest-config+jwt"

// MaxConfig bounds the text of an SDK configuration, in bytes.
const MaxConfig = 128 << 10

// Config is what an SDK configuration says (manual, "How SDK Configuration Works").
type Config struct {
	Account string            `json:"account"`
	Key     PublicKey         `json:"key"` // of the account; verifies this configuration and its updates
	Version int64             `json:"ver"` // an SDK never goes back to a lower one, except as Device says
	Issued  int64             `json:"iat"` // Unix seconds
	Network Network           `json:"net"`
	APIs    map[string]Domain `json:"apis"`
	Device  string            `json:"did,omitempty"` // for this device only: pin modes (manual, "Setting Pinning Mode"). Never stored, never an initial one
}

// Network is how the service is reached. Times are in milliseconds.
type Network struct {
	Primary  []string `json:"primary"`             // base URLs, tried in order
	Failover []string `json:"failover,omitempty"`  // after the primary ones
	Attempt  int64    `json:"attempt_ms"`          // one request may take
	Total    int64    `json:"total_ms"`            // all of one fetch may take; 30,000 at the most
	Retries  int      `json:"retries"`             // more attempts at each URL
	Pins     []string `json:"pins,omitempty"`      // of the service's own TLS, see Domain.Pins; none: any certificate the system trusts
	TestOnly bool     `json:"test_only,omitempty"` // http:// URLs to loopback addresses are allowed
}

// Domain is what an app knows of an API domain.
type Domain struct {
	Pins      []string `json:"pins,omitempty"` // base64 of SHA-256 of a subject public key info; one certificate of the chain must match; none: no pinning
	Protected bool     `json:"protected"`      // tokens are issued for it
	JWE       bool     `json:"jwe,omitempty"`  // its tokens are encrypted, so there is no loggable form
}

// BlockedPin is the pin that no certificate has (manual, "Testing the Pinning Implementation").
const BlockedPin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// PublicKey is a public key on P-256 as a JWK (RFC 7517, RFC 7518 §6.2.1).
type PublicKey struct {
	Type  string `json:"kty"` // EC
	Curve string `json:"crv"` // P-256
	X     string `json:"x"`
	Y     string `json:"y"`
}

// NewPublicKey writes a key on P-256.
func NewPublicKey(key *ecdsa.PublicKey) (PublicKey, error) {
	if key.Curve != elliptic.P256() {
		return PublicKey{}, errors.New("the account's key is not on P-256")
	}
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return PublicKey{}, fmt.Errorf("the account's key: %w", err)
	}
	half := (len(point) - 1) / 2
	encode := base64.RawURLEncoding.EncodeToString
	return PublicKey{Type: "EC", Curve: "P-256", X: encode(point[1 : 1+half]), Y: encode(point[1+half:])}, nil
}

// SPKI is the key in its PKIX form.
func (k PublicKey) SPKI() ([]byte, error) {
	const half = 32
	x, errX := base64.RawURLEncoding.Strict().DecodeString(k.X)
	y, errY := base64.RawURLEncoding.Strict().DecodeString(k.Y)
	if k.Type != "EC" || k.Curve != "P-256" || errX != nil || errY != nil || len(x) != half || len(y) != half {
		return nil, errors.New("the account's public key is not an EC key on P-256")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("the account's public key is not a point on P-256")
	}
	return x509.MarshalPKIXPublicKey(key)
}

// Fingerprint names the key in requests: see KeyFingerprint.
func (k PublicKey) Fingerprint() (string, error) {
	spki, err := k.SPKI()
	if err != nil {
		return "", err
	}
	return KeyFingerprint(spki), nil
}

// EncodeConfig is the text of a configuration whose compact JWS is given: its base64, as the manual has it.
func EncodeConfig(compact string) string { return base64.StdEncoding.EncodeToString([]byte(compact)) }

// OpenInitialConfig reads an app's initial configuration. It is verified with the key it carries itself, which shows
// that it is whole, not whose it is: a changed key shows in what the SDK sends (see AttestRequest.ConfigKey).
func OpenInitialConfig(text string) (Config, error) {
	compact, err := decodeConfig(text)
	if err != nil {
		return Config{}, err
	}
	segments := strings.Split(compact, ".")
	if len(segments) != 3 {
		return Config{}, errors.New("the SDK configuration is not a signed document")
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return Config{}, errors.New("the SDK configuration is not a signed document")
	}
	claimed, err := readConfig(string(payload))
	if err != nil {
		return Config{}, err
	}
	c, err := openConfig(compact, claimed.Key)
	if err == nil && c.Device != "" {
		return Config{}, errors.New("the SDK configuration is for one device and cannot be an initial one")
	}
	return c, err
}

// OpenConfig reads an update of a configuration and verifies it with the account's key in initial.
func OpenConfig(text string, initial Config) (Config, error) {
	compact, err := decodeConfig(text)
	if err != nil {
		return Config{}, err
	}
	c, err := openConfig(compact, initial.Key)
	switch {
	case err != nil:
		return Config{}, err
	case c.Account != initial.Account || c.Key != initial.Key:
		return Config{}, errors.New("the SDK configuration is another account's")
	}
	return c, nil
}

func decodeConfig(text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > MaxConfig {
		return "", fmt.Errorf("the SDK configuration is longer than %d bytes", MaxConfig)
	}
	compact, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errors.New("the SDK configuration is not base64; get it anew with approov sdk -getConfig")
	}
	return string(compact), nil
}

func openConfig(compact string, key PublicKey) (Config, error) {
	spki, err := key.SPKI()
	if err != nil {
		return Config{}, err
	}
	verifier, err := jose.NewPublic("account", "ES256", "", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	if err != nil {
		return Config{}, err
	}
	ring, err := jose.NewRing([]jose.Key{verifier})
	if err != nil {
		return Config{}, err
	}
	payload, _, fault := ring.Open(compact, 0, jose.Accept{JWS: true, Typ: ConfigType})
	if fault != "" {
		return Config{}, fmt.Errorf("the SDK configuration cannot be trusted: %s", fault)
	}
	return readConfig(payload)
}

// readConfig decodes the claims. Members it does not know are for later versions of the SDK.
func readConfig(payload string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(payload), &c); err != nil {
		return Config{}, fmt.Errorf("the SDK configuration: %w", err)
	}
	if c.Account == "" || c.Version < 1 || len(c.Network.Primary) == 0 {
		return Config{}, errors.New("the SDK configuration lacks the account's name, its version or the service's address")
	}
	return c, nil
}
