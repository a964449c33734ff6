package e2e

import (
	"encoding/json"
	"fmt"
	"github.com/approovgate/approovgate/internal/porttest"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// binaries are the Traefik processes that "make traefik" builds, by version.
var binaries = []struct{ version, path string }{{"3.7", root + "/.cache/traefik"}, {"3.6", root + "/.cache/traefik-3.6"}}

// eachTraefik runs a test with every Traefik there is. Under CI=true there must be the first.
func eachTraefik(t *testing.T, test func(t *testing.T, binary string)) {
	for i, b := range binaries {
		t.Run(b.version, func(t *testing.T) {
			path, err := filepath.Abs(b.path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); err != nil {
				if os.Getenv("CI") == "true" && i == 0 {
					t.Fatalf("%v; run make traefik", err)
				}
				t.Skipf("%v; run make traefik, TRAEFIK=v3.6.12 for the older one", err)
			}
			test(t, path)
		})
	}
}

// traefik is a running process.
type traefik struct {
	*bundle
	t        testing.TB
	web, api string // addresses: the entry point, and the API with /debug
	process  *os.Process
	log      string // file
	ended    chan struct{}
}

// static is a static configuration.
func static(web, api, dir string) string {
	return fmt.Sprintf(`
global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints:
  web: {address: %q}
  traefik: {address: %q}
api: {insecure: true, debug: true}
providers:
  providersThrottleDuration: 10ms
  file: {directory: %q}
experimental:
  abortOnPluginFailure: true
  localPlugins:
    approov: {moduleName: %s}
`, web, api, filepath.Join(dir, "dynamic"), module)
}

// run starts a Traefik with the bundle and a first dynamic configuration, in which SECRET is the secret's file, and
// returns when it serves. edit may change the bundle and the static configuration before; nil: nothing.
func run(t *testing.T, binary, dynamic string, edit func(x *traefik, static string) string) *traefik {
	t.Helper()
	x := prepare(t, dynamic, edit)
	x.start(binary)
	until(t, "Traefik to serve", func() bool { return x.get("/api/version") != "" })
	return x
}

// prepare is run up to the start.
func prepare(t testing.TB, dynamic string, edit func(x *traefik, static string) string) *traefik {
	t.Helper()
	x := &traefik{bundle: newBundle(t), t: t, web: porttest.Free(t), api: porttest.Free(t), ended: make(chan struct{})}
	file := static(x.web, x.api, x.dir)
	if edit != nil {
		file = edit(x, file)
	}
	if err := os.Mkdir(filepath.Join(x.dir, "dynamic"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(x.dir, "traefik.yml"), file)
	x.configure(strings.ReplaceAll(dynamic, "SECRET", x.secret))
	return x
}

func (x *traefik) start(binary string) {
	x.t.Helper()
	x.begin(exec.Command(binary, "--configFile=traefik.yml"))
}

// begin starts the process in the bundle's folder, and ends it with the test.
func (x *traefik) begin(command *exec.Cmd) {
	x.t.Helper()
	x.log = filepath.Join(x.dir, "log")
	out, err := os.Create(x.log)
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	command.Dir, command.Stdout, command.Stderr = x.dir, out, out
	if err := command.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.process = command.Process
	go func() {
		_ = command.Wait() // killed: the error says so
		close(x.ended)
	}()
	x.t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		<-x.ended
		if x.t.Failed() {
			text := x.logged()
			x.t.Logf("Traefik's log ends:\n%s", text[max(0, len(text)-4000):])
		}
	})
}

func (x *traefik) logged() string {
	text, err := os.ReadFile(x.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// configure replaces the dynamic configuration.
func (x *traefik) configure(dynamic string) {
	x.t.Helper()
	write(x.t, filepath.Join(x.dir, "dynamic.next"), dynamic) // outside, where no half of it is read
	if err := os.Rename(filepath.Join(x.dir, "dynamic.next"), filepath.Join(x.dir, "dynamic", "dynamic.yml")); err != nil {
		x.t.Fatal(err)
	}
}

// get is what the API answers; empty: nothing yet.
func (x *traefik) get(path string) string {
	response, err := http.Get("http://" + x.api + path)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

// status waits for a router and returns its status and errors.
func (x *traefik) status(router string) (status, errors string) {
	x.t.Helper()
	until(x.t, "router "+router, func() bool {
		var got struct {
			Status string
			Error  []string
		}
		text := x.get("/api/http/routers/" + router + "@file")
		if json.Unmarshal([]byte(text), &got) != nil {
			return false
		}
		status, errors = got.Status, strings.Join(got.Error, "; ")
		return status != ""
	})
	return status, errors
}

// ask sends a GET request to the entry point and returns the status of the answer.
func (x *traefik) ask(path, token string) int {
	x.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+x.web+path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Approov-Token", token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// serving waits until a path is answered with a status.
func (x *traefik) serving(path, token string, status int) {
	x.t.Helper()
	until(x.t, fmt.Sprintf("%s to answer %d", path, status), func() bool { return x.ask(path, token) == status })
}

// goroutines is how many the process has.
func (x *traefik) goroutines() int {
	x.t.Helper()
	text := x.get("/debug/pprof/goroutine?debug=1")
	line, _, _ := strings.Cut(text, "\n")
	n, err := strconv.Atoi(strings.TrimPrefix(line, "goroutine profile: total "))
	if err != nil {
		x.t.Fatalf("got %.100q, want a profile", text)
	}
	return n
}

// heap is how many bytes are in use after a collection.
func (x *traefik) heap() int {
	x.t.Helper()
	for _, line := range strings.Split(x.get("/debug/pprof/heap?gc=1&debug=1"), "\n") {
		if text, ok := strings.CutPrefix(line, "# HeapInuse = "); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				x.t.Fatal(err)
			}
			return n
		}
	}
	x.t.Fatal("got no heap profile")
	return 0
}
