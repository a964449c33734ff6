package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/token"
)

func TestFetchToken(t *testing.T) {
	for _, row := range []struct {
		name, url string
		want      Status
	}{
		{"an API domain has a token", "api.example.com", Success},
		{"a URL of an API domain has a token", "https://api.example.com/v1/shapes?x=1#y", Success},
		{"a URL with a port has the token of its domain", "https://api.example.com:8443/", Success},
		{"a domain with a path has a token", "api.example.com/v1", Success},
		{"capital letters are the same domain", "HTTPS://API.Example.COM", Success},
		{"the final dot is the same domain", "api.example.com.", Success},
		{"an encrypted token is a token", "jwe.example.com", Success},
		{"a domain that is not of the account", "other.example.com", UnknownURL},
		{"a sub-domain is a domain of its own", "sub.api.example.com", UnknownURL},
		{"a domain that needs no token", "open.example.com", UnprotectedURL},
		{"plain http", "http://api.example.com", BadURL},
		{"another scheme", "wss://api.example.com", BadURL},
		{"nothing", "", BadURL},
		{"a scheme alone", "https://", BadURL},
		{"a space", "api example.com", BadURL},
		{"letters outside ASCII", "bücher.example.com", BadURL},
		{"a user", "https://user@api.example.com/", BadURL},
		{"a port that is none", "https://api.example.com:x/", BadURL},
		{"an IPv6 address", "https://[::1]/", BadURL},
		{"a measurement is not asked for so", "api.example.com?measurement", BadURL},
		{"a domain too long", strings.Repeat("a", 254), BadURL},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWorld(t).start(nil)
				r := c.FetchToken(t.Context(), row.url)
				if r.Status != row.want || (r.Token != "") != (row.want == Success) {
					t.Errorf("got %v with token %q, want %v", r, r.Token, row.want)
				}
				want := `{"error":"` + row.want.String() + `"}`
				if row.want == Success {
					want = token.Loggable(r.Token)
				}
				if r.LoggableToken != want {
					t.Errorf("got loggable token %s, want %s", r.LoggableToken, want)
				}
				if named := r.Request == "r2"; named != (row.want == Success) || !named && r.Request != "" {
					t.Errorf("got request %q, want the stand-in's with a token, and else none", r.Request)
				}
			})
		})
	}
}

func TestColdWarmAndCachedFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		for _, step := range []struct {
			name  string
			wait  time.Duration
			n     int
			paths string
		}{
			{"cold: a challenge and an attestation", 0, 1, "challenge attest"},
			{"cached: nothing", 3 * time.Minute, 1, "challenge attest"},
			{"warm: an attestation with the nonce of the last answer", 2*time.Minute + 1, 2, "challenge attest attest"},
			{"cold again: that nonce has run out", 20 * time.Minute, 3, "challenge attest attest challenge attest"},
		} {
			time.Sleep(step.wait) // the fake clock's
			n, _ := fetch(t, c, "api.example.com")
			if got := w.service.paths(); n != step.n || got != step.paths {
				t.Errorf("%s: got the token of attestation %d after %s, want %d after %s", step.name, n, got, step.n, step.paths)
			}
		}
	})
}

func TestTokensInUseAreRenewedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		time.Sleep(4*time.Minute + time.Second)
		begun := time.Now()
		if n, _ := fetch(t, c, "api.example.com"); n != 1 || time.Since(begun) != 0 {
			t.Errorf("got the token of attestation %d after %v, want the first one at once", n, time.Since(begun))
		}
		synctest.Wait()
		if n, _ := fetch(t, c, "api.example.com"); n != 2 {
			t.Errorf("got the token of attestation %d, want the second one, had in the background", n)
		}
		time.Sleep(time.Hour)
		if got := w.service.paths(); got != "challenge attest attest" {
			t.Errorf("got %s, want no attestations while nobody fetches", got)
		}
	})
}

func TestARenewalThatFailsLeavesTheTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		w.host.set(refuses)
		time.Sleep(4*time.Minute + 10*time.Second)
		for range 4 {
			if n, _ := fetch(t, c, "api.example.com"); n != 1 {
				t.Errorf("got the token of attestation %d, want the first one", n)
			}
			time.Sleep(10 * time.Second)
		}
		w.host.set(nil)
		time.Sleep(time.Minute)
		if n, _ := fetch(t, c, "api.example.com"); n != 2 {
			t.Errorf("got the token of attestation %d, want the second one", n)
		}
	})
}

// set changes how a host may be reached. Connections that are there already end.
func (h *host) set(dial func(context.Context) (net.Conn, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dial = dial
}

func TestAThousandFetchesMakeOneAttestation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		w.service.hook = func(http.ResponseWriter, *http.Request, int) bool { time.Sleep(time.Second); return false }
		var group sync.WaitGroup
		var good atomic.Int64
		for i := range 1000 {
			group.Go(func() {
				if i%2 == 0 {
					if c.FetchToken(t.Context(), "api.example.com").Status == Success {
						good.Add(1)
					}
					return
				}
				done := make(chan Result)
				c.FetchTokenAsync("jwe.example.com", func(r Result) { done <- r })
				if (<-done).Status == Success {
					good.Add(1)
				}
			})
		}
		group.Wait()
		if got := w.service.paths(); good.Load() != 1000 || got != "challenge attest" {
			t.Errorf("got %d tokens from %s, want 1000 from challenge attest", good.Load(), got)
		}
		fetch(t, c, "api.example.com")
		time.Sleep(5 * time.Minute)
		fetch(t, c, "api.example.com")
		sync, async := w.service.attests[1].Calls["calls-fetch-sync"], w.service.attests[1].Calls["calls-fetch-async"]
		if sync+w.service.attests[0].Calls["calls-fetch-sync"] != 502 || async+w.service.attests[0].Calls["calls-fetch-async"] != 500 {
			t.Errorf("got calls %v and %v reported, want 502 and 500 in all", w.service.attests[0].Calls, w.service.attests[1].Calls)
		}
	})
}

func TestAFetchWhoseContextEndsReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		w.service.hook = func(http.ResponseWriter, *http.Request, int) bool { time.Sleep(3 * time.Second); return false }
		others := make(chan Result, 1)
		c.FetchTokenAsync("api.example.com", func(r Result) { others <- r })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		r := c.FetchToken(ctx, "api.example.com")
		if r.Status != PoorNetwork || !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("got %v after %v, want POOR_NETWORK for the deadline after 1s", r, time.Since(begun))
		}
		if r := <-others; r.Status != Success || time.Since(begun) != 6*time.Second {
			t.Errorf("got %v after %v, want a token for the other after 6s", r, time.Since(begun))
		}
	})
}

func TestBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		for _, step := range []struct {
			name, data string
			n          int
		}{
			{"nothing is bound at first", "", 1},
			{"data is bound", "custom-data", 2},
			{"the same data keeps the token", "custom-data", 2},
			{"other data has another token", "Bearer x", 3},
			{"data that comes back has a new one too", "custom-data", 4},
		} {
			want := ""
			if step.data != "" {
				c.SetDataHashInToken(step.data)
				want = token.Pay([]byte(step.data))
			}
			if n, pay := fetch(t, c, "api.example.com"); n != step.n || pay != want {
				t.Errorf("%s: got the token of attestation %d bound to %q, want %d bound to %q", step.name, n, pay, step.n, want)
			}
		}
		if got := token.Pay([]byte("custom-data")); got != "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=" {
			t.Errorf("got %s, want the manual's example", got)
		}
		time.Sleep(5 * time.Minute)
		if _, pay := fetch(t, c, "api.example.com"); pay != token.Pay([]byte("custom-data")) {
			t.Errorf("got a later token bound to %q, want the data to stay", pay)
		}
		for _, request := range w.service.attests {
			if text := fmt.Sprint(request); strings.Contains(text, "custom-data") || strings.Contains(text, "Bearer x") {
				t.Error("got the data itself in a request, want its hash only")
			}
		}
	})
}

func TestDataChangedDuringAnAttestationHasATokenOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		w.service.hook = func(http.ResponseWriter, *http.Request, int) bool { time.Sleep(time.Second); return false }
		c.SetDataHashInToken("first")
		first := make(chan Result, 1)
		c.FetchTokenAsync("api.example.com", func(r Result) { first <- r })
		time.Sleep(time.Second / 2)
		c.SetDataHashInToken("second")
		_, second := fetch(t, c, "api.example.com")
		if got := claims(t, (<-first).Token).Pay; got != token.Pay([]byte("first")) || second != token.Pay([]byte("second")) {
			t.Errorf("got %q and %q, want a token for each of the data", got, second)
		}
		if _, pay := fetch(t, c, "api.example.com"); pay != token.Pay([]byte("second")) {
			t.Errorf("got a cached token bound to %q, want the second data", pay)
		}
	})
}

func TestDataThatChangesInATightLoopIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		begun := time.Now()
		for i := range 30 {
			c.SetDataHashInToken(fmt.Sprint("data ", i))
			fetch(t, c, "api.example.com")
		}
		if took := time.Since(begun); took < 30*time.Second || took > 60*time.Second {
			t.Errorf("30 changes took %v, want ten at once and one every %v", took, bindEvery)
		}
		time.Sleep(time.Hour)
		begun = time.Now()
		c.SetDataHashInToken("after an hour")
		if fetch(t, c, "api.example.com"); time.Since(begun) != 0 {
			t.Errorf("after an hour a change took %v, want no wait", time.Since(begun))
		}
		var refused int
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				pay := fmt.Sprint("at once ", i)
				if r := c.fetch(t.Context(), "api.example.com", &pay); r.Status == PoorNetwork {
					c.mu.Lock()
					refused++
					c.mu.Unlock()
				}
			})
		}
		group.Wait()
		if refused < 80 {
			t.Errorf("got %d of 100 changes at once refused, want all but some", refused)
		}
	})
}

func TestAChangedEnvironmentIsAttestedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		var found atomic.Pointer[[]string]
		found.Store(&[]string{})
		c.inspect = func(*attestapi.Rules) []string { return *found.Load() }
		fetch(t, c, "api.example.com")
		time.Sleep(time.Minute)
		found.Store(&[]string{attestapi.FlagDebug, attestapi.FlagFrida})
		if n, _ := fetch(t, c, "api.example.com"); n != 2 {
			t.Errorf("got the token of attestation %d, want a second one for the debugger", n)
		}
		if got := fmt.Sprint(w.service.attests[1].Flags); got != "[debug frida]" {
			t.Errorf("got flags %s reported, want [debug frida]", got)
		}
		time.Sleep(time.Minute)
		if n, _ := fetch(t, c, "api.example.com"); n != 2 {
			t.Errorf("got the token of attestation %d, want the second one as long as nothing changes", n)
		}
	})
}

func TestWhatAnAttestationSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var binding [32]byte
		c := w.start(func(config *Config) {
			config.Evidence = func(b [32]byte) ([]attestapi.Evidence, error) {
				binding = b
				return []attestapi.Evidence{{Type: "test", Data: "AAAA"}}, nil
			}
		})
		fetch(t, c, "api.example.com")
		got := w.service.attests[0]
		fingerprint, _ := w.service.config.Key.Fingerprint()
		if got.Version != 1 || got.Account != "test-account" || got.ConfigKey != fingerprint || got.ConfigVersion != 1 || got.RulesVersion != 1 ||
			got.Library != w.service.library.Ref() || got.App.Package != "com.example.shop" || got.App.Version != "1.0[7]" || got.DeviceID != c.DeviceID() {
			t.Errorf("got %+v, want what the app is", got)
		}
		evidence := got.Evidence
		got.Evidence = nil
		if want := attestapi.EvidenceBinding(got.Nonce, must(json.Marshal(got))); binding != want || len(evidence) != 1 {
			t.Errorf("got evidence %v about %x, want it about %x", evidence, binding, want)
		}
	})
}

func TestAnAttestationGoesOnWithoutEvidence(t *testing.T) {
	for _, row := range []struct {
		name     string
		evidence func([32]byte) ([]attestapi.Evidence, error)
		want     Status
	}{
		{"that cannot be had", func([32]byte) ([]attestapi.Evidence, error) { return nil, errTest }, Success},
		{"that takes no longer than the rest may", func([32]byte) ([]attestapi.Evidence, error) { time.Sleep(5 * time.Second); return nil, nil }, Success},
		{"that takes too long", func([32]byte) ([]attestapi.Evidence, error) { time.Sleep(time.Hour); return nil, nil }, PoorNetwork},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWorld(t).start(func(config *Config) { config.Evidence = row.evidence })
				begun := time.Now()
				if r := c.FetchToken(t.Context(), "api.example.com"); r.Status != row.want || time.Since(begun) > 30*time.Second {
					t.Errorf("got %v after %v, want %v in 30s", r, time.Since(begun), row.want)
				}
				time.Sleep(3 * time.Hour) // the app's function ends
			})
		})
	}
}

func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(nil)
		fetch(t, c, "api.example.com")
		w.service.set(func() {
			w.service.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return true }
		})
		c.SetDataHashInToken("x")
		waiting := make(chan Result, 2)
		c.FetchTokenAsync("api.example.com", func(r Result) { waiting <- r })
		go func() { waiting <- c.FetchToken(context.Background(), "api.example.com") }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r := <-waiting; r.Status == Success {
				t.Errorf("got %v for a fetch that waited, want none", r)
			}
		}
		if r := c.FetchToken(t.Context(), "api.example.com"); r.Status != NotInitialized {
			t.Errorf("got %v, want NOT_INITIALIZED", r)
		}
		_ = c.Close() // twice does no harm
	})
}
