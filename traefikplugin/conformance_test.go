package traefikplugin

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/approovgate/approovgate/internal/conformance"
)

// TestCorpus sends the whole corpus through the plugin in front of net/http's own proxy, over real sockets. Every
// token is looked up in the cache first.
func TestCorpus(t *testing.T) {
	rig := newRig(t)
	cases, err := conformance.Load("../testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	ran, skipped := 0, 0
	conformance.Wire{Start: rig.startForCorpus}.Run(conformance.AllSizes(cases), func(r conformance.Result) {
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

func (r *rig) startForCorpus(h conformance.Host) (string, func(), error) {
	policy, err := conformance.SecretsInFiles(h.Policy, r.TempDir())
	if err != nil {
		return "", nil, err
	}
	var c Config
	if err := json.Unmarshal([]byte(policy), &c); err != nil {
		return "", nil, err
	}
	upstream, err := url.Parse(h.Upstream)
	if err != nil {
		return "", nil, err
	}
	next := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = upstream.Scheme, upstream.Host
		p.Out.URL.RawQuery = p.In.URL.RawQuery
	}}
	now = h.Now
	handler, err := New(context.Background(), next, &c, r.Name()+h.Now().String())
	if err != nil {
		return "", nil, err
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	return server.Listener.Addr().String(), server.Close, nil
}
