package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// answers are ways of the service to answer, whatever it is asked.
type answers func(w http.ResponseWriter, r *http.Request)

func status(code int, header ...string) answers {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func says(text string) answers {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
func breaks(http.ResponseWriter, *http.Request)     { panic(http.ErrAbortHandler) }
func huge(w http.ResponseWriter, _ *http.Request) {
	for range 2 * attestapi.MaxResponse / 1024 {
		if _, err := w.Write(make([]byte, 1024)); err != nil {
			return
		}
	}
}
func trickles(w http.ResponseWriter, r *http.Request) {
	for sleep(r.Context(), time.Second) {
		_, _ = io.WriteString(w, " ")
		_ = http.NewResponseController(w).Flush()
	}
}

// The statuses of a fetch when the service answers in these ways, with no failover and with one that does too.
func TestAServiceThatFails(t *testing.T) {
	for _, row := range []struct {
		name     string
		answer   answers
		want     Status
		failover Status // with a failover that answers the same
	}{
		{"an account that is not known", func(w http.ResponseWriter, _ *http.Request) { problem(w, 403, attestapi.CodeAccountUnknown) }, NoApproovService, NoApproovService},
		{"an internal error", status(500), NoApproovService, NoApproovService},
		{"a bad gateway", status(502), NoApproovService, NoApproovService},
		{"out of service", status(503), NoApproovService, NoApproovService},
		{"out of service for a while", status(503, "Retry-After", "2"), PoorNetwork, PoorNetwork},
		{"too many requests", status(429, "Retry-After", "2"), PoorNetwork, PoorNetwork},
		{"too many requests, without a time", status(429), PoorNetwork, PoorNetwork},
		{"another site", status(404), NoApproovService, NoApproovService},
		{"forbidden by something else", status(403), NoApproovService, NoApproovService},
		{"a redirect is not followed", status(307, "Location", "https://elsewhere.example/"), NoApproovService, NoApproovService},
		{"a request that is not understood", func(w http.ResponseWriter, _ *http.Request) { problem(w, 400, attestapi.CodeMalformed) }, InternalError, InternalError},
		{"a bad request that is not ours", status(400), NoApproovService, NoApproovService},
		{"no JSON", says("<html>"), NoApproovService, NoApproovService},
		{"JSON of another kind", says("[1]"), NoApproovService, NoApproovService},
		{"a challenge without a nonce", says("{}"), NoApproovService, NoApproovService},
		{"a nonce with a line break", says(`{"nonce":"a\nb","nonce_ttl_s":60}`), NoApproovService, NoApproovService},
		{"an endless answer", huge, NoApproovService, NoApproovService},
		{"no answer", silent, PoorNetwork, PoorNetwork},
		{"an answer a byte at a time", trickles, PoorNetwork, PoorNetwork},
		{"a connection that breaks", breaks, PoorNetwork, PoorNetwork},
	} {
		for _, failover := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, failover %v", row.name, failover), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					want := row.want
					if failover {
						want = row.failover
						w.service.config.Network.Failover = []string{"https://failover.example"}
						w.add("failover.example", http.HandlerFunc(row.answer))
					}
					w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { row.answer(w, r); return true }
					expect(t, w.start(nil), want)
				})
			})
		}
	}
}

// expect fetches a token that is not there.
func expect(t *testing.T, c *Client, want Status) Result {
	t.Helper()
	begun := time.Now()
	r := c.FetchToken(t.Context(), "api.example.com")
	if r.Status != want || r.Token != "" || r.Err == nil {
		t.Errorf("got %v (%v) with token %q, want %v and why", r.Status, r.Err, r.Token, want)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v, want 30s at most", took)
	}
	if want := `{"error":"` + want.String() + `"}`; r.LoggableToken != want {
		t.Errorf("got loggable token %s, want %s", r.LoggableToken, want)
	}
	return r
}

func TestANetworkThatFails(t *testing.T) {
	type dial = func(context.Context) (net.Conn, error)
	for _, row := range []struct {
		name              string
		primary, failover dial // nil failover: there is none
		want              Status
	}{
		{"the service refuses connections", refuses, nil, NoApproovService},
		{"the service and its failover refuse connections", refuses, refuses, NoApproovService},
		{"the service refuses, the failover cannot be reached", refuses, hangs, PoorNetwork},
		{"the service cannot be reached, the failover refuses", hangs, refuses, PoorNetwork},
		{"neither can be reached", hangs, hangs, PoorNetwork},
		{"connections break before TLS", resets, nil, PoorNetwork},
		{"there is no route", noRouteTo, nil, NoNetwork},
		{"there is no route to either", noRouteTo, noRouteTo, NoNetwork},
		{"there is no route to the service, and no way to the failover", noRouteTo, hangs, PoorNetwork},
		{"a portal answers in plain text", speaksPlain, nil, MITMDetected},
		{"a portal answers for the service, the failover is down", speaksPlain, refuses, MITMDetected},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.host.set(row.primary)
				if row.failover != nil {
					w.service.config.Network.Failover = []string{"https://failover.example"}
					w.add("failover.example", http.NotFoundHandler()).set(row.failover)
				}
				expect(t, w.start(nil), row.want)
			})
		})
	}
	t.Run("a name that is not found", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.service.config.Network.Primary = []string{"https://nowhere.example"}
			expect(t, w.start(nil), PoorNetwork)
		})
	})
	t.Run("no interface is up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var online bool
			c := w.start(func(config *Config) { config.Online = func() bool { return online } })
			begun := time.Now()
			if expect(t, c, NoNetwork); time.Since(begun) != 0 || w.host.dials != 0 {
				t.Errorf("took %v and %d connections, want an answer at once", time.Since(begun), w.host.dials)
			}
			online = true
			fetch(t, c, "api.example.com") // at once: nobody was asked in vain
		})
	})
}

func TestTheFailoverIsAskedWhenThePrimaryFails(t *testing.T) {
	for _, row := range []struct {
		name string
		dial func(context.Context) (net.Conn, error)
		hook answers
	}{
		{"it refuses connections", refuses, nil},
		{"it cannot be reached", hangs, nil},
		{"it has no route", noRouteTo, nil},
		{"someone is in between", speaksPlain, nil},
		{"it has errors all the time", nil, status(500)},
		{"it is overloaded", nil, status(503, "Retry-After", "9")},
		{"it does not answer", nil, silent},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.service.config.Network.Primary = []string{"https://primary.example", "https://second.example"}
				w.service.config.Network.Failover = []string{"https://attest.example"}
				for _, name := range []string{"primary.example", "second.example"} {
					w.add(name, http.HandlerFunc(row.hook)).set(row.dial)
				}
				begun := time.Now()
				if fetch(t, w.start(nil), "api.example.com"); time.Since(begun) > 25*time.Second {
					t.Errorf("took %v, want the failover to have its share of the 30s", time.Since(begun))
				}
			})
		})
	}
}

func TestTheTotalOfTheConfigurationIsKept(t *testing.T) {
	for _, row := range []struct {
		name           string
		attempt, total int64
		want           time.Duration
	}{
		{"2 seconds", 6000, 2000, 2 * time.Second},
		{"30 seconds", 60000, 30000, 30 * time.Second},
		{"more than 30 seconds is 30", 600000, 600000, 30 * time.Second},
		{"no total is 30", 600000, 0, 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.service.config.Network.Attempt, w.service.config.Network.Total, w.service.config.Network.Retries = row.attempt, row.total, 99
				w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { silent(w, r); return true }
				c := w.start(nil)
				begun := time.Now()
				if r := expect(t, c, PoorNetwork); time.Since(begun) != row.want || !(&StatusError{Status: r.Status, Cause: r.Err}).Timeout() {
					t.Errorf("took %v for %v, want %v and a timeout", time.Since(begun), r, row.want)
				}
			})
		})
	}
}

// Whoever can be between app and service, with a certificate that the system trusts, must not get further.
func TestSomeoneInBetween(t *testing.T) {
	wrongMAC := func(w *world) { w.service.mangle = func(string) string { return "AAAA" } }
	for _, row := range []struct {
		name   string
		change func(*world)
		want   Status
	}{
		{"the pin is that of the certificate", func(w *world) { w.service.config.Network.Pins = []string{"other", w.host.pin} }, Success},
		{"the pin is that of the authority", func(w *world) { w.service.config.Network.Pins = []string{pinOf(testAuthority().certificate)} }, Success},
		{"the pin is another's", func(w *world) { w.service.config.Network.Pins = []string{pinOf(newAuthority().certificate)} }, MITMDetected},
		{"the pin is blocked", func(w *world) { w.service.config.Network.Pins = []string{attestapi.BlockedPin} }, MITMDetected},
		{"the certificate is for another name", func(w *world) {
			w.add("other.example", w.service)
			w.hosts["attest.example"] = w.hosts["other.example"]
		}, MITMDetected},
		{"the MAC of the answer is wrong", wrongMAC, MITMDetected},
		{"the answer has no MAC", func(w *world) { w.service.mangle = func(string) string { return "" } }, MITMDetected},
		{"the MAC is that of the request", func(w *world) {
			w.service.hook = func(rw http.ResponseWriter, r *http.Request, n int) bool {
				w.service.mangle = func(string) string { return r.Header.Get(attestapi.HeaderMAC) }
				return false
			}
		}, MITMDetected},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				row.change(w)
				c := w.start(nil)
				if row.want == Success {
					fetch(t, c, "api.example.com")
					return
				}
				expect(t, c, row.want)
			})
		})
	}
	t.Run("an answer of another attestation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := w.start(nil)
			fetch(t, c, "api.example.com")
			// The first answer, as it was: what its MAC is about is another request.
			mac, body := "", ""
			w.service.set(func() {
				w.service.mangle = func(sum string) string { mac = sum; return sum }
				w.service.answer = func(r *attestapi.AttestResponse) { body = string(must(json.Marshal(r))) }
			})
			time.Sleep(6 * time.Minute)
			fetch(t, c, "api.example.com")
			w.service.set(func() {
				w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					w.Header().Set(attestapi.HeaderMAC, mac)
					_, _ = io.WriteString(w, body)
					return strings.HasSuffix(r.URL.Path, "attest")
				}
			})
			time.Sleep(6 * time.Minute)
			expect(t, c, MITMDetected)
		})
	})
}

// A telephone that changes networks keeps connections on which nothing arrives any more.
func TestAConnectionThatWentQuietIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		w.host.goQuiet()
		c.tokens.Store(nil)
		begun := time.Now()
		if n, _ := fetch(t, c, "api.example.com"); n != 2 || time.Since(begun) > 7*time.Second {
			t.Errorf("got the token of attestation %d after %v, want the second one after one attempt in vain, 6s", n, time.Since(begun))
		}
	})
}

func TestAfterAFailureAChallengeComesFirst(t *testing.T) {
	for _, row := range []struct {
		name string
		fail answers
	}{
		{"a connection that broke", breaks},
		{"no answer in time", silent},
		{"an error", status(500)},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.start(nil)
				fetch(t, c, "api.example.com")
				time.Sleep(6 * time.Minute)
				w.service.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if n == 3 {
						row.fail(w, r)
					}
					return n == 3
				}
				fetch(t, c, "api.example.com")
				if got := w.service.paths(); got != "challenge attest attest challenge attest" {
					t.Errorf("got %s, want the warm attestation that failed, then a cold one", got)
				}
			})
		})
	}
}

// An answer with the right MAC is the service's. It is still looked at before it is put into headers and the cache.
func TestAnAnswerOutOfShape(t *testing.T) {
	one := func(domain, text string, ttl int64) func(*attestapi.AttestResponse) {
		return func(r *attestapi.AttestResponse) {
			r.Tokens = map[string]attestapi.Token{domain: {Text: text, TTL: ttl}}
		}
	}
	for _, row := range []struct {
		name   string
		change func(*attestapi.AttestResponse)
		want   Status
	}{
		{"a token of three parts", one("api.example.com", "aa.bb.cc", 1000), Success},
		{"a token of five parts", one("api.example.com", "aa.bb.cc.dd.ee", 1000), Success},
		{"a token of two parts", one("api.example.com", "aa.bb", 1000), InternalError},
		{"a token with an empty part", one("api.example.com", "aa..cc", 1000), InternalError},
		{"a token with a line break", one("api.example.com", "aa.bb.cc\r\nX: y", 1000), InternalError},
		{"an empty token", one("api.example.com", "", 1000), InternalError},
		{"a token of 20 kB", one("api.example.com", "aa.bb."+strings.Repeat("c", 20<<10), 1000), InternalError},
		{"a token that has run out", one("api.example.com", "aa.bb.cc", 0), InternalError},
		{"a token for no domain", one("a b", "aa.bb.cc", 1000), InternalError},
		{"too many tokens", func(r *attestapi.AttestResponse) {
			for i := range 100 {
				r.Tokens[fmt.Sprintf("d%d.example.com", i)] = attestapi.Token{Text: "aa.bb.cc", TTL: 1000}
			}
		}, InternalError},
		{"no tokens", func(r *attestapi.AttestResponse) { r.Tokens = nil }, UnknownURL},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.service.answer = row.change
				if r := w.start(nil).FetchToken(t.Context(), "api.example.com"); r.Status != row.want {
					t.Errorf("got %v, want %v", r, row.want)
				}
			})
		})
	}
	t.Run("a lifetime of a year is an hour", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.service.ttl = 365 * 24 * time.Hour
			c := w.start(nil)
			fetch(t, c, "api.example.com")
			time.Sleep(time.Hour + 1)
			if n, _ := fetch(t, c, "api.example.com"); n != 2 {
				t.Errorf("got the token of attestation %d, want a second one", n)
			}
		})
	})
}

func TestStatuses(t *testing.T) {
	for _, row := range []struct {
		status           Status
		text, droid, ios string
		class            Class
	}{
		{Success, "SUCCESS", "SUCCESS", "success", Continue},
		{NoApproovService, "NO_APPROOV_SERVICE", "NO_APPROOV_SERVICE", "noApproovService", Continue},
		{NoNetwork, "NO_NETWORK", "NO_NETWORK", "noNetwork", Retry},
		{PoorNetwork, "POOR_NETWORK", "POOR_NETWORK", "poorNetwork", Retry},
		{MITMDetected, "MITM_DETECTED", "MITM_DETECTED", "mitmDetected", Retry},
		{BadURL, "BAD_URL", "BAD_URL", "badURL", Error},
		{UnknownURL, "UNKNOWN_URL", "UNKNOWN_URL", "unknownURL", Error},
		{UnprotectedURL, "UNPROTECTED_URL", "UNPROTECTED_URL", "unprotectedURL", Error},
		{NoNetworkPermission, "NO_NETWORK_PERMISSION", "NO_NETWORK_PERMISSION", "NA", Error},
		{MissingLibDependency, "MISSING_LIB_DEPENDENCY", "MISSING_LIB_DEPENDENCY", "NA", Error},
		{InternalError, "INTERNAL_ERROR", "INTERNAL_ERROR", "NA", Error},
		{NotInitialized, "NOT_INITIALIZED", "NA", "notInitialized", Error},
		{Status(99), "STATUS_99", "NA", "NA", Error},
		{Status(-1), "STATUS_-1", "NA", "NA", Error},
	} {
		t.Run(row.text, func(t *testing.T) {
			s := row.status
			if s.String() != row.text || s.Android() != row.droid || s.IOS() != row.ios || s.Class() != row.class {
				t.Errorf("got %s %s %s %s, want %s %s %s %s", s, s.Android(), s.IOS(), s.Class(), row.text, row.droid, row.ios, row.class)
			}
			err := fmt.Errorf("wrapped: %w", &StatusError{Status: s, Domain: "d", Cause: errTest})
			if !errors.Is(err, s) || !errors.Is(err, errTest) || errors.Is(err, Status(42)) {
				t.Errorf("got %v, want errors.Is to find %v and its cause", err, s)
			}
		})
	}
}
