package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// runWatched is runFiles with files that are watched.
func runWatched(t *testing.T) (*rig, string) {
	t.Helper()
	gate, dir := newFiles(t)
	gate.proxy.unwatched = false
	gate.start()
	return gate, dir
}

// until waits for the statuses of a token of the first and of the next secret.
func (r *rig) until(want [2]int) (took time.Duration) {
	r.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for got := r.statuses(); got != want; got = r.statuses() {
		if time.Since(begin) > 3*patience {
			r.t.Fatalf("old and new secret: got %v, want %v", got, want)
		}
		<-tick.C
	}
	return time.Since(begin)
}

// Package host shows that files are watched; here it is what the proxy has watched.
func TestChangedFilesTakeEffectUnasked(t *testing.T) {
	gate, dir := runWatched(t)
	both := `keys:
- {name: account, alg: HS256, secret: "file:account.secret"}
- {name: next, alg: HS256, secret: "file:next.secret"}
`
	write(t, filepath.Join(dir, "next.secret"), base64.StdEncoding.EncodeToString(nextSecret))
	for _, row := range []struct {
		name, file, text string
		want             [2]int
	}{
		{"a second key", "policy.yaml", both, [2]int{200, 200}},
		{"the first secret is retired, in its file", "account.secret", base64.StdEncoding.EncodeToString(nextSecret), [2]int{401, 200}},
		{"the second one too", "next.secret", base64.StdEncoding.EncodeToString(testSecret), [2]int{200, 200}},
		{"the policy of the beginning", "policy.yaml", policyFileOfTest, [2]int{401, 200}},
		{"a file of control", "policy.yaml", policyFileOfTest + "control: {file: control.yaml}\n", [2]int{401, 200}},
		{"that opens the gate", "control.yaml", fmt.Sprintf("{version: 1, mode: log, until: %q}\n", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), [2]int{200, 200}},
		{"and closes it", "control.yaml", "{version: 2}\n", [2]int{401, 200}},
	} {
		write(t, filepath.Join(dir, row.file), row.text)
		t.Logf("%s: in force after %s", row.name, gate.until(row.want).Round(time.Millisecond))
	}
	for message, want := range map[string]string{"control changed": `"mode":"log"`, "control cleared": `"version":2`} {
		if lines := gate.log.lines(`"msg":"` + message + `"`); len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("lines with %q: got %q, want one with %s", message, lines, want)
		}
	}
}

func TestEveryFileIsWatched(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "gate.yaml"), `listen: https://127.0.0.1:0
upstream: https://127.0.0.1:1
tls: {cert: server.pem, key: server.key}
upstream_tls: {ca: api.pem, cert: client.pem, key: client.key}
policy_file: sub/policy.yaml
`)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub", "policy.yaml"), `keys:
- {name: a, alg: HS256, secret: "file:a.secret"}
- {name: b, alg: ES256, public_key: "file:/nowhere/b.pem"}
- {name: c, jwks: "file:c.json", algs: [ES256]}
- {name: d, jwks: "https://127.0.0.1:1/d", algs: [ES256], ca: d.pem}
- {name: e, ring: "https://127.0.0.1:1/e"}
- {name: f, alg: HS256, secret: "env:NONE"}
control: {file: control.yaml, url: "https://127.0.0.1:1/c", keys: ["file:k1.pem", "file:../k2.pem"], ca: ca.pem, token: "file:token", cache: cache, seal: "file:seal"}
`)
	p := &Proxy{File: filepath.Join(dir, "gate.yaml")}
	p.Load() // of files that are not there
	var got []string
	for _, path := range p.files() {
		if rest, ok := strings.CutPrefix(path, dir+"/"); ok {
			path = rest
		}
		got = append(got, path)
	}
	slices.Sort(got)
	want := []string{"/nowhere/b.pem", "api.pem", "client.key", "client.pem", "gate.yaml", "k2.pem", "server.key", "server.pem",
		"sub/a.secret", "sub/c.json", "sub/ca.pem", "sub/control.yaml", "sub/d.pem", "sub/k1.pem", "sub/policy.yaml", "sub/seal", "sub/token"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a gate tells while it is loaded is told before there is a log.
func TestEventsOfTheLoadAreLogged(t *testing.T) {
	gate, dir := newFiles(t)
	write(t, filepath.Join(dir, "policy.yaml"), policyFileOfTest+"control: {file: control.yaml}\n")
	write(t, filepath.Join(dir, "control.yaml"), fmt.Sprintf("{version: 7, mode: bypass, until: %q, reason: INC-42, by: ops}\n", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	gate.start()
	lines := gate.log.lines(`"msg":"control changed"`)
	if len(lines) != 1 || !strings.Contains(lines[0], `"slot":"local"`) || !strings.Contains(lines[0], `"reason":"INC-42"`) {
		t.Errorf("got lines %q, want one about the override", lines)
	}
	metrics := gate.probe("GET", "/metrics").body
	for _, want := range []string{`approovgate_control_active{slot="local"} 1`, `approovgate_control_changes_total{kind="set",slot="local"} 1`,
		`approovgate_route_mode{mode="bypass",route="",says="local"} 1`, "approovgate_clock_steps_total 0"} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics: got none with %s, want it", want)
		}
	}
}

// keySet is a key set of one key, named one, and what signs for it.
func keySet(t *testing.T) (public string, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"one","x":"` + encode(point[1:33]) + `","y":"` + encode(point[33:]) + `"}]}`, private
}

// TestNothingIsServedBeforeTheSourcesHaveAnswered has a source that takes a moment: a gate that served meanwhile
// would refuse genuine tokens.
func TestNothingIsServedBeforeTheSourcesHaveAnswered(t *testing.T) {
	const moment = 200 * time.Millisecond // well below what a gate waits
	var (
		ready   = make(chan struct{})
		early   = make(chan struct{})
		tooSoon sync.Once
	)
	public, private := keySet(t)
	source := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-ready:
			tooSoon.Do(func() { close(early) })
		case <-time.After(moment):
		}
		_, _ = io.WriteString(w, public) // a client that is gone needs none
	}))
	t.Cleanup(source.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: source.Certificate().Raw})))
	gate := newRig(t, newUpstream(t, nil).URL, map[string]any{"keys": []any{
		map[string]any{"name": "set", "jwks": source.URL, "algs": []any{"ES256"}, "ca": ca},
	}})
	gate.onReady = func() { close(ready) }
	gate.start()
	token, err := mint.Sign("ES256", "one", private, map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if got := gate.get("/x", "Approov-Token: "+token); got.status != 200 {
		t.Errorf("the first request: got %d, want 200", got.status)
	}
	select {
	case <-early:
		t.Error("got the gate ready while it waited for its keys, want it to wait")
	default:
	}
}

// Certificates are judged by the same clock as tokens.
func TestCertificatesAreJudgedByTheClock(t *testing.T) {
	end := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	server, key := testPair(t, 1, end)
	upstream := secureUpstream(t, server, key, nil)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, server)
	for now, want := range map[time.Time]int{end.Add(-time.Hour): 200, end.Add(time.Hour): 502} {
		gate := run(t, upstream.URL, map[string]any{}, func(p *Proxy) {
			p.Tree["upstream_tls"] = map[string]any{"ca": ca, "server_name": "gate.example"}
			p.Now = func() time.Time { return now }
		})
		token := validToken(t, map[string]any{"exp": now.Add(time.Minute).Unix()})
		if got := gate.get("/x", "Approov-Token: "+token); got.status != want {
			t.Errorf("at %s: got %d, want %d", now, got.status, want)
		}
	}
}
