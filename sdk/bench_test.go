package sdk

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// loopback is the service at a real address of this machine, over TLS.
func loopback(t testing.TB) (*world, *Client) {
	w := &world{network: &network{t: t, hosts: map[string]*host{}}, service: newService(), logged: &strings.Builder{}}
	server := httptest.NewUnstartedServer(w.service)
	certificate, leaf := testAuthority().issue("127.0.0.1")
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	u := must(url.Parse(server.URL))
	w.service.config.Network.Primary = []string{"https://" + u.Host}
	w.service.config.Network.Pins = []string{leaf}
	config := w.config()
	config.Dial = nil
	c := must(Initialize(context.Background(), config))
	t.Cleanup(func() { _ = c.Close() })
	return w, c
}

// Beside the manual's table ("Token Fetch Latency": cold 715-1090 ms, warm 150-700 ms, cached 5-70 ms), which is of
// telephones and the Internet. This is the work that is left when there is no distance.
func BenchmarkFetch(b *testing.B) {
	b.Run("cached", func(b *testing.B) {
		_, c := loopback(b)
		fetch(b, c, "api.example.com")
		b.ReportAllocs()
		for b.Loop() {
			if c.FetchToken(b.Context(), "api.example.com").Status != Success {
				b.Fatal("no token")
			}
		}
	})
	b.Run("cached, by many", func(b *testing.B) {
		_, c := loopback(b)
		fetch(b, c, "api.example.com")
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if c.FetchToken(context.Background(), "https://api.example.com/v1/shapes").Status != Success {
					b.Error("no token")
				}
			}
		})
	})
	b.Run("warm", func(b *testing.B) {
		_, c := loopback(b)
		fetch(b, c, "api.example.com")
		for b.Loop() {
			c.tokens.Store(nil)
			fetch(b, c, "api.example.com")
		}
	})
	b.Run("cold, on a new connection", func(b *testing.B) {
		_, c := loopback(b)
		for b.Loop() {
			c.tokens.Store(nil)
			c.mu.Lock()
			c.nonce = nonce{}
			c.mu.Unlock()
			c.settings.Load().service.CloseIdleConnections()
			fetch(b, c, "api.example.com")
		}
	})
}

// TestACachedFetchAllocatesNothing holds what BenchmarkFetch shows.
func TestACachedFetchAllocatesNothing(t *testing.T) {
	_, c := loopback(t)
	fetch(t, c, "api.example.com")
	c.looked.Store(int64(time.Hour)) // looking at the environment does, once a second
	if got := testing.AllocsPerRun(1000, func() { c.FetchToken(t.Context(), "api.example.com") }); got > 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func TestOverLoopbackTLS(t *testing.T) {
	w, c := loopback(t)
	for want := 1; want <= 3; want++ {
		c.tokens.Store(nil)
		if n, _ := fetch(t, c, "api.example.com"); n != want {
			t.Errorf("got the token of attestation %d, want %d", n, want)
		}
	}
	if got := w.service.paths(); got != "challenge attest attest attest" {
		t.Errorf("got %s, want a cold and two warm attestations", got)
	}
}
