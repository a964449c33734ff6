// Package sdk is the client SDK for Go programs: it has an app attested and hands out the tokens that its API requests
// carry. It follows the manual's sections "SDK Initialization", "Fetching Approov Tokens" and "Token Binding".
//
// It owns the conversation with the attestation service, the cache of tokens, the pins, and the http.RoundTripper that
// puts tokens into requests. It does not store configurations: that is the app's (see FetchConfig). It does not know
// whether a token is valid: that of an app the service rejects looks like any other (manual, "Key Components").
//
// What software says of itself raises an attacker's cost and proves nothing: whoever controls the machine can read the
// library's key out of the program, and can have it report what they like. The digest, the flags and the library's key
// tell a genuine app from a repackaged one and from common tools. Config.Evidence is where hardware vouches.
//
// Start reading at Initialize, then Client.FetchToken and Client.Transport.
package sdk

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
)

// Config is what an app gives to Initialize.
type Config struct {
	// InitialConfig is the text written by approov sdk -getConfig. Required.
	InitialConfig string
	// DynamicConfig is what FetchConfig returned earlier, as the app stored it; empty if there is none. One that is
	// damaged or another account's is ignored, with a warning in the log.
	DynamicConfig string
	// Library is the file written by approov sdk -getLibrary; embed it. Required.
	Library []byte

	// Package and Version name the app. They must be those it was registered with; the default is what the Go tool
	// wrote into the program (see measure.Build), which is also the default of approov registration -add.
	Package, Version string
	// Digest is the SHA-256 of the app as it was registered. The zero value: the running executable is measured.
	// Required on Android and iOS.
	Digest [attestapi.DigestSize]byte

	// StateDir is where the seed of the device ID is kept, readable by this user only. Default:
	// approovgate/PACKAGE below os.UserConfigDir.
	StateDir string
	// Evidence asks hardware or platform to vouch for this app; binding must be what the evidence is about. It is
	// called in every attestation. An error is an attestation without evidence, which the service judges. Default: none.
	Evidence func(binding [32]byte) ([]attestapi.Evidence, error)

	// Log gets one line at initialisation, and a warning for what this file calls ignored or lost. Default: slog.Default.
	Log *slog.Logger
	// Online says whether there is a network at all: if not, a fetch returns NoNetwork at once. Default: whether an
	// interface other than loopback is up and has an address; where the system does not tell, as on Android, true.
	Online func() bool
	// Dial makes the connections to the service. Default: net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities that the service's certificate may come from. Default: the system's.
	Roots *x509.CertPool
}

// String and the like show nothing that matters. Format is for fmt, which does not ask for String with every verb.
func (c Config) String() string               { return "sdk.Config" }
func (c Config) GoString() string             { return c.String() }
func (c Config) LogValue() slog.Value         { return slog.StringValue(c.String()) }
func (c Config) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, c.String()) }
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// Client is the SDK at work. It may be used by any number of goroutines. All methods of a nil Client, and of one that
// is closed, say NotInitialized.
type Client struct {
	initial     attestapi.Config
	fingerprint string // of the key in initial
	library     attestapi.Library
	pkg         string
	version     string
	digest      [attestapi.DigestSize]byte
	deviceID    string
	evidence    func([32]byte) ([]attestapi.Evidence, error)
	online      func() bool
	dial        func(ctx context.Context, network, address string) (net.Conn, error)
	roots       *x509.CertPool
	log         *slog.Logger
	inspect     func(*attestapi.Rules) []string // looks at the environment, see inspect

	life    context.Context // ends with Close; it bounds what the Client does on its own
	end     context.CancelFunc
	started time.Time
	running sync.WaitGroup // attestations and updates under way; Close waits for them

	settings atomic.Pointer[settings] // changed under mu
	tokens   atomic.Pointer[tokens]   // nil: there are none; set under mu
	rules    atomic.Pointer[attestapi.Rules]
	message  atomic.Pointer[messageKey] // of the latest attestation; nil: there is none
	changed  atomic.Bool                // a configuration came that FetchConfig has not returned
	looked   atomic.Int64               // when the environment was looked at, in ns since started
	calls    counters

	mu        sync.Mutex // guards what follows
	closed    bool
	pay       string  // what tokens are bound to; empty: nothing
	attested  string  // the pay of the latest attestation that was begun
	flight    *flight // the latest attestation under way; nil: there is none
	nonce     nonce   // for the next attestation
	pause     pause   // after failures
	binds     bucket  // how often bound data may change
	repinning time.Time
}

// Initialize starts the SDK (manual, "Starting the SDK"). It reads and measures, and uses no network. An error is
// final: it says what the app or its build must put right. Whoever starts a Client closes it.
func Initialize(ctx context.Context, config Config) (*Client, error) {
	c := &Client{evidence: config.Evidence, online: config.Online, dial: config.Dial, roots: config.Roots, log: config.Log, inspect: inspect, started: time.Now()}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.dial == nil {
		c.dial = (&net.Dialer{Timeout: defaultAttempt}).DialContext
	}
	if c.online == nil {
		c.online = hasNetwork
	}
	if err := c.readConfigs(config); err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	if err := c.measure(ctx, config); err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	c.deviceID = c.device(config.StateDir)
	c.life, c.end = context.WithCancel(context.Background())
	// Manual, "Handling Multiple Accounts": account, package, version(library), device ID.
	c.log.InfoContext(ctx, fmt.Sprintf("%s, %s, %s, %s", c.initial.Account, c.pkg, c.library, c.deviceID))
	return c, nil
}

// readConfigs takes in the library and the configurations.
func (c *Client) readConfigs(config Config) (err error) {
	if config.InitialConfig == "" {
		return errors.New("config.InitialConfig is empty: get it with approov sdk -getConfig")
	}
	if c.initial, err = attestapi.OpenInitialConfig(config.InitialConfig); err != nil {
		return fmt.Errorf("config.InitialConfig: %w", err)
	}
	if c.fingerprint, err = c.initial.Key.Fingerprint(); err != nil {
		return fmt.Errorf("config.InitialConfig: %w", err)
	}
	if c.library, err = attestapi.ParseLibrary(config.Library); err != nil {
		return fmt.Errorf("config.Library: %w", err)
	}
	if c.library.Account != c.initial.Account {
		return fmt.Errorf("config.Library is of the account %q and config.InitialConfig of %q: get both from one", c.library.Account, c.initial.Account)
	}
	first, err := c.newSettings(c.initial, nil)
	if err != nil {
		return fmt.Errorf("config.InitialConfig: %w", err)
	}
	first.stored, first.floor = config.InitialConfig, c.initial.Version
	c.settings.Store(first)
	if config.DynamicConfig == "" {
		return nil
	}
	// Not fatal: the service sends another (manual, "Reading Dynamic SDK Configuration").
	switch stored, err := attestapi.OpenConfig(config.DynamicConfig, c.initial); {
	case err != nil:
		c.log.Warn("the stored SDK configuration is ignored: " + err.Error())
	case stored.Device != "":
		c.log.Warn("the stored SDK configuration is ignored: it was meant for one run of one device")
	default:
		c.accept(stored, config.DynamicConfig)
	}
	return nil
}

// measure finds out what app this is.
func (c *Client) measure(ctx context.Context, config Config) error {
	c.pkg, c.version, c.digest = config.Package, config.Version, config.Digest
	if c.digest == ([attestapi.DigestSize]byte{}) {
		app, err := measure.Self(ctx)
		if err != nil {
			return err
		}
		c.digest = app.Digest
		if c.pkg == "" {
			c.pkg = app.Build.Package
		}
		if c.version == "" {
			c.version = app.Build.Version
		}
	}
	if err := measure.CheckPackage(c.pkg); err != nil {
		return fmt.Errorf("config.Package: %w", err)
	}
	if err := measure.CheckVersion(c.version); err != nil {
		return fmt.Errorf("config.Version: %w", err)
	}
	return nil
}

// Close ends what is under way and waits for it. Fetches that wait return.
func (c *Client) Close() error {
	if c == nil || c.end == nil {
		return nil
	}
	c.mu.Lock()
	c.closed = true
	c.tokens.Store(nil)
	c.mu.Unlock()
	c.end()
	c.running.Wait()
	c.settings.Load().service.CloseIdleConnections()
	return nil
}

// usable reports whether c was made by Initialize. Whether it is closed shows under mu.
func (c *Client) usable() bool { return c != nil && c.life != nil }

// DeviceID is this app on this device, as the management tool takes it (manual, "Extracting the Device ID").
func (c *Client) DeviceID() string {
	if !c.usable() {
		return ""
	}
	return c.deviceID
}

// String and the like name the Client and show no secret.
func (c *Client) String() string {
	if !c.usable() {
		return "sdk.Client (not initialized)"
	}
	return fmt.Sprintf("sdk.Client %s, %s, %s, %s", c.initial.Account, c.pkg, c.library, c.deviceID)
}
func (c *Client) GoString() string           { return c.String() }
func (c *Client) LogValue() slog.Value       { return slog.StringValue(c.String()) }
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
