package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

func TestApplySetsTheCanonicalTargetAndHost(t *testing.T) {
	g := openGate(t, nil)
	for _, row := range []struct{ name, target, host, wantTarget, wantHost string }{
		{"a plain target stays", "/a/b?c=d", "api.example.com", "/a/b?c=d", "api.example.com"},
		{"slashes, dots and escapes", "//a/./b/%2e%2e/%7eu%2b", "api.example.com", "/a/~u%2B", "api.example.com"},
		{"the query stays byte for byte", "//a?b=%2f;c&&=%zz", "api.example.com", "/a?b=%2f;c&&=%zz", "api.example.com"},
		{"a bare question mark stays", "//a?", "api.example.com", "/a?", "api.example.com"},
		{"an absolute target becomes a path", "http://api.example.com/a?b", "api.example.com", "/a?b", "api.example.com"},
		{"the host is lower-cased and loses its dot", "/a", "API.Example.com.:8080", "/a", "api.example.com:8080"},
		{"bytes beyond ASCII are escaped", "/\u00e9", "api.example.com", "/%C3%A9", "api.example.com"},
	} {
		r := genuine(t, "/")
		u, err := url.ParseRequestURI(row.target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI, r.Host = u, row.target, row.host
		a := g.Ask(r)
		if a.Action != engine.Forward {
			t.Fatalf("%s: got %s, want forward", row.name, a.Reason)
		}
		a.Apply(r)
		if r.RequestURI != row.wantTarget || r.URL.RequestURI() != row.wantTarget || r.URL.Host != "" || r.URL.Scheme != "" {
			t.Errorf("%s: got RequestURI %q and URL %q, want %q in both", row.name, r.RequestURI, r.URL, row.wantTarget)
		}
		if r.Host != row.wantHost {
			t.Errorf("%s: got host %q, want %q", row.name, r.Host, row.wantHost)
		}
	}
}

// aliases are the names under which a backend may find the gate's headers and the token.
var aliases = []string{"X-Approov-Verdict", "X_Approov_Verdict", "X.Approov.Verdict", "x-approov_verdict", "X-Approov-Reason", "X_approov-Reason",
	"X-Approov-Device", "X.Approov-Device", "Approov_Token", "Approov.Token", "approov_token"}

func TestClientCopiesAndAliasesNeverArrive(t *testing.T) {
	for _, mode := range []string{"enforce", "log", "bypass"} {
		g := openGate(t, tree{"mode": mode})
		r := genuine(t, "/", "X-Approov-Verdictx", "kept", "X-Approov", "kept")
		r.Trailer = http.Header{"X-Kept": nil}
		for _, alias := range aliases {
			r.Header[alias] = []string{"forged"}
			r.Trailer[alias] = nil
		}
		answer := g.Ask(r)
		answer.Apply(r)
		for name, values := range r.Header {
			if slices.Contains(values, "forged") {
				t.Errorf("mode %s: got the client's %s, want it deleted", mode, name)
			}
		}
		if got := slices.Collect(maps.Keys(r.Trailer)); len(got) != 1 || got[0] != "X-Kept" {
			t.Errorf("mode %s: got trailers %v, want X-Kept alone", mode, got)
		}
		if r.Header.Get("X-Approov-Verdictx") != "kept" || r.Header.Get("X-Approov") != "kept" || r.Header.Get("Authorization") != bearer {
			t.Errorf("mode %s: got headers %v, want other headers kept", mode, r.Header)
		}
	}
}

func TestTokenAndVerdictTowardsTheBackend(t *testing.T) {
	for _, row := range []struct {
		mode, forward string
		token         bool
	}{
		{"enforce", "auto", false}, {"log", "auto", true}, {"bypass", "auto", true},
		{"enforce", "always", true}, {"log", "always", true}, {"bypass", "always", true},
		{"enforce", "never", false}, {"log", "never", false}, {"bypass", "never", false},
	} {
		g := openGate(t, tree{"mode": row.mode, "token": tree{"forward": row.forward}})
		r := genuine(t, "/")
		answer := g.Ask(r)
		answer.Apply(r)
		if got := r.Header.Get("Approov-Token") != ""; got != row.token {
			t.Errorf("mode %s, forward %s: got token %v, want %v", row.mode, row.forward, got, row.token)
		}
		want := map[string]string{"X-Approov-Verdict": "", "X-Approov-Reason": "", "X-Approov-Device": ""}
		if row.mode == "enforce" {
			want = map[string]string{"X-Approov-Verdict": "pass", "X-Approov-Reason": "ok", "X-Approov-Device": device}
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("mode %s: got %s %q, want %q", row.mode, name, got, value)
			}
		}
	}
}

func TestVerdictOfUncheckedRequests(t *testing.T) {
	g := openGate(t, tree{"upstream_headers": tree{"verdict": "X-V", "reason": "", "device": "X-D"},
		"routes": []any{tree{"name": "open", "paths": "/open", "check": "none"}}})
	r := genuine(t, "/open", "X-D", "forged", "X_V", "forged")
	answer := g.Ask(r)
	answer.Apply(r)
	if got := r.Header; got.Get("X-V") != "none" || got.Get("X-D") != "" || got[http.CanonicalHeaderKey("X_V")] != nil || got[""] != nil {
		t.Errorf("an exempt request: got headers %v, want X-V none and no device", got)
	}
}

func TestConnectionCannotRemoveWhatTheGateAdds(t *testing.T) {
	g := openGate(t, nil)
	r := genuine(t, "/", "Connection", "close, x-approov-verdict,X_Approov_Reason", "Connection", "X-APPROOV-DEVICE", "Connection", "keep-alive, X-Own")
	answer := g.Ask(r)
	answer.Apply(r)
	got := strings.Join(r.Header["Connection"], "|")
	if strings.Contains(strings.ToLower(got), "approov") || !strings.Contains(got, "close") || !strings.Contains(got, "keep-alive, X-Own") {
		t.Errorf("got Connection %q, want the gate's names gone and the others kept", got)
	}
}

// proxyTo is the least proxy there can be around a gate.
func proxyTo(t *testing.T, g *gate.Gate, backend http.Handler) *httptest.Server {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	to, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := g.Ask(r)
		if a.Action != engine.Forward {
			a.Refuse(w, r)
			return
		}
		a.Apply(r)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestForgedTrailersAndConnectionOverTheWire sends them raw: what a server reads from the wire after the
// headers have been stripped must not bring them back.
func TestForgedTrailersAndConnectionOverTheWire(t *testing.T) {
	seen := make(chan *http.Request, 1)
	server := proxyTo(t, openGate(t, nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r
	}))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /a HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: %s\r\nConnection: close, X-Approov-Verdict, x-approov-device\r\n"+
		"Transfer-Encoding: chunked\r\nTrailer: X-Approov-Verdict, X_Approov_Device, Approov_Token\r\n\r\n1\r\na\r\n0\r\n"+
		"X-Approov-Verdict: forged\r\nX_Approov_Device: forged\r\nApproov_Token: forged\r\nX-Approov-Reason: forged\r\n\r\n", sign(t, "account", claims()))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %v %v, want 200", response, err)
	}
	r := <-seen
	if r.Header.Get("X-Approov-Verdict") != "pass" || r.Header.Get("X-Approov-Device") != device {
		t.Errorf("got verdict %q and device %q, want the gate's own", r.Header.Get("X-Approov-Verdict"), r.Header.Get("X-Approov-Device"))
	}
	if text := fmt.Sprint(r.Header, r.Trailer); strings.Contains(text, "forged") {
		t.Errorf("got %s, want nothing forged", text)
	}
}
