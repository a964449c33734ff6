package conformance_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/conformance"
)

// startPlain is the least host there is: the gate in front of a reverse proxy.
func startPlain(h conformance.Host) (string, func(), error) {
	var tree map[string]any
	if err := json.Unmarshal([]byte(h.Policy), &tree); err != nil {
		return "", nil, err
	}
	g, problems := gate.New(gate.Options{
		Load: func() (config.Policy, []config.Problem) { return config.Decode(tree) },
		Now:  h.Now,
	})
	if g == nil {
		return "", nil, errors.New(problems[0].String())
	}
	upstream, err := url.Parse(h.Upstream)
	if err != nil {
		return "", nil, err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = upstream.Scheme, upstream.Host
		p.Out.URL.RawQuery = p.In.URL.RawQuery
	}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := g.Ask(r)
		if a.Action != engine.Forward {
			a.Refuse(w, r)
			return
		}
		if upgrade := strings.ToLower(strings.Join(r.Header["Upgrade"], ",")); strings.Contains(upgrade, "h2c") {
			r.Header.Del("Upgrade")
		}
		r.Header.Del("Http2-Settings")
		a.Apply(r)
		proxy.ServeHTTP(w, r)
	}))
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	return server.Listener.Addr().String(), server.Close, nil
}

// TestWireAnswersTheCorpus proves the runner on a host as plain as can be, and that all of it takes seconds.
func TestWireAnswersTheCorpus(t *testing.T) {
	began := time.Now()
	ran, skipped := 0, 0
	wire := conformance.Wire{Start: startPlain}
	wire.Run(conformance.AllSizes(load(t)), func(r conformance.Result) {
		if r.Skipped != "" {
			skipped++
			return
		}
		ran++
		for _, difference := range r.Differences {
			t.Errorf("%s: %s: %s", r.Case.File, r.Case.Name, difference)
		}
	})
	t.Logf("%d cases over the wire in %s, %d skipped because a plain socket has no peer or TLS to choose", ran, time.Since(began).Round(time.Millisecond), skipped)
	if ran < 250 {
		t.Errorf("got %d cases over the wire, want at least 250", ran)
	}
}

// TestWireSeesDifferences runs the corpus against hosts that are wrong and wants each of them to be found out.
func TestWireSeesDifferences(t *testing.T) {
	cases := load(t)
	for name, start := range map[string]conformance.Start{
		"forwards everything": func(h conformance.Host) (string, func(), error) {
			upstream, err := url.Parse(h.Upstream)
			if err != nil {
				return "", nil, err
			}
			server := httptest.NewServer(httputil.NewSingleHostReverseProxy(upstream))
			return server.Listener.Addr().String(), server.Close, nil
		},
		"rejects everything": func(conformance.Host) (string, func(), error) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "no-store")
				w.WriteHeader(http.StatusUnauthorized)
			}))
			return server.Listener.Addr().String(), server.Close, nil
		},
		"starts with no policy": func(conformance.Host) (string, func(), error) { return "", nil, errors.New("no") },
	} {
		agreed, differed := 0, 0
		wire := conformance.Wire{Start: start}
		wire.Run(cases, func(r conformance.Result) {
			if len(r.Differences) == 0 {
				agreed++
				return
			}
			differed++
		})
		if differed < len(cases)/4 {
			t.Errorf("host that %s: got %d differences and %d agreements, want more", name, differed, agreed)
		}
	}
}

func TestPlainFormHoldsTheCase(t *testing.T) {
	for _, c := range load(t) {
		text, err := c.JSON()
		if err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		var plain conformance.Plain
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		if string(plain.Request) != c.Request || plain.Want.Reason != c.Want.Reason || plain.Want.Status != c.Want.Status {
			t.Errorf("%s: got %+v, want the request and expectations of %+v", c.File, plain, c)
		}
	}
}
