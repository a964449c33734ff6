//go:build linux

package deploy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// formerKey and ringKey are secrets of other keys in these tests, of no account.
var (
	formerKey = []byte(strings.Repeat("approovgate test key, former one", 2))
	ringKey   = []byte(strings.Repeat("approovgate test key from a ring", 2))
)

// gateText is the gate file of both gates: every kind of key, route, source and certificate that has a metric.
const gateText = `
listen: 127.0.0.1:0
status: 127.0.0.1:0
upstream: API
tls: {cert: DIR/cert.pem, key: DIR/key.pem}
tracing: {endpoint: API}
policy:
  name: edge
  keys:
    - {name: account, alg: HS256, secret: "file:DIR/account.secret"}
    - {name: former, alg: HS256, secret: "file:DIR/former.secret", not_after: END}
    - {name: fleet, ring: "PLANE/ring", refresh: 1s}
  control: {CONTROLkeys: ["file:DIR/control.pem"], ca: DIR/authority.pem, interval: 1s}
  routes:
    - {name: health, paths: [/healthz], check: none}
    - {name: transfers, paths: [/transfers], binding: {from: ["header:Authorization"], missing_pay: accept}}
    - {name: orders, paths: [/orders], mode: log}
    - {name: reports, paths: [/reports], mode: log}
`

// startFleet runs two gates before an API, with some traffic, until the test ends. One follows a control plane, the other
// has a local override that bypasses all. It returns where Prometheus finds their metrics.
func startFleet(t *testing.T) (targets []string) {
	t.Helper()
	program, dir := build(t), t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "the API")
	}))
	t.Cleanup(api.Close)
	plane := controlPlane(t, dir)
	writeSecret(t, filepath.Join(dir, "account.secret"), testKey)
	writeSecret(t, filepath.Join(dir, "former.secret"), formerKey)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	put(t, filepath.Join(dir, "control.json"), []byte(`{"version":1,"mode":"bypass","until":"`+until+`","reason":"test"}`))
	var clients []string
	for i, control := range []string{"url: PLANE/control, ", "file: DIR/control.json, "} {
		text := strings.ReplaceAll(gateText, "CONTROL", control)
		text = strings.NewReplacer("API", api.URL, "PLANE", plane.URL, "DIR", dir, "END", until).Replace(text)
		file := filepath.Join(dir, fmt.Sprintf("gate%d.yaml", i))
		put(t, file, []byte(text))
		listen, status := runGate(t, program, file)
		targets = append(targets, status)
		clients = append(clients, listen)
	}
	keepAsking(t, plane.Client(), clients)
	return targets
}

func writeSecret(t *testing.T, path string, key []byte) {
	t.Helper()
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// controlPlane serves a signed control document and a signed ring. It writes what gates need to trust it, and its own
// certificate as theirs, which its client trusts.
func controlPlane(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	documents := map[string]string{}
	for path, document := range map[string]struct {
		typ    string
		claims map[string]any
	}{
		"/control": {"approov-control+jwt", map[string]any{"version": 1, "until": now.Add(time.Hour).UTC().Format(time.RFC3339),
			"routes": map[string]any{"orders": map[string]any{"mode": "enforce", "rollout": 50}}}},
		"/ring": {"approov-keys+jwt", map[string]any{"version": 1, "keys": []any{map[string]any{
			"name": "june", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString(ringKey)}}}},
	} {
		document.claims["aud"], document.claims["iat"] = "edge", now.Unix()
		payload, err := json.Marshal(document.claims)
		if err != nil {
			t.Fatal(err)
		}
		if documents[path], err = mint.SignRaw("ES256", key, `{"alg":"ES256","typ":"`+document.typ+`"}`, string(payload)); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, documents[r.URL.Path]) }))
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	for name, text := range map[string][]byte{
		"authority.pem": certificate, "cert.pem": certificate,
		"key.pem":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"control.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

// runGate starts a gate, which ends with the test, and learns from its log where it serves.
func runGate(t *testing.T, program, file string) (listen, status string) {
	t.Helper()
	command := exec.Command(program, "run", "--config", file)
	command.Env = append(os.Environ(), "GOMEMLIMIT=200MiB")
	out, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Message string   `json:"msg"`
		Listen  []string `json:"listen"`
		Status  string   `json:"status"`
	}
	started, drained := make(chan line, 1), make(chan struct{})
	var last string
	go func() { // ended by the process's end
		defer close(drained)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var one line
			last = lines.Text()
			if json.Unmarshal([]byte(last), &one) == nil && one.Message == "started" {
				started <- one
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended by itself
		<-drained
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("the last line of the gate of %s: %s", filepath.Base(file), last)
		}
	})
	select {
	case one := <-started:
		return one.Listen[0], one.Status
	case <-drained:
		t.Fatal("the gate has ended")
	case <-time.After(allPatience):
		t.Fatal("the gate does not serve")
	}
	return "", ""
}

// keepAsking sends each gate requests of every kind, again and again, until the test ends.
func keepAsking(t *testing.T, client *http.Client, gates []string) {
	t.Helper()
	token := func(key []byte) string {
		text, err := mint.Sign("HS256", "", key, map[string]any{"exp": time.Now().Unix() + 3600})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	genuine := token(testKey)
	kinds := []struct{ path, token string }{
		{"/transfers", genuine}, {"/", token(formerKey)}, {"/", token(ringKey)}, {"/", token([]byte(strings.Repeat("of another account", 4)))},
		{"/", ""}, {"/transfers", ""}, {"/orders", ""}, {"/reports", ""}, {"/healthz", ""}, {"/fails", genuine},
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ended by stop
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for _, gate := range gates {
				for _, kind := range kinds {
					request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+gate+kind.path, nil)
					if err != nil {
						continue // the address is the gate's own
					}
					if kind.token != "" {
						request.Header.Set("Approov-Token", kind.token)
					}
					if response, err := client.Do(request); err == nil {
						_, _ = io.Copy(io.Discard, response.Body) // the gate's metrics say what became of it
						_ = response.Body.Close()
					}
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}
