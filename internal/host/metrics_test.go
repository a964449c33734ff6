package host

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func TestMetricsTellWhatTheGateCounts(t *testing.T) {
	now := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	policy, problems := config.Decode(map[string]any{
		"keys": []any{
			map[string]any{"name": "account", "alg": "HS256", "secret": "inline:" + secretText},
			map[string]any{"name": "old", "alg": "HS256", "secret": "inline:" + secretText, "not_after": "2026-01-01T00:00:00Z"},
		},
		"routes": []any{map[string]any{"name": "open", "paths": []any{"/open"}, "check": "none"}},
	})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	g, problems := gate.New(gate.Options{Now: func() time.Time { return now },
		Load: func() (config.Policy, []config.Problem) { return policy, nil }})
	if g == nil {
		t.Fatal(problems)
	}
	for _, target := range []string{"/x", "/x", "/open"} {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("X-Hostile", "label")
		g.Ask(r)
	}
	m := NewMetrics(g)
	m.Reloaded(true)
	m.Reloaded(false)
	m.Reloaded(false)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var got []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "approovgate_") && !strings.HasPrefix(line, "approovgate_build_info") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"approovgate_config_failing 0",
		"approovgate_config_last_success_timestamp_seconds 1.8e+09",
		`approovgate_config_reloads_total{result="failure"} 2`,
		`approovgate_config_reloads_total{result="success"} 1`,
		`approovgate_control_active{slot="local"} 0`,
		`approovgate_control_active{slot="remote"} 0`,
		`approovgate_control_cache_failing 0`,
		`approovgate_control_version{slot="local"} 0`,
		`approovgate_control_version{slot="remote"} 0`,
		`approovgate_decisions_total{action="forward",mode="enforce",reason="exempt",route="open",verdict="none"} 1`,
		`approovgate_decisions_total{action="reject",mode="enforce",reason="token_missing",route="",verdict="fail"} 2`,
		`approovgate_key_loaded_timestamp_seconds{key="account"} 1.8e+09`,
		`approovgate_key_loaded_timestamp_seconds{key="old"} 1.8e+09`,
		`approovgate_key_not_after_timestamp_seconds{key="old"} 1.7672256e+09`,
		`approovgate_key_tokens_total{key="account"} 0`,
		`approovgate_key_tokens_total{key="old"} 0`,
		`approovgate_key_usable{key="account"} 1`,
		`approovgate_key_usable{key="old"} 0`,
		`approovgate_keys{usable="false"} 1`,
		`approovgate_keys{usable="true"} 1`,
		`approovgate_route_mode{mode="enforce",route="",says="policy"} 1`,
		`approovgate_route_rollout_percent{route=""} 100`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, name := range []string{"approovgate_build_info{", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(w.Body.String(), "\n"+name) {
			t.Errorf("%s: got none, want it", name)
		}
	}
}

func TestVersionNamesTheToolchain(t *testing.T) {
	if got := Version(); !strings.Contains(got, "go1.") || strings.Contains(got, "\n") {
		t.Errorf("got %q, want one line with the Go version", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache()
	for i := range cacheEntries + 1 {
		c.Add(string(rune(i)), i)
	}
	if _, ok := c.Get(string(rune(0))); ok {
		t.Error("the oldest entry: got it, want it forgotten")
	}
	if got, ok := c.Get(string(rune(cacheEntries))); !ok || got != cacheEntries {
		t.Errorf("the newest entry: got %v, %v, want %d", got, ok, cacheEntries)
	}
}
