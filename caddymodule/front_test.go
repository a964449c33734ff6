package caddymodule

import (
	"encoding/base64"
	"fmt"
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

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/mint"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// frontKey is the account's secret of every gate that a front has.
var frontKey = []byte("TEST KEY, never use: of the fronts in package caddymodule's tests")

// front is this process's Caddy, run with a Caddyfile, in front of a server.
type front struct {
	t       *testing.T
	address string // where the site listens, HTTP/1.1 and HTTP/2 without TLS
	secret  string // path of the file with frontKey
}

// newFront runs a Caddyfile's site until the test ends. In it {SECRET} stands for a reference to frontKey.
func newFront(t *testing.T, site string) *front {
	t.Helper()
	address := porttest.Free(t)
	f := &front{t: t, address: address, secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(f.secret, []byte(base64.StdEncoding.EncodeToString(frontKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := adapt(t, f.caddyfile(site))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(text, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return f
}

// caddyfile is the whole Caddyfile of a site.
func (f *front) caddyfile(site string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	grace_period 1ms
	log {
		output discard
	}
	servers {
		protocols h1 h2c
	}
}
http://%s {
%s
}
`, f.address, strings.ReplaceAll(site, "{SECRET}", "{file."+f.secret+"}"))
}

func (f *front) url(path string) string { return "http://" + f.address + path }

// token is what a genuine app sends, with more claims as given; nil deletes one.
func (f *front) token(alg string, more map[string]any) string {
	f.t.Helper()
	claims := map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "did": "TEST-device"}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	token, err := mint.Sign(alg, "", frontKey, claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// client speaks one version of HTTP only, without TLS.
func (f *front) client(version int) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetUnencryptedHTTP2(version == 2)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// heard is an answer, read to its end.
type heard struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

// send sends a request with a client and reads the whole answer.
func (f *front) send(client *http.Client, r *http.Request) heard {
	f.t.Helper()
	response, err := client.Do(r)
	if err != nil {
		f.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatalf("%s %s: the body: %v", r.Method, r.URL.Path, err)
	}
	return heard{response.StatusCode, response.Header, response.Trailer, string(body)}
}

// request makes a request whose header fields are given as names and values; a name may be given again.
func (f *front) request(method, path string, content io.Reader, fields ...string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url(path), content)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// newBackend is a server that speaks HTTP/1.1 and HTTP/2 without TLS.
func newBackend(t *testing.T, serve http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(serve)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server
}
