package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

const compared = `
http:
  routers:
    bare: {rule: "PathPrefix(%[1]s/bare%[1]s)", entryPoints: [web], service: api}
    gate: {rule: "PathPrefix(%[1]s/gate%[1]s)", entryPoints: [web], service: api, middlewares: [edge]}
  services:
    api: {loadBalancer: {servers: [{url: %[2]q}]}}
  middlewares:
    edge: {plugin: {approov: {secretFile: SECRET, routes: [{name: bound, paths: [/gate/bound], binding: {from: ["header:Authorization"]}}]}}}
`

// BenchmarkTraefik tells what a request costs the Traefik process, with the plugin and without. What the client and the
// backend use is not counted.
//
//	go test -run '^$' -bench Traefik -benchtime 20000x -count 5
func BenchmarkTraefik(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	path, err := filepath.Abs(binaries[0].path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		b.Skipf("%v; run make traefik", err)
	}
	x := prepare(b, fmt.Sprintf(compared, "`", server.URL), func(x *traefik, static string) string {
		write(b, filepath.Join(x.dir, "plugins-local/src", module, "traefikplugin/clock.go"), read(b, root+"/traefikplugin/clock.go"))
		return static
	})
	x.start(path)
	x.serving("/gate", "", http.StatusUnauthorized)
	var tokens []string
	for i := range 20000 { // more than the plugin remembers
		text, err := mint.Sign("HS256", "", secret, map[string]any{"exp": time.Now().Unix() + 3600, "did": strconv.Itoa(i)})
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, text)
	}
	for _, row := range []struct {
		name  string
		path  func(i int) string
		token func(i int) string
		want  int
	}{
		{"bare", at("/bare"), func(int) string { return tokens[0] }, 204},
		{"a request seen before", at("/gate"), func(i int) string { return tokens[i%100] }, 204},
		{"a token seen before, on other paths", func(i int) string { return "/gate/" + strconv.Itoa(i) }, func(i int) string { return tokens[i%100] }, 204},
		{"tokens never seen before", at("/gate"), func(i int) string { return tokens[i%len(tokens)] }, 204},
		{"refused without a token", at("/gate"), func(int) string { return "" }, 401},
		{"refused for its signature", at("/gate"), func(i int) string { return tokens[i%100][:len(tokens[0])-8] + "AAAAAAAA" }, 401},
	} {
		b.Run(row.name, func(b *testing.B) {
			before := x.processor()
			b.ResetTimer()
			x.send(b, b.N, row.path, row.token, row.want)
			b.ReportMetric(float64(x.processor()-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

func at(path string) func(int) string { return func(int) string { return path } }

// send sends n requests over 16 connections.
func (x *traefik) send(b *testing.B, n int, path, token func(i int) string, want int) {
	b.Helper()
	const connections = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for c := range connections {
		all.Go(func() {
			for i := c; i < n; i += connections {
				r, err := http.NewRequest(http.MethodGet, "http://"+x.web+path(i), nil)
				if err != nil {
					b.Error(err)
					return
				}
				if text := token(i); text != "" {
					r.Header.Set("Approov-Token", text)
				}
				response, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != want {
					b.Errorf("got %d, want %d", response.StatusCode, want)
					return
				}
			}
		})
	}
	all.Wait()
}

// processor is what the process has used of the processors, in nanoseconds (proc(5), utime and stime).
func (x *traefik) processor() int64 {
	x.t.Helper()
	const tick = int64(10 * time.Millisecond) // of /proc, on every Linux that Go runs on
	fields := strings.Fields(read(x.t, fmt.Sprintf("/proc/%d/stat", x.process.Pid)))
	var used int64
	for _, field := range fields[13:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			x.t.Fatal(err)
		}
		used += n * tick
	}
	return used
}
