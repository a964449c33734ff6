package caddymodule

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/approovgate/approovgate/internal/conformance"
	"github.com/approovgate/approovgate/internal/porttest"
)

// TestCorpus sends the whole corpus through Caddy over real sockets.
func TestCorpus(t *testing.T) {
	cases, err := conformance.Load("../testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { now = time.Now }()
	elsewhere := conformance.InCaddy()
	ran, skipped := 0, 0
	conformance.Wire{Start: startForCorpus}.Run(conformance.AllSizes(cases), func(r conformance.Result) {
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
	t.Logf("%d cases ran; %d skipped, because a plain socket cannot set their scheme or peer", ran, skipped)
	if ran < 250 {
		t.Errorf("cases: got %d, want at least 250", ran)
	}
}

// startForCorpus makes Caddy serve as the corpus asks for it.
func startForCorpus(h conformance.Host) (address string, stop func(), err error) {
	now = h.Now
	if address, err = porttest.Find(); err != nil {
		return "", nil, err
	}
	upstream, err := url.Parse(h.Upstream)
	if err != nil {
		return "", nil, err
	}
	if err := load(quiet(address, tree{"handle": []any{
		tree{"handler": "approov", "policy": json.RawMessage(h.Policy)},
		tree{"handler": "reverse_proxy", "upstreams": []any{tree{"dial": upstream.Host}}},
	}})); err != nil {
		return "", nil, err
	}
	return address, func() { _ = caddy.Stop() }, nil
}
