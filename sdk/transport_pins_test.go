package sdk

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

func TestTransportPins(t *testing.T) {
	certificate := pinOf(testAuthority().certificate)
	for _, row := range []struct {
		name   string
		domain string
		pins   func(leaf string) []string
		base   func(*world) http.RoundTripper
		want   string // part of the error; empty: the request is made
	}{
		{"no pins accept any certificate", "api.example.com", func(string) []string { return nil }, nil, ""},
		{"the pin of the certificate", "api.example.com", func(leaf string) []string { return []string{leaf} }, nil, ""},
		{"the pin of the authority", "api.example.com", func(string) []string { return []string{certificate} }, nil, ""},
		{"a backup pin beside it", "api.example.com", func(leaf string) []string { return []string{pin, leaf} }, nil, ""},
		{"another pin", "api.example.com", func(string) []string { return []string{pin} }, nil, "no certificate of api.example.com"},
		{"the blocked pin", "api.example.com", func(string) []string { return []string{attestapi.BlockedPin} }, nil, "no certificate of api.example.com"},
		{"a domain that needs no token is pinned too", "open.example.com", func(string) []string { return []string{pin} }, nil, "no certificate of open.example.com"},
		{"the final dot does not lead past the pins", "api.example.com.", func(string) []string { return []string{pin} }, nil, "no certificate of api.example.com"},
		{"another name in TLS does not lead past the pins", "api.example.com", func(string) []string { return []string{pin} }, func(w *world) http.RoundTripper {
			base := w.base()
			base.TLSClientConfig.ServerName = "api.example.com"
			return base
		}, "no certificate of api.example.com"},
		{"certificates that are not verified have no pins", "api.example.com", func(leaf string) []string { return []string{leaf} }, func(w *world) http.RoundTripper {
			base := w.base()
			base.TLSClientConfig.InsecureSkipVerify = true
			return base
		}, "no certificate of api.example.com"},
		{"the base's own check is kept", "api.example.com", func(leaf string) []string { return []string{leaf} }, func(w *world) http.RoundTripper {
			base := w.base()
			base.TLSClientConfig.VerifyConnection = func(tls.ConnectionState) error { return errTest }
			return base
		}, errTest.Error()},
		{"a base that cannot be pinned", "api.example.com", func(leaf string) []string { return []string{leaf} }, func(w *world) http.RoundTripper {
			return wrapped{w.base()}
		}, "must be pinned"},
		{"a base that cannot be pinned, where there are no pins", "api.example.com", func(string) []string { return nil }, func(w *world) http.RoundTripper {
			return wrapped{w.base()}
		}, ""},
		{"a base that does TLS elsewhere", "api.example.com", func(leaf string) []string { return []string{leaf} }, func(w *world) http.RoundTripper {
			base := w.base()
			base.DialTLSContext = base.DialContext
			return base
		}, "must be pinned"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a := newWorld(t), &api{}
				h := w.addAPI(strings.TrimSuffix(row.domain, "."), a)
				w.hosts["api.example.com."] = h
				name := strings.TrimSuffix(row.domain, ".")
				w.service.config.APIs[name] = attestapi.Domain{Protected: strings.HasPrefix(name, "api"), Pins: row.pins(h.pin)}
				var base http.RoundTripper = w.base()
				if row.base != nil {
					base = row.base(w)
				}
				transport := w.start(nil).Transport(base)
				defer transport.CloseIdleConnections()
				body := &body{Reader: strings.NewReader("a body")}
				response, err := transport.RoundTrip(must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+row.domain, body)))
				if err == nil {
					_ = response.Body.Close()
				}
				synctest.Wait()
				if got := fmt.Sprint(err); (err == nil) != (row.want == "") || !strings.Contains(got, row.want) {
					t.Errorf("got %v, want %q", err, row.want)
				}
				if reached := len(a.requests) > 0; reached != (row.want == "") {
					t.Errorf("got the request at the API: %v", reached)
				}
				if !body.closed {
					t.Error("got the body left open")
				}
				if err == nil && a.protos[0] != "HTTP/2.0" {
					t.Errorf("got %s, want HTTP/2.0 as without us", a.protos[0])
				}
			})
		})
	}
}

// wrapped is a base of a kind we do not know.
type wrapped struct{ http.RoundTripper }

func TestNewPinsAreAppliedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t), &api{}
		h := w.addAPI("api.example.com", a)
		w.service.config.APIs["api.example.com"] = attestapi.Domain{Protected: true, Pins: []string{h.pin}}
		c := w.start(nil)
		client := w.client(c, nil)
		get := func() error {
			response, err := client.Get("https://api.example.com/")
			if err == nil {
				_ = response.Body.Close()
			}
			return err
		}
		for range 3 {
			if err := get(); err != nil {
				t.Fatal(err)
			}
		}
		if h.dials != 1 {
			t.Errorf("got %d connections, want one for all requests", h.dials)
		}
		w.service.revise(func(c *attestapi.Config) {
			c.APIs["api.example.com"] = attestapi.Domain{Protected: true, Pins: []string{pin}}
		})
		c.tokens.Store(nil)
		c.FetchToken(t.Context(), "api.example.com") // brings the new pins
		var e *PinError
		if err := get(); !errors.As(err, &e) || h.dials != 2 {
			t.Errorf("got %v after %d connections, want the open one not used and a new one refused", err, h.dials)
		}
		synctest.Wait()
		// A pin that fails has the service asked for newer ones (manual, "Reacting to Configuration Changes").
		w.service.revise(func(c *attestapi.Config) {
			c.APIs["api.example.com"] = attestapi.Domain{Protected: true, Pins: []string{h.pin}}
		})
		for _, wait := range []time.Duration{0, repinEvery} { // at first it is too early to ask again
			time.Sleep(wait)
			if err := get(); !errors.As(err, &e) {
				t.Errorf("got %v, want the pin refused once more", err)
			}
			synctest.Wait()
		}
		if err := get(); err != nil {
			t.Errorf("got %v, want the newest pins in force", err)
		}
		if !c.changed.Load() {
			t.Error("got the change not shown, want it for FetchConfig")
		}
		if got := strings.Count(w.service.paths(), "config"); got != 2 {
			t.Errorf("got %d requests for the configuration, want 2", got)
		}
	})
}
