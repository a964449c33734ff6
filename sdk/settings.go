package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// settings are the configuration in force. They are never changed, another takes their place.
type settings struct {
	config  attestapi.Config
	stored  string // the text for the app to store: of the newest configuration that is not for one device alone
	floor   int64  // the version of that one; none below it is taken
	bases   []string
	primary int // so many of bases; the others are the failover's
	attempt time.Duration
	total   time.Duration
	retries int
	local   bool         // a service on this machine is reached without a network
	service *http.Client // pinned to config.Network.Pins
}

// The bounds of what a configuration may ask for. The manual's worst case of a fetch is 30 s ("Synchronous Token
// Fetching").
const (
	defaultAttempt = 10 * time.Second
	longestTotal   = 30 * time.Second
	mostRetries    = 5
	mostBases      = 16
)

// newSettings puts a configuration in force. It takes over the connections of those before it, nil for the first, if
// the service's pins are the same.
func (c *Client) newSettings(config attestapi.Config, before *settings) (*settings, error) {
	s := &settings{
		config:  config,
		attempt: milliseconds(config.Network.Attempt, defaultAttempt),
		total:   milliseconds(config.Network.Total, longestTotal),
		retries: min(max(config.Network.Retries, 0), mostRetries),
	}
	for _, base := range slices.Concat(config.Network.Primary, config.Network.Failover) {
		local, err := checkBase(base, config.Network.TestOnly)
		if err != nil {
			return nil, err
		}
		s.local = s.local || local
		s.bases = append(s.bases, strings.TrimRight(base, "/"))
	}
	if s.primary = len(config.Network.Primary); len(s.bases) > mostBases {
		return nil, fmt.Errorf("it has more than %d addresses of the service", mostBases)
	}
	if before != nil && slices.Equal(before.config.Network.Pins, config.Network.Pins) {
		s.service = before.service
	} else {
		s.service = c.newService(config.Network.Pins)
	}
	return s, nil
}

func milliseconds(n int64, otherwise time.Duration) time.Duration {
	if n <= 0 {
		return otherwise
	}
	return time.Duration(min(n, longestTotal.Milliseconds())) * time.Millisecond
}

// checkBase checks an address of the service, and reports whether it is on this machine.
func checkBase(base string, testOnly bool) (local bool, err error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false, errors.New("an address of the service is no URL")
	}
	ip := net.ParseIP(u.Hostname())
	local = ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !testOnly || !local) {
		return false, fmt.Errorf("the address of the service %.80q is not https", base)
	}
	return local, nil
}

// newService makes the HTTP client of the service. It follows no redirects, and keeps its connections to itself.
func (c *Client) newService(pins []string) *http.Client {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots}
	if len(pins) > 0 {
		conf.VerifyConnection = func(state tls.ConnectionState) error { return checkPins("the attestation service", pins, state) }
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            c.dial,
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    defaultAttempt, // a handshake outlives the request that began it
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			DisableCompression:     true, // a MAC is about the bytes as they are, and a bound should be too
			MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// accept puts a configuration in force if it may be, and reports whether it did. Its signature has been verified.
func (c *Client) accept(config attestapi.Config, text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.settings.Load()
	switch {
	case config.Device != "": // for one device, of any version; see manual, "Setting Pinning Mode"
		if config.Device != c.deviceID || sameConfig(config, before.config) {
			return false
		}
	case config.Version < before.floor: // an attacker may play an old one, with pins that were given up
		return false
	case config.Version == before.floor && before.config.Device == "":
		return false
	}
	after, err := c.newSettings(config, before)
	if err != nil {
		return false
	}
	after.stored, after.floor = text, config.Version
	if config.Device != "" {
		after.stored, after.floor = before.stored, before.floor
	}
	c.settings.Store(after)
	if after.service != before.service {
		before.service.CloseIdleConnections()
	}
	return true
}

// sameConfig reports whether two configurations are the same issue of one.
func sameConfig(a, b attestapi.Config) bool {
	return a.Device == b.Device && a.Version == b.Version && a.Issued == b.Issued
}

// update verifies a configuration that the service has sent and puts it in force.
func (c *Client) update(text string) bool {
	config, err := attestapi.OpenConfig(text, c.initial)
	return err == nil && c.accept(config, text)
}

// FetchConfig returns the configuration for the app to store and to pass to Initialize as DynamicConfig when it is
// started again (manual, "Writing Dynamic SDK Configuration"). It asks the service for a newer one, unless one has
// come with a token just now, or there is no network; it takes 30 s at the very most, and less if ctx ends. It is no
// attestation and is not counted as one. With no newer one it returns the one in force, at first the initial one.
func (c *Client) FetchConfig(ctx context.Context) string {
	if !c.usable() {
		return ""
	}
	c.calls.add(callsFetchConfig)
	if !c.changed.Swap(false) {
		_ = c.refresh(ctx) // what is in force stays
	}
	return c.settings.Load().stored
}

// refresh asks the service for a newer configuration.
func (c *Client) refresh(ctx context.Context) *failure {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return failed(NotInitialized, errClosed)
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	s := c.settings.Load()
	ctx, cancel := context.WithTimeoutCause(ctx, s.total, errTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	return c.ask(ctx, s, func(ctx context.Context, base string) *fault {
		request := attestapi.ConfigRequest{Account: c.initial.Account, Version: s.config.Version, ConfigKey: c.fingerprint, DeviceID: c.deviceID}
		var response attestapi.ConfigResponse
		if f := post(ctx, s, base+attestapi.PathConfig, request, &response); f != nil {
			return f
		}
		if response.Config != "" { // empty: there is none newer
			c.update(response.Config)
		}
		return nil
	})
}

// Pins are the pins of the API domains, by domain (manual, "Setting Pins"). The only kind is public-key-sha256: base64
// of the SHA-256 of a subject public key info; a connection is good if any certificate of its chain has one of them.
// An empty list accepts any certificate. They are there from the beginning, and the Transport applies them itself.
func (c *Client) Pins(kind string) map[string][]string {
	if !c.usable() || kind != "public-key-sha256" {
		return nil
	}
	c.calls.add(callsGetPins)
	pins := map[string][]string{}
	for domain, api := range c.settings.Load().config.APIs {
		pins[domain] = append([]string{}, api.Pins...)
	}
	return pins
}
