package sdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// pin is a pin of no certificate.
const pin = "JG29gD8vWiEanTCVPjYLQ5yiYMKQqR05OH38yFf0kBU="

func addDomain(name string) func(*attestapi.Config) {
	return func(c *attestapi.Config) { c.APIs[name] = attestapi.Domain{Protected: true, Pins: []string{pin}} }
}

func TestAConfigurationThatComesWithAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		initial := c.FetchConfig(t.Context())
		if got := w.service.paths(); got != "config" || must(attestapi.OpenInitialConfig(initial)).Version != 1 {
			t.Errorf("got version %d after %s, want the initial one after asking for another", must(attestapi.OpenInitialConfig(initial)).Version, got)
		}
		w.service.revise(addDomain("new.example.com"))
		r := c.FetchToken(t.Context(), "new.example.com")
		if r.Status != Success || !r.ConfigChanged {
			t.Errorf("got %v, changed %v, want a token for the new domain and the change shown", r, r.ConfigChanged)
		}
		if got := fmt.Sprint(c.Pins("public-key-sha256")["new.example.com"]); got != "["+pin+"]" {
			t.Errorf("got pins %s, want the new one at once", got)
		}
		for _, url := range []string{"api.example.com", "other.example.com", "http://x"} {
			if r := c.FetchToken(t.Context(), url); !r.ConfigChanged {
				t.Errorf("fetch for %s: got the change no longer shown, want it until FetchConfig", url)
			}
		}
		text := c.FetchConfig(t.Context())
		if got := must(attestapi.OpenConfig(text, w.service.config)).Version; got != 2 || c.FetchToken(t.Context(), "api.example.com").ConfigChanged {
			t.Errorf("got version %d, want 2 and the change no longer shown", got)
		}
		if got := w.service.paths(); got != "config challenge attest" {
			t.Errorf("got %s, want no request for what came with the token", got)
		}
		again := w.start(func(config *Config) { config.InitialConfig, config.DynamicConfig = initial, text })
		if len(again.Pins("public-key-sha256")["new.example.com"]) != 1 {
			t.Error("got the stored configuration not used, want its pins before any request")
		}
	})
}

func TestFetchConfig(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*world, *Config)
		want   int64 // version
		paths  string
	}{
		{"there is a newer one", func(w *world, _ *Config) { w.service.revise(addDomain("n.example.com")) }, 2, "config"},
		{"there is none newer", func(*world, *Config) {}, 1, "config"},
		{"there is no network", func(w *world, c *Config) {
			w.service.revise(addDomain("n.example.com"))
			c.Online = func() bool { return false }
		}, 1, ""},
		{"the service is down", func(w *world, _ *Config) { w.host.set(refuses) }, 1, ""},
		{"the service hangs", func(w *world, _ *Config) {
			w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { silent(w, r); return true }
		}, 1, "config config"},
		{"the failover has it", func(w *world, c *Config) {
			w.host.set(refuses)
			w.service.config.Network.Failover = []string{"https://failover.example"}
			c.InitialConfig = w.service.sign(w.service.config)
			w.service.revise(addDomain("n.example.com"))
			w.add("failover.example", w.service)
		}, 2, "config"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.start(func(config *Config) { row.change(w, config) })
				begun := time.Now()
				got := must(attestapi.OpenInitialConfig(c.FetchConfig(t.Context()))).Version
				if paths := w.service.paths(); got != row.want || paths != row.paths || time.Since(begun) > 30*time.Second {
					t.Errorf("got version %d after %q in %v, want %d after %q in 30s", got, paths, time.Since(begun), row.want, row.paths)
				}
				if c.changed.Load() {
					t.Error("got a change to fetch, want none after FetchConfig")
				}
			})
		})
	}
}

// Updates are as good as their signature, wherever they come from.
func TestConfigurationsThatAreNotTaken(t *testing.T) {
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, row := range []struct {
		name string
		next func(w *world, c *Client, config attestapi.Config) string
		take bool
	}{
		{"a newer one is taken", func(w *world, _ *Client, c attestapi.Config) string { c.Version = 8; return w.service.sign(c) }, true},
		{"an older one", func(w *world, _ *Client, c attestapi.Config) string { c.Version = 6; return w.service.sign(c) }, false},
		{"the same version again", func(w *world, _ *Client, c attestapi.Config) string { return w.service.sign(c) }, false},
		{"one signed by another", func(_ *world, _ *Client, c attestapi.Config) string { c.Version = 8; return signConfig(other, c) }, false},
		{"another's, with its key in it", func(_ *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Key = 8, must(attestapi.NewPublicKey(&other.PublicKey))
			return signConfig(other, c)
		}, false},
		{"another account's", func(w *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Account = 8, "other"
			return w.service.sign(c)
		}, false},
		{"one for this device", func(w *world, c *Client, config attestapi.Config) string {
			config.Device = c.DeviceID()
			return w.service.sign(config)
		}, true},
		{"one for this device of an old version", func(w *world, c *Client, config attestapi.Config) string {
			config.Device, config.Version = c.DeviceID(), 1
			return w.service.sign(config)
		}, true},
		{"one for another device", func(w *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Device = 8, "h4gubfCFzJu81j/U2BJsdg=="
			return w.service.sign(c)
		}, false},
		{"one that leads to plain http", func(w *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Network.Primary = 8, []string{"http://attest.example"}
			return w.service.sign(c)
		}, false},
		{"one that leads to plain http elsewhere, for tests", func(w *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Network.Primary, c.Network.TestOnly = 8, []string{"http://192.0.2.1"}, true
			return w.service.sign(c)
		}, false},
		{"one with no addresses", func(w *world, _ *Client, c attestapi.Config) string {
			c.Version, c.Network.Primary = 8, nil
			return w.service.sign(c)
		}, false},
		{"no configuration", func(*world, *Client, attestapi.Config) string { return "rubbish" }, false},
		{"a long text", func(*world, *Client, attestapi.Config) string { return strings.Repeat("A", 200<<10) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.service.config.Version = 7
				c := w.start(nil)
				next := w.service.config
				next.APIs = map[string]attestapi.Domain{"new.example.com": {Pins: []string{pin}}}
				w.service.next = row.next(w, c, next)
				r := c.FetchToken(t.Context(), "api.example.com")
				took := len(c.Pins("public-key-sha256")["new.example.com"]) > 0
				if r.Status != Success || took != row.take || r.ConfigChanged != row.take {
					t.Errorf("got %v, configuration taken %v, change shown %v, want a token, %v and the same", r, took, r.ConfigChanged, row.take)
				}
				c.tokens.Store(nil)
				c.changed.Store(false)
				if c.FetchConfig(t.Context()); len(c.Pins("public-key-sha256")["new.example.com"]) > 0 != row.take {
					t.Errorf("got it taken from the configuration's own path: %v, want %v", !row.take, row.take)
				}
			})
		})
	}
}

func TestAPinModeComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.service.config.APIs["api.example.com"] = attestapi.Domain{Protected: true, Pins: []string{pin}}
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		blocked := w.service.config
		blocked.Device, blocked.Version = c.DeviceID(), 1<<40+1
		blocked.APIs = map[string]attestapi.Domain{"api.example.com": {Protected: true, Pins: []string{attestapi.BlockedPin}}}
		w.service.set(func() { w.service.next = w.service.sign(blocked) })
		time.Sleep(5 * time.Minute)
		r := c.FetchToken(t.Context(), "api.example.com")
		if got := c.Pins("public-key-sha256")["api.example.com"][0]; got != attestapi.BlockedPin || !r.ConfigChanged {
			t.Errorf("got pin %s, changed %v, want the blocked pin and the change shown", got, r.ConfigChanged)
		}
		if stored := must(attestapi.OpenInitialConfig(c.FetchConfig(t.Context()))); stored.Device != "" || stored.Version != 1 {
			t.Errorf("got a configuration to store for device %q, want the account's", stored.Device)
		}
		time.Sleep(5 * time.Minute)
		if r := c.FetchToken(t.Context(), "api.example.com"); r.ConfigChanged {
			t.Error("got the change shown again for the same pin mode, want it once")
		}
		w.service.set(func() { w.service.next = w.service.sign(w.service.config) }) // version 1, as before
		time.Sleep(5 * time.Minute)
		r = c.FetchToken(t.Context(), "api.example.com")
		if got := c.Pins("public-key-sha256")["api.example.com"][0]; got != pin || !r.ConfigChanged {
			t.Errorf("got pin %s, changed %v, want the account's pin back and the change shown", got, r.ConfigChanged)
		}
	})
}

func TestBlockAllEndsInMITMDetected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		blocked := w.service.config
		blocked.Device, blocked.Version, blocked.Network.Pins = c.DeviceID(), 1<<40+1, []string{attestapi.BlockedPin}
		w.service.set(func() { w.service.next = w.service.sign(blocked) })
		time.Sleep(5 * time.Minute)
		if r := c.FetchToken(t.Context(), "api.example.com"); r.Status != Success {
			t.Errorf("got %v, want a token with the configuration that blocks", r)
		}
		time.Sleep(5 * time.Minute)
		expect(t, c, MITMDetected)
	})
}

func TestTheServicesAddressAndPinsCanBeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		moved := w.add("moved.example", http.StripPrefix("/base", w.service))
		w.service.revise(func(c *attestapi.Config) {
			c.Network.Primary, c.Network.Pins = []string{"https://moved.example/base/"}, []string{moved.pin}
		})
		fetch(t, c, "api.example.com")
		w.host.set(refuses)
		time.Sleep(5 * time.Minute)
		if n, _ := fetch(t, c, "api.example.com"); n != 2 {
			t.Errorf("got the token of attestation %d, want the second one from the new address", n)
		}
		w.add("moved.example", http.StripPrefix("/base", w.service)) // with a key of its own
		time.Sleep(5 * time.Minute)
		expect(t, c, MITMDetected)
	})
}

func TestInitialize(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*world, *Config)
		want   string // part of the error, empty: none
		logged string // part of the log
	}{
		{"everything in order", func(*world, *Config) {}, "", ""},
		{"no initial configuration", func(_ *world, c *Config) { c.InitialConfig = "" }, "approov sdk -getConfig", ""},
		{"a damaged initial configuration", func(_ *world, c *Config) { c.InitialConfig = c.InitialConfig[:200] }, "InitialConfig", ""},
		{"a changed initial configuration", func(w *world, c *Config) {
			other := w.service.config
			other.Key = must(attestapi.NewPublicKey(&must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).PublicKey))
			c.InitialConfig = w.service.sign(other)
		}, "cannot be trusted", ""},
		{"an initial configuration over plain http", func(w *world, c *Config) {
			w.service.config.Network.Primary = []string{"http://attest.example"}
			c.InitialConfig = w.service.sign(w.service.config)
		}, "is not https", ""},
		{"an initial configuration over plain http to this machine, for tests", func(w *world, c *Config) {
			w.service.config.Network.Primary, w.service.config.Network.TestOnly = []string{"http://127.0.0.1:1"}, true
			c.InitialConfig = w.service.sign(w.service.config)
		}, "", ""},
		{"no library", func(_ *world, c *Config) { c.Library = nil }, "approov sdk -getLibrary", ""},
		{"a library of another account", func(_ *world, c *Config) {
			c.Library = attestapi.NewLibrary("1", "other", "Go", "1.0.0", [16]byte{}).Encode()
		}, `account "other"`, ""},
		{"a package that is none", func(_ *world, c *Config) { c.Package = "../x" }, "Package", ""},
		{"no package, and no program to tell it", func(_ *world, c *Config) { c.Package = "" }, "Package", ""},
		{"a version that is none", func(_ *world, c *Config) { c.Version = "1 0" }, "Version", ""},
		{"no digest: the test is measured", func(_ *world, c *Config) { c.Digest, c.Package, c.Version = [32]byte{}, "", "" }, "", "test-account, github.com/approovgate/approovgate/sdk.test, 1.0.0(1041)"},
		{"a damaged stored configuration is not fatal", func(_ *world, c *Config) { c.DynamicConfig = "rubbish" }, "", "the stored SDK configuration is ignored"},
		{"an empty line for a stored configuration is not fatal", func(_ *world, c *Config) { c.DynamicConfig = "\n" }, "", "the stored SDK configuration is ignored"},
		{"another's stored configuration is not fatal", func(_ *world, c *Config) {
			s := newService()
			c.DynamicConfig = s.sign(s.config)
		}, "", "the stored SDK configuration is ignored"},
		{"a stored configuration for one device is not used", func(w *world, c *Config) {
			other := w.service.config
			other.Device, other.Version = "h4gubfCFzJu81j/U2BJsdg==", 9
			c.DynamicConfig = w.service.sign(other)
		}, "", "the stored SDK configuration is ignored"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				config := w.config()
				row.change(w, &config)
				c, err := Initialize(t.Context(), config)
				if row.want != "" {
					if err == nil || c != nil || !strings.Contains(err.Error(), row.want) {
						t.Errorf("got %v, want an error with %q", err, row.want)
					}
					return
				}
				if err != nil || !strings.Contains(w.logged.String(), row.logged) {
					t.Errorf("got %v and the log %q, want no error and %q", err, w.logged, row.logged)
				}
				_ = c.Close()
			})
		})
	}
}

func TestTheLogHasOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		c.FetchConfig(t.Context())
		w.host.set(refuses)
		time.Sleep(10 * time.Minute)
		expect(t, c, NoApproovService)
		if got, want := w.logged.String(), `level=INFO msg="test-account, com.example.shop, 1.0.0(1041), `+c.DeviceID()+"\"\n"; got != want {
			t.Errorf("got log %q, want %q and silence", got, want)
		}
	})
}

func TestANilClient(t *testing.T) {
	for name, c := range map[string]*Client{"nil": nil, "not initialized": {}} {
		t.Run(name, func(t *testing.T) {
			done := make(chan Result)
			c.FetchTokenAsync("api.example.com", func(r Result) { done <- r })
			for _, r := range []Result{c.FetchToken(t.Context(), "api.example.com"), <-done} {
				if r.Status != NotInitialized || r.LoggableToken != `{"error":"NOT_INITIALIZED"}` {
					t.Errorf("got %v, want NOT_INITIALIZED", r)
				}
			}
			c.SetDataHashInToken("x")
			if c.FetchConfig(t.Context()) != "" || c.DeviceID() != "" || c.Pins("public-key-sha256") != nil || c.Close() != nil {
				t.Error("got something, want nothing")
			}
			if _, err := (&http.Client{Transport: c.Transport(nil)}).Get("https://api.example.com"); err == nil || !strings.Contains(err.Error(), "NOT_INITIALIZED") {
				t.Errorf("got %v, want NOT_INITIALIZED", err)
			}
		})
	}
}
