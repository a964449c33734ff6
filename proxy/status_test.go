package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStatusListener(t *testing.T) {
	gate := run(t, newUpstream(t, nil).URL, map[string]any{})
	gate.get("/x")
	for _, row := range []struct {
		name, method, path string
		status             int
		body               string
	}{
		{"live", "GET", "/live", 200, "live\n"},
		{"ready", "GET", "/ready", 200, "ready\n"},
		{"HEAD works", "HEAD", "/ready", 200, ""},
		{"metrics count decisions", "GET", "/metrics", 200, `approovgate_decisions_total{action="reject",mode="enforce",reason="token_missing",route="",verdict="fail"} 1`},
		{"metrics tell the build", "GET", "/metrics", 200, "approovgate_build_info{"},
		{"metrics tell the keys", "GET", "/metrics", 200, `approovgate_keys{usable="true"} 1`},
		{"metrics tell of the process", "GET", "/metrics", 200, "process_open_fds"},
		{"it is read-only", "POST", "/ready", 405, "read only\n"},
		{"deleting is refused", "DELETE", "/metrics", 405, "read only\n"},
		{"no other path exists", "GET", "/", 404, "404 page not found\n"},
		{"no path below one exists", "GET", "/ready/", 404, "404 page not found\n"},
		{"no profiler is there", "GET", "/debug/pprof/", 404, "404 page not found\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := gate.probe(row.method, row.path)
			if got.status != row.status || !strings.Contains(got.body, row.body) || row.body == "" && got.body != "" {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, row.status, row.body)
			}
		})
	}
}

func TestStatusPathsAreNotOnTheDataListener(t *testing.T) {
	gate := run(t, newUpstream(t, nil).URL, map[string]any{})
	for _, path := range []string{"/live", "/ready", "/metrics"} {
		if got := gate.get(path, "User-Agent: kube-probe/1.30"); got.status != 401 {
			t.Errorf("%s: got %d, want 401 like any other path", path, got.status)
		}
	}
}

func TestNotReadyWithoutAUsableKey(t *testing.T) {
	now := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	keys := keysOfTest()
	keys[0].(map[string]any)["not_after"] = now.Format(time.RFC3339)
	gate := run(t, newUpstream(t, nil).URL, map[string]any{"keys": keys}, func(p *Proxy) { p.Now = func() time.Time { return now } })
	if got := gate.probe("GET", "/ready"); got.status != 503 || got.body != "no usable key\n" {
		t.Errorf("ready: got %d %q, want 503 no usable key", got.status, got.body)
	}
	if got := gate.probe("GET", "/live"); got.status != 200 {
		t.Errorf("live: got %d, want 200", got.status)
	}
}

func TestDraining(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(finish) })
	defer release()
	upstream := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "finished")
	})
	gate := run(t, upstream.URL, map[string]any{})
	conn := gate.dial()
	defer conn.Close()
	fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- gate.stop() }() // ends when the request below has finished
	gate.log.wait(t, "draining", 1)
	if got := gate.probe("GET", "/ready"); got.status != 503 || got.body != "draining\n" {
		t.Errorf("ready: got %d %q, want 503 draining", got.status, got.body)
	}
	release()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "finished" {
		t.Errorf("request in flight: got %d %q, %v, want 200 finished", response.StatusCode, body, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func TestRunNeedsALoadedPolicyAndAFreePort(t *testing.T) {
	if err := (&Proxy{}).Run(t.Context()); err == nil {
		t.Error("Run before Load: got nil, want an error")
	}
	first := run(t, newUpstream(t, nil).URL, map[string]any{})
	second := &Proxy{Tree: map[string]any{"listen": []any{"127.0.0.1:0", first.address}, "upstream": "http://127.0.0.1:1",
		"policy": map[string]any{"keys": keysOfTest()}}}
	second.Load()
	if err := second.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listen "+first.address) {
		t.Errorf("Run on a taken port: got %v, want an error that names it", err)
	}
}
