package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// backend answers 204, and counts.
func backend(t *testing.T) (url string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server.URL, reached
}

// edge is a dynamic configuration: one router with the plugin in front of a backend. The plugin's configuration is
// one line of YAML.
func edge(url, plugin string) string {
	return fmt.Sprintf(`
http:
  routers:
    api: {rule: "PathPrefix(`+"`/`"+`)", entryPoints: [web], service: api, middlewares: [edge]}
  services:
    api: {loadBalancer: {servers: [{url: %q}]}}
  middlewares:
    edge: {plugin: {approov: {%s}}}
`, url, plugin)
}

// TestReloadsUnderLoad replaces the configuration many times while requests come in. It is the middle of an incident:
// checks are switched off by a control file that only the first configuration names.
func TestReloadsUnderLoad(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, reached := backend(t)
		x := run(t, binary, "{}", nil)
		control := filepath.Join(x.dir, "control.json")
		write(t, control, `{"version": 1, "mode": "bypass", "until": "2030-01-31T13:00:00Z"}`)
		plugin := fmt.Sprintf("name: edge, secretFile: %q", x.secret)
		x.configure(edge(url, fmt.Sprintf("%s, control: {file: %q}", plugin, control)))
		x.serving("/", "", http.StatusNoContent)

		load := send(x)
		goroutines, heap := x.goroutines(), x.heap()
		const reloads = 60
		for i := range reloads {
			// Every other reload leaves the middleware as it is, and changes the router alone.
			rule := fmt.Sprintf("PathPrefix(`/`) || Path(`/%d`)", i)
			x.configure(strings.Replace(edge(url, fmt.Sprintf("%s, token: {leeway: %ds}", plugin, i/2)), "PathPrefix(`/`)", rule, 1))
			until(t, "the reload", func() bool {
				return strings.Contains(x.get("/api/http/routers/api@file"), fmt.Sprintf("Path(`/%d`)", i))
			})
		}
		peak := x.heap()
		var goroutinesAfter, heapAfter int
		until(t, "goroutines and memory to be what they were", func() bool {
			goroutinesAfter, heapAfter = x.goroutines(), x.heap()
			return goroutinesAfter <= goroutines+20 && heapAfter <= heap+16<<20
		})
		sent, failed := load.end()
		t.Logf("%d reloads, %d requests, %d failed, %d at the backend; goroutines %d, then %d; heap in use %.1f MB, at most %.1f, then %.1f",
			reloads, sent, failed, reached.Load(), goroutines, goroutinesAfter, float64(heap)/1e6, float64(peak)/1e6, float64(heapAfter)/1e6)
		if failed > 0 || sent < 1000 {
			t.Errorf("got %d failed of %d requests, want none of at least 1000", failed, sent)
		}
		x.set(t, noon.AddDate(0, 0, 1))
		if got := x.ask("/", ""); got != http.StatusUnauthorized {
			t.Errorf("after the bypass has ended: got %d, want 401", got)
		}
	})
}

// traffic sends requests without a token until it is ended.
type traffic struct {
	stop         chan struct{}
	all          sync.WaitGroup
	sent, failed atomic.Int64
}

func send(x *traefik) *traffic {
	l := &traffic{stop: make(chan struct{})}
	for range 4 {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				l.sent.Add(1)
				if x.ask("/", "") != http.StatusNoContent {
					l.failed.Add(1)
				}
			}
		})
	}
	return l
}

func (l *traffic) end() (sent, failed int64) {
	close(l.stop)
	l.all.Wait()
	return l.sent.Load(), l.failed.Load()
}
