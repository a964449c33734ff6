package issue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/mint"
)

// How apps are told to reach the service. The manual's worst case for a fetch is 30 s ("Synchronous Token Fetching").
const (
	attempt = 6 * time.Second
	total   = 30 * time.Second
	retries = 1
)

// deviceVersions is what the version of a configuration for one device lies above the account's. So it is never that
// of an ordinary one: an app that has it says so, and gets the ordinary one back as soon as the pin mode is gone.
const deviceVersions = 1 << 40

// Config is the account's SDK configuration as apps are given it (manual, "How SDK Configuration Works").
func Config(a *account.Account, at time.Time) (text string, err error) {
	c, err := sdkConfig(a, at)
	if err != nil {
		return "", err
	}
	return signConfig(a, c)
}

// DeviceConfig is the configuration for a device that has a pin mode of its own (manual, "Setting Pinning Mode"), and
// the account's for any other.
func DeviceConfig(a *account.Account, d account.Device, at time.Time) (text string, err error) {
	c, err := sdkConfig(a, at)
	if err != nil {
		return "", err
	}
	switch d.PinMode {
	case "", account.PinNormal:
		return signConfig(a, c)
	case account.PinOff, account.PinBlock:
	case account.PinBlockAll:
		c.Network.Pins = []string{attestapi.BlockedPin}
	default:
		return "", fmt.Errorf("device %s has the unknown pin mode %q", d.ID, d.PinMode)
	}
	c.Device = d.ID
	c.Version += deviceVersions
	for name, api := range c.APIs {
		switch {
		case d.PinMode == account.PinOff:
			api.Pins = nil
		case len(api.Pins) > 0: // a domain without pins stays without
			api.Pins = []string{attestapi.BlockedPin}
		}
		c.APIs[name] = api
	}
	return signConfig(a, c)
}

// sdkConfig is what the account's configuration says.
func sdkConfig(a *account.Account, at time.Time) (attestapi.Config, error) {
	key, err := onCurve(a, account.ConfigKey)
	if err != nil {
		return attestapi.Config{}, err
	}
	public, err := attestapi.NewPublicKey(&key.PublicKey)
	if err != nil {
		return attestapi.Config{}, err
	}
	urls := slices.Concat(a.Network.Primary, a.Network.Failover)
	c := attestapi.Config{
		Account: a.Name,
		Key:     public,
		Version: a.ConfigVersion,
		Issued:  at.Unix(),
		Network: attestapi.Network{
			Primary:  a.Network.Primary,
			Failover: a.Network.Failover,
			Attempt:  attempt.Milliseconds(),
			Total:    total.Milliseconds(),
			Retries:  retries,
			Pins:     a.Network.Pins,
			TestOnly: slices.ContainsFunc(urls, func(url string) bool { return strings.HasPrefix(url, "http://") }),
		},
		APIs: make(map[string]attestapi.Domain, len(a.Domains)),
	}
	for _, d := range a.Domains {
		c.APIs[d.Name] = attestapi.Domain{Pins: d.Pins, Protected: d.Format != account.None, JWE: d.Format == account.JWE}
	}
	return c, nil
}

// KeyFingerprint is what apps send of the account's public key (manual, "How SDK Configuration Works": a changed key
// shows).
func KeyFingerprint(a *account.Account) (string, error) {
	key, err := onCurve(a, account.ConfigKey)
	if err != nil {
		return "", err
	}
	public, err := attestapi.NewPublicKey(&key.PublicKey)
	if err != nil {
		return "", err
	}
	return public.Fingerprint()
}

func signConfig(a *account.Account, c attestapi.Config) (string, error) {
	key, err := onCurve(a, account.ConfigKey)
	if err != nil {
		return "", err
	}
	header, err := mint.Canonical(map[string]any{"alg": "ES256", "typ": attestapi.ConfigType})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("SDK configuration: %w", err)
	}
	compact, err := minter.SignRaw("ES256", key, header, string(payload))
	if err != nil {
		return "", fmt.Errorf("SDK configuration: %w", err)
	}
	text := attestapi.EncodeConfig(compact)
	if len(text) > attestapi.MaxConfig {
		return "", fmt.Errorf("the SDK configuration has %d bytes and apps read at most %d: remove pins", len(text), attestapi.MaxConfig)
	}
	return text, nil
}
