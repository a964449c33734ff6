//go:build linux

package deploy

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/mint"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// image is what the last stage of the container file makes.
type image struct {
	copies  map[string]string // what is in it: from a path of the build stage
	user    int
	command []string // entrypoint and default arguments
}

// containerFile is the container file's text, continued lines joined.
func containerFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("container/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\\\n", " ")
}

func readImage(t *testing.T) image {
	t.Helper()
	_, last, scratch := strings.Cut(containerFile(t), "\nFROM scratch\n")
	if !scratch {
		t.Fatal("the image is not made from scratch")
	}
	made := image{copies: map[string]string{}}
	for _, line := range strings.Split(strings.TrimSpace(last), "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "COPY":
			paths := strings.Fields(strings.TrimPrefix(value, "--from=build "))
			made.copies[paths[1]] = paths[0]
		case "USER":
			user, group, _ := strings.Cut(value, ":")
			id, err := strconv.Atoi(user)
			if err != nil || id == 0 || group != user {
				t.Fatalf("got USER %s, want a number that is not 0, and the same as group: there is no /etc/passwd", value)
			}
			made.user = id
		case "ENTRYPOINT", "CMD":
			for _, word := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(value, -1) {
				made.command = append(made.command, word[1])
			}
		case "EXPOSE", "STOPSIGNAL":
		default:
			t.Fatalf("the container file's last stage has %q, which this test does not know", line)
		}
	}
	return made
}

// buildFlags are what the container file gives the go tool.
func buildFlags(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 go build (.*) -ldflags="([^"]*)" -o \S+ \./cmd/approovgate$`).FindStringSubmatch(containerFile(t))
	if found == nil {
		t.Fatal("the container file does not build a static ./cmd/approovgate")
	}
	return append(strings.Fields(found[1]), "-ldflags="+found[2])
}

func TestTheContainerFileNamesNoRegistry(t *testing.T) {
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(containerFile(t), -1) {
		if strings.Contains(from[1], "/") {
			t.Errorf("got FROM %s, want a plain name: whoever builds chooses the registry", from[1])
		}
	}
}

// TestTheImageServes lays out a folder as the image would be, makes it the root of a process of the image's user, and has
// that forward to an API over TLS, whose authority is the only one in the image: so the program needs no other file, and
// finds the certificates where the image has them. Nothing in the folder is writable to it, or changed after it.
func TestTheImageServes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may change a process's root folder and user")
	}
	made := readImage(t)
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the API") }))
	defer api.Close()
	content := map[string][]byte{"/etc/ssl/certs/ca-certificates.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})}
	program, err := os.ReadFile(build(t, buildFlags(t)...))
	if err != nil {
		t.Fatal(err)
	}
	content["/out/approovgate"] = program

	root := t.TempDir()
	for path, from := range made.copies {
		if content[from] == nil {
			t.Fatalf("the image has %s, which this test cannot make", from)
		}
		put(t, filepath.Join(root, path), content[from])
	}
	listen, status := porttest.Free(t), porttest.Free(t)
	gateFile := fmt.Sprintf("listen: %s\nstatus: %s\nupstream: %s\npolicy: {keys: [{name: account, alg: HS256, secret: file:approov.secret}]}\n", listen, status, api.URL)
	conf := filepath.Join(root, filepath.Dir(made.command[len(made.command)-1]))
	put(t, filepath.Join(conf, "gate.yaml"), []byte(gateFile))
	testSecret(t, filepath.Join(conf, "approov.secret"), 0o400)
	if err := os.Chown(filepath.Join(conf, "approov.secret"), made.user, made.user); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)

	runIn(t, root, made)
	address := "http://" + listen
	if got := ask(t, "http://"+status+"/ready", ""); got != "200 ready\n" {
		t.Errorf("/ready: got %q, want 200 ready", got)
	}
	token, err := mint.Sign("HS256", "", testKey, map[string]any{"exp": time.Now().Unix() + 300})
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, address+"/", token); got != "200 the API" {
		t.Errorf("with a token: got %q, want 200 the API", got)
	}
	if got := ask(t, address+"/", ""); !strings.HasPrefix(got, "401 ") {
		t.Errorf("without a token: got %q, want 401", got)
	}
	if after := tree(t, root); !slices.Equal(after, before) {
		t.Errorf("the image's files after the run: got %v, want %v", after, before)
	}
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o555)); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a folder, with its size and mode.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fmt.Sprint(strings.TrimPrefix(path, root), " ", info.Mode(), " ", info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// runIn starts the image's command as its user with root as its root folder and nothing in its environment. The process
// ends with the test; then it must end well by itself, on SIGTERM.
func runIn(t *testing.T, root string, made image) {
	t.Helper()
	command := &exec.Cmd{Path: made.command[0], Args: made.command, Dir: "/", Env: []string{}, Stdout: t.Output(), Stderr: t.Output(),
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(made.user), Gid: uint32(made.user)}}}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cut := time.AfterFunc(patience, func() { _ = command.Process.Kill() }) // Wait then says so
		defer cut.Stop()
		if err := errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait()); err != nil {
			t.Errorf("after SIGTERM: %v, want exit status 0", err)
		}
	})
}

// ask sends a GET, until something answers, and returns the status and the body.
func ask(t *testing.T, url, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Approov-Token", token)
	}
	deadline := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close() // read to its end, or the error below
			if err != nil {
				t.Fatal(err)
			}
			return strconv.Itoa(response.StatusCode) + " " + string(body)
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", url, err)
		case <-again.C:
		}
	}
}
