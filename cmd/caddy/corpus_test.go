package main

import (
	"encoding/json"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/conformance"
	"github.com/approovgate/approovgate/internal/porttest"
)

// TestCorpus sends the whole corpus through the program, a process for each policy and time.
func TestCorpus(t *testing.T) {
	cases, err := conformance.Load("../../testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := program(); err != nil {
		t.Fatal(err)
	}
	elsewhere := conformance.InCaddy()
	processes, ran, skipped := 0, 0, 0
	start := func(h conformance.Host) (address string, stop func(), err error) {
		processes++
		return startForCorpus(t, h)
	}
	conformance.Wire{Start: start}.Run(conformance.AllSizes(cases), func(r conformance.Result) {
		if r.Skipped != "" {
			skipped++
			return
		}
		ran++
		if reason, known := elsewhere[r.Case.File]; known {
			if len(r.Differences) == 0 {
				t.Errorf("%s: got no difference, want one: %s", r.Case.File, reason)
			}
			return
		}
		for _, difference := range r.Differences {
			t.Errorf("%s (%s): %s", r.Case.File, r.Case.Name, difference)
		}
	})
	t.Logf("%d cases ran in %d processes; %d were left out, because a plain socket cannot set their scheme or peer", ran, processes, skipped)
	if ran < 250 {
		t.Errorf("cases: got %d, want at least 250", ran)
	}
}

// startForCorpus runs a process that serves as the corpus asks for it, with its configuration on standard input.
func startForCorpus(t *testing.T, h conformance.Host) (address string, stop func(), err error) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		return "", nil, err
	}
	caddy := home{dir}
	caddy.write(t, "clock", h.Now().Format(time.RFC3339Nano))
	if address, err = porttest.Find(); err != nil {
		return "", nil, err
	}
	upstream, err := url.Parse(h.Upstream)
	if err != nil {
		return "", nil, err
	}
	type tree = map[string]any
	config, err := json.Marshal(tree{
		"admin": tree{"disabled": true, "config": tree{"persist": false}},
		"apps": tree{"http": tree{"grace_period": "1ms", "servers": tree{"api": tree{"listen": []any{address}, "automatic_https": tree{"disable": true},
			"routes": []any{tree{"handle": []any{
				tree{"handler": "approov", "policy": json.RawMessage(h.Policy)},
				tree{"handler": "reverse_proxy", "upstreams": []any{tree{"dial": upstream.Host}}},
			}}}}}}},
	})
	if err != nil {
		return "", nil, err
	}
	p, err := caddy.start(string(config), []string{address}, "--config", "-")
	if err != nil {
		return "", nil, err
	}
	return address, func() {
		// Caddy asks for its signals in a goroutine, which on a busy machine may run later than the first request: then the
		// signal ends it as it ends any process. How it ends is for the tests of samples to see, which serve for longer.
		if err := p.stop(); err != nil && !p.endedBy(syscall.SIGTERM) {
			t.Errorf("caddy run: got %v, want exit status 0\n%s", err, p.said.String())
		}
	}, nil
}
