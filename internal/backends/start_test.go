package backends

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
)

// patience is how long a backend may take to start.
const patience = 20 * time.Second

// backend is one kind of backend. start starts it for one test and returns its URL; a loose one drops
// path parameters and ignores letter case, where its kind can.
type backend struct {
	name  string
	start func(t *testing.T, loose bool) string
}

var kinds = []backend{{"Go", startGo}, {"nginx", startNginx}, {"Node.js", startNode}, {"Python", startPython}}

// installed is the path of a program, which a Debian package brings.
func installed(t *testing.T, program, debian string) string {
	t.Helper()
	for _, candidate := range []string{program, "/usr/sbin/" + program} {
		if found, err := exec.LookPath(candidate); err == nil {
			return found
		}
	}
	text := program + " is not installed; apt-get install " + debian
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

// startGo serves with Go's ServeMux, or in its loose form behind what a servlet container does to a path.
func startGo(t *testing.T, loose bool) string {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, resource := range map[string]string{
		"/api/admin": "PROTECTED-ADMIN", "/api/caf\u00e9": "PROTECTED-ADMIN", "/api/keys/": "PROTECTED-ADMIN", "/api/keys": "PROTECTED-ADMIN",
		"/api/": "PROTECTED-API", "/public/": "PUBLIC",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Resolved", url.PathEscape(r.URL.Path))
			_, _ = io.WriteString(w, resource)
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loose {
			segments := strings.Split(r.URL.EscapedPath(), "/")
			for i := range segments {
				segments[i], _, _ = strings.Cut(segments[i], ";")
			}
			plain, err := url.PathUnescape(strings.Join(segments, "/"))
			if err != nil {
				http.Error(w, "NOTHING", http.StatusBadRequest)
				return
			}
			r.URL = &url.URL{Path: strings.ToLower(path.Clean(plain))}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func startNode(t *testing.T, loose bool) string {
	t.Helper()
	return startProgram(t, installed(t, "node", "nodejs"), "testdata/server.js", word(loose))
}

// startPython serves files whose content says what they are.
func startPython(t *testing.T, loose bool) string {
	t.Helper()
	program := installed(t, "python3", "python3")
	root := t.TempDir()
	for name, resource := range map[string]string{
		"api/admin": "PROTECTED-ADMIN", "api/caf\u00e9": "PROTECTED-ADMIN", "api/keys/1": "PROTECTED-ADMIN", "api/other": "PROTECTED-API",
		"public/page": "PUBLIC", "page": "NOTHING",
	} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(resource), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return startProgram(t, program, "testdata/server.py", root, word(loose))
}

func word(loose bool) string {
	if loose {
		return "loose"
	}
	return "strict"
}

// launch starts a program that ends with the test.
func launch(t *testing.T, command *exec.Cmd) {
	t.Helper()
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended by itself, which Wait tells as well
		_ = command.Wait()
	})
}

// startProgram starts a program that prints the port it listens on.
func startProgram(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	launch(t, command)
	line := make(chan string, 1)
	go func() { // ended by the program's end
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	select {
	case port := <-line:
		if port == "" {
			t.Fatalf("%s ended before it listened", program)
		}
		return "http://127.0.0.1:" + port
	case <-time.After(patience):
		t.Fatalf("%s did not listen within %v", program, patience)
	}
	return ""
}

func startNginx(t *testing.T, loose bool) string {
	t.Helper()
	program := installed(t, "nginx", "nginx")
	template, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	match := "~"
	if loose {
		match = "~*"
	}
	dir, address := t.TempDir(), porttest.Free(t)
	text := strings.NewReplacer("DIR", dir, "ADDRESS", address, "MATCH", match).Replace(string(template))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
	launch(t, command)
	if err := reachable(address); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		t.Fatalf("nginx on %s: %v\n%s", address, err, log)
	}
	return "http://" + address
}

// reachable waits until an address accepts connections.
func reachable(address string) error {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("not reachable: %w", err)
		}
	}
}
