package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/conformance"
)

// TestCorpus sends the whole corpus through the proxy over real sockets.
func TestCorpus(t *testing.T) {
	const corpus = "../testdata/vectors"
	cases, err := conformance.Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	ran, skipped := 0, 0
	conformance.Wire{Start: startForCorpus}.Run(conformance.AllSizes(cases), func(r conformance.Result) {
		if r.Skipped != "" {
			skipped++
			return
		}
		ran++
		for _, difference := range r.Differences {
			t.Errorf("%s (%s): %s", r.Case.File, r.Case.Name, difference)
		}
	})
	t.Logf("%d cases ran; %d skipped, because a plain socket cannot set their scheme or peer", ran, skipped)
	if ran < 250 {
		t.Errorf("cases: got %d, want at least 250", ran)
	}
}

// startForCorpus runs a proxy as the corpus asks for it.
func startForCorpus(h conformance.Host) (address string, stop func(), err error) {
	var policy map[string]any
	if err := json.Unmarshal([]byte(h.Policy), &policy); err != nil {
		return "", nil, err
	}
	p := &Proxy{Now: h.Now, Tree: map[string]any{"listen": "127.0.0.1:0", "upstream": h.Upstream,
		"limits": map[string]any{"drain_delay": "0s"}, "policy": policy}}
	if problems := p.Load(); config.Failed(problems) {
		return "", nil, errors.New(fmt.Sprint(problems))
	}
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	p.Ready = func(a Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- p.Run(ctx) }() // ended by stop
	select {
	case err := <-ended:
		cancel()
		return "", nil, err
	case a := <-ready:
		return a.Listen[0].String(), func() { cancel(); <-ended }, nil
	}
}
