package caddymodule

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/mint"
)

type tree = map[string]any

// load makes this process's Caddy run a configuration.
func load(config any) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return caddy.Load(text, true)
}

// quiet is a configuration without an admin endpoint and with a log that says nothing, of one server.
func quiet(address string, routes ...any) tree {
	return tree{
		"admin":   tree{"disabled": true, "config": tree{"persist": false}},
		"logging": tree{"logs": tree{"default": tree{"writer": tree{"output": "discard"}}}},
		"apps":    tree{"http": tree{"grace_period": "1ms", "servers": tree{"api": tree{"listen": []any{address}, "routes": routes, "automatic_https": tree{"disable": true}}}}},
	}
}

// adapt makes JSON of a Caddyfile.
func adapt(t testing.TB, caddyfile string) ([]byte, error) {
	t.Helper()
	text, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), tree{"filename": "Caddyfile"})
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "formatted") {
			t.Errorf("adapt: got warning %s, want none", warning)
		}
	}
	return text, err
}

// secretText is a secret in base64; secretKey is what it says.
const secretText = "VEVTVCBLRVksIG5ldmVyIHVzZTogNjQgYnl0ZXMgb2YgYSBzZWNyZXQgdG8gbG9vayBmb3IgaW4gYWxsIGxvZ3M="

var secretKey = []byte("TEST KEY, never use: 64 bytes of a secret to look for in all logs")

// token is a genuine token with these claims more.
func token(t testing.TB, more tree) string {
	t.Helper()
	claims := tree{"exp": now().Add(time.Hour).Unix(), "did": "ZGV2aWNlLXRvLWxvb2stZm9yCg=="}
	maps.Copy(claims, more)
	signed, err := mint.Sign("HS256", "", secretKey, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// site is this process's Caddy with a configuration of the test's.
type site struct {
	t       *testing.T
	address string
	dir     string // has the file secret
	api     *httptest.Server
	asked   chan *http.Request // what the API was asked last
}

// newSite makes Caddy run a Caddyfile until the test ends. In it {listen} is the address, {dir} a folder with the
// file secret, {api} the address of an API that answers 200.
func newSite(t *testing.T, caddyfile string) *site {
	t.Helper()
	s := &site{t: t, address: porttest.Free(t), dir: t.TempDir(), asked: make(chan *http.Request, 100)}
	s.api = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.asked <- r }))
	t.Cleanup(s.api.Close)
	s.write("secret", secretText)
	if err := s.load(caddyfile); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopAndForget)
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// load puts another configuration into the place of the one before.
func (s *site) load(caddyfile string) error {
	s.t.Helper()
	text, err := adapt(s.t, strings.NewReplacer("{listen}", s.address, "{dir}", s.dir, "{api}", s.api.Listener.Addr().String()).Replace(caddyfile))
	if err != nil {
		return err
	}
	return caddy.Load(text, true)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with header fields, name and value in turn.
func (s *site) ask(method, target string, fields ...string) answer {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://"+s.address+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// stopAndForget ends this process's Caddy, and what outlives its configurations: the next test finds none of it.
func stopAndForget() {
	_ = caddy.Stop() // there may be none
	stations.Lock()
	defer stations.Unlock()
	clear(stations.byName)
}
