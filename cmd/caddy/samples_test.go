package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/porttest"
	"go.yaml.in/yaml/v3"
)

const samples = "../../deploy/caddy/"

// replaced is a text in which each of the first of two, which must be there, has become the second.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the sample has no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func readSample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(samples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compose is as much of a compose file as the sample needs. No Docker is asked: the file is held by decoding it strictly.
type compose struct {
	Services map[string]struct {
		Build struct {
			Context    string `yaml:"context"`
			Dockerfile string `yaml:"dockerfile"`
		} `yaml:"build"`
		Image       string              `yaml:"image"`
		Command     []string            `yaml:"command"`
		Environment map[string]string   `yaml:"environment"`
		Ports       []string            `yaml:"ports"`
		Configs     []map[string]string `yaml:"configs"`
		Secrets     []string            `yaml:"secrets"`
		Tmpfs       []string            `yaml:"tmpfs"`
		ReadOnly    bool                `yaml:"read_only"`
		CapDrop     []string            `yaml:"cap_drop"`
		Security    []string            `yaml:"security_opt"`
		Stop        string              `yaml:"stop_grace_period"`
	} `yaml:"services"`
	Configs map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(readSample(t, "compose.yaml")))
	decoder.KnownFields(true)
	var c compose
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// manifestCaddyfile is the Caddyfile in the manifest for Kubernetes, which deploy/kubernetes/check decodes strictly.
func manifestCaddyfile(t *testing.T) string {
	t.Helper()
	var config struct{ Data map[string]string }
	if err := yaml.NewDecoder(strings.NewReader(readSample(t, "kubernetes.yaml"))).Decode(&config); err != nil {
		t.Fatal(err)
	}
	return config.Data["Caddyfile"]
}

// sample is one of the samples with addresses and paths of a test's own, for mode enforce.
type sample struct {
	home
	address, status string
	args            []string // of caddy run and validate
	config          string
	plain           string // the same without what keeps the token out of the log
	health          string // what needs no token
}

const deletesToken = "request>headers>Approov-Token delete"

func newSample(t *testing.T, name string) *sample {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			panic(http.ErrAbortHandler) // the connection is closed
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(api.Close)
	s := &sample{home: newHome(t), address: porttest.Free(t), status: porttest.Free(t), health: "/health", args: []string{"--config", "Caddyfile"}}
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	upstream, quick := api.Listener.Addr().String(), "grace_period 1s\n\tauto_https off\n\tdefault_bind "+host
	switch name {
	case "Caddyfile":
		s.config = replaced(t, readSample(t, name), "api.example.com {", "http://"+s.address+" {", "/run/caddy/", s.dir+"/", "/var/lib/caddy/", s.dir+"/",
			"/run/secrets/approov.secret", s.path("approov"), "127.0.0.1:9000", upstream, "127.0.0.1:9902", s.status, "grace_period 30s", quick, "mode log ", "mode enforce ")
	case "caddy.json":
		s.args = []string{"--config", "caddy.json"}
		s.config = replaced(t, readSample(t, name), `"listen": [":443"],`, `"listen": ["`+s.address+`"], "automatic_https": {"disable": true},`, "api.example.com", host,
			"/run/caddy/", s.dir+"/", "/var/lib/caddy/", s.dir+"/", "/run/secrets/approov.secret", s.path("approov"), "127.0.0.1:9000", upstream, "127.0.0.1:9902", s.status,
			`"30s"`, `"1s"`, `"mode": "log"`, `"mode": "enforce"`)
		s.plain = replaced(t, s.config, `"request>headers>Approov-Token": {"filter": "delete"}`, "")
	case "compose.yaml":
		s.status = ""
		s.config = replaced(t, readCompose(t).Configs["caddyfile"].Content, "http://:8080", "http://"+s.address, "/var/lib/caddy/", s.dir+"/",
			"/run/secrets/approov.secret", s.path("approov"), "api:9000", upstream, "grace_period 30s", quick, "mode log", "mode enforce")
	case "kubernetes.yaml":
		s.health = "/healthz"
		s.config = replaced(t, manifestCaddyfile(t), "http://:8080", "http://"+s.address, "http://:9902", "http://"+s.status, "/run/caddy/", s.dir+"/",
			"/run/secrets/approov/approov.secret", s.path("approov"), "127.0.0.1:9000", upstream, "\tauto_https off\n", "", "grace_period 30s", quick, "shutdown_delay 5s", "shutdown_delay 1s", "mode log", "mode enforce")
	}
	if s.plain == "" {
		s.plain = replaced(t, s.config, deletesToken, "")
	}
	return s
}

// listens returns the addresses that the sample serves.
func (s *sample) listens() []string {
	if s.status == "" {
		return []string{s.address}
	}
	return []string{s.address, s.status}
}

// serve runs the sample with a configuration, asks it as clients would, and returns what it has logged.
func (s *sample) serve(t *testing.T, config, token string) (logged string) {
	t.Helper()
	s.write(t, s.args[1], config)
	p, err := s.start("", s.listens(), s.args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		method, path, token string
		want                int
	}{{"GET", "/", token, 200}, {"GET", "/", "", 401}, {"GET", "/fails", token, 502}, {"GET", s.health, "", 200}} {
		if got, text := ask(t, row.method, "http://"+s.address+row.path, row.token, ""); got != row.want {
			t.Errorf("%s %s: got %d %s, want %d", row.method, row.path, got, text, row.want)
		}
	}
	if strings.Contains(config, "/v1/transfers") {
		if got, text := ask(t, "POST", "http://"+s.address+"/v1/transfers", token, ""); got != 401 {
			t.Errorf("POST of a token that is not bound: got %d %s, want 401", got, text)
		}
	}
	if s.status != "" {
		if got, text := ask(t, "GET", "http://"+s.status+"/metrics", "", ""); got != 200 || !strings.Contains(text, `approovgate_decisions_total{action="reject",gate="edge"`) {
			t.Errorf("metrics: got %d %.300s, want decisions of the gate edge", got, text)
		}
	}
	s.switches(t)
	if err := p.stop(); err != nil {
		t.Errorf("caddy run: got %v, want exit status 0", err)
	}
	return p.said.String()
}

// switches asks the gate's admin routes as an operator would, through the socket that the samples have.
func (s *sample) switches(t *testing.T) {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path("admin.sock"))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://localhost/approov/edge/status")
	if err != nil {
		t.Errorf("the admin socket: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the admin socket: got %d, want 200", response.StatusCode)
	}
	if info, err := os.Stat(s.path("admin.sock")); err != nil {
		t.Errorf("the admin socket: %v", err)
	} else if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the admin socket: got %v, want it for Caddy's user alone", info.Mode())
	}
}

// TestSamplesAreServed loads each sample with the program, asks it for its site, and looks for the token in its log: it
// must not be there, and without the line that deletes it, it would be.
func TestSamplesAreServed(t *testing.T) {
	for _, name := range []string{"Caddyfile", "caddy.json", "compose.yaml", "kubernetes.yaml"} {
		t.Run(name, func(t *testing.T) {
			s, token := newSample(t, name), token(t)
			s.write(t, s.args[1], s.config)
			if out, err := s.run(t, append([]string{"validate"}, s.args...)...); err != nil || strings.Contains(out, `"level":"warn"`) {
				t.Errorf("caddy validate: got %v and\n%s\nwant no warning", err, out)
			}
			logged := s.serve(t, s.config, token)
			if !strings.Contains(logged, "http.log.access") || !strings.Contains(logged, "http.log.error") || strings.Contains(logged, token) {
				t.Errorf("got this log, want requests in it and no token:\n%s", logged)
			}
			if logged = s.serve(t, s.plain, token); !strings.Contains(logged, token) {
				t.Errorf("without what deletes the token: got a log that has none all the same; the sample's line does nothing:\n%s", logged)
			}
			if strings.Contains(logged, accountSecret) {
				t.Error("the log holds the secret")
			}
		})
	}
}

// TestTheComposeFileFitsTogether: what is mounted is what the Caddyfile names, and only Caddy is reachable.
func TestTheComposeFileFitsTogether(t *testing.T) {
	c := readCompose(t)
	caddy, config := c.Services["caddy"], c.Configs["caddyfile"].Content
	for _, path := range []string{caddy.Build.Context, filepath.Join(caddy.Build.Context, caddy.Build.Dockerfile)} {
		if _, err := os.Stat(filepath.Join(samples, path)); err != nil {
			t.Errorf("build: %v", err)
		}
	}
	if got := fmt.Sprint(caddy.Configs); got != "[map[source:caddyfile target:/etc/caddy/Caddyfile]]" || caddy.Command[len(caddy.Command)-1] != "/etc/caddy/Caddyfile" {
		t.Errorf("got configs %s and command %q, want the Caddyfile where it is looked for", got, caddy.Command)
	}
	if len(caddy.Secrets) != 1 || c.Secrets[caddy.Secrets[0]].File == "" || !strings.Contains(config, "{file./run/secrets/"+caddy.Secrets[0]+"}") {
		t.Errorf("got secrets %q, want the one that the Caddyfile names", caddy.Secrets)
	}
	if len(c.Services["api"].Ports) != 0 || len(c.Services["api"].Secrets) != 0 || fmt.Sprint(caddy.Ports) != "[8080:8080]" {
		t.Errorf("got ports %q of the API, with secrets %q, and %q of Caddy; want Caddy's alone", c.Services["api"].Ports, c.Services["api"].Secrets, caddy.Ports)
	}
	writable, _, _ := strings.Cut(caddy.Tmpfs[0], ":")
	if !caddy.ReadOnly || writable != caddy.Environment["XDG_CONFIG_HOME"] || writable != caddy.Environment["XDG_DATA_HOME"] || !strings.Contains(config, "admin unix/"+writable+"/") {
		t.Errorf("got %q writable, want what Caddy writes to: its own folders and the admin socket", caddy.Tmpfs)
	}
}

// TestAPodThatLeavesSaysSo: while Caddy waits for balancers to look elsewhere, it still serves.
func TestAPodThatLeavesSaysSo(t *testing.T) {
	s := newSample(t, "kubernetes.yaml")
	s.write(t, "Caddyfile", replaced(t, s.config, "shutdown_delay 1s", "shutdown_delay 3s"))
	p, err := s.start("", s.listens(), s.args...)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/live": 200, "/ready": 200} {
		if got, _ := ask(t, "GET", "http://"+s.status+path, "", ""); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- p.stop() }()
	ready := 200
	for ready == 200 {
		ready, _ = ask(t, "GET", "http://"+s.status+"/ready", "", "")
	}
	served, _ := ask(t, "GET", "http://"+s.address+"/", token(t), "")
	if ready != 503 || served != 200 {
		t.Errorf("leaving: got %d for /ready and %d for a request, want 503 and 200", ready, served)
	}
	if err := <-ended; err != nil {
		t.Errorf("caddy run: got %v, want exit status 0", err)
	}
}

// TestTheContainerFileBuildsTheProgram: its image has what the build makes, under no registry's name.
func TestTheContainerFileBuildsTheProgram(t *testing.T) {
	text := readSample(t, "Containerfile")
	for _, line := range []string{"FROM golang:1.26 AS build", "RUN CGO_ENABLED=0 go build -o /out/caddy ./cmd/caddy", "FROM scratch", "COPY --from=build /out/caddy /caddy", `ENTRYPOINT ["/caddy"]`} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("Containerfile: got no line %q", line)
		}
	}
	if n := strings.Count(text, "\nFROM "); n != 2 {
		t.Errorf("Containerfile: got %d stages, want 2", n)
	}
}
