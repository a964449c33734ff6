package layout

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/proxy"
)

// blocks are README's code blocks of one language, in order.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, match[1])
	}
	if len(all) == 0 {
		t.Fatalf("README.md has no block of %s", language)
	}
	return all
}

// The commands for a clone are run elsewhere: cmd/demo's own tests walk the demo, continuous integration runs make
// test, the test below builds what go install installs, and internal/attestd's tests do so for the attestation service.
func TestReadmeNamesOnlyCloneCommandsThatAreRunElsewhere(t *testing.T) {
	got := strings.Join(blocks(t, "console"), "")
	want := "$ go run ./cmd/demo\n$ make test\n$ go install ./cmd/approovgate\n" + signing +
		"$ go install ./cmd/attestserver ./cmd/approov\n$ cd ..\n$ attestserver\n"
	if got != want {
		t.Errorf("README's commands for a clone: got\n%swant\n%s", got, want)
	}
}

// signing are README's commands for a fleet, run by TestReadmeSigns.
const signing = "$ openssl ecparam -name prime256v1 -genkey -noout -out control.key && openssl ec -in control.key -pubout -out control.pem\n" +
	"$ approovgate sign control --key control.key --aud edge,edge-2 incident.yaml > edge.jwt\n"

// TestReadmeCommandsRun types what README says into a shell, in a folder with its gate.yaml, with free ports in place
// of its own.
func TestReadmeCommandsRun(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "approovgate"), "./cmd/approovgate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	listen := porttest.Free(t)
	ports := strings.NewReplacer("127.0.0.1:8080", listen, "127.0.0.1:9000", porttest.Free(t), "127.0.0.1:9902", porttest.Free(t),
		"/tmp/approovgate.sock", filepath.Join(dir, "admin.sock"))
	gateFile := ports.Replace(blocks(t, "yaml")[0])
	if err := os.WriteFile(filepath.Join(dir, "gate.yaml"), []byte(gateFile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks(t, "sh") {
		if strings.Contains(block, "approov registration") || strings.Contains(block, "approov api") {
			continue // they need the attestation service: internal/attestd's tests run them
		}
		command := exec.Command("sh", "-e")
		command.Stdin = strings.NewReader(ports.Replace(block))
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		if strings.Contains(block, "approovgate status") {
			serve := exec.Command(filepath.Join(bin, "approovgate"), "run", "--config", "gate.yaml")
			serve.Dir = dir
			runWhile(t, serve, listen, func(string) {
				if out, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", block, err, out)
				}
			})
			continue
		}
		if !strings.Contains(block, "approovgate run") {
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", block, err, out)
			}
			continue
		}
		command.Stdin = strings.NewReader("exec " + replaceAssignment(read(t, command)))
		status := 0
		runWhile(t, command, listen, func(url string) {
			response, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			status = response.StatusCode
		})
		want := http.StatusUnauthorized
		if strings.Contains(block, "--config") {
			want = http.StatusBadGateway // gate.yaml logs and forwards, and no API is there
		}
		if status != want {
			t.Errorf("%s: got status %d without a token, want %d", block, status, want)
		}
	}
}

// runWhile starts a command that serves, does something when it answers, and ends it.
func runWhile(t *testing.T, command *exec.Cmd, address string, do func(url string)) {
	t.Helper()
	var out strings.Builder
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill() // it may have ended by itself, which shows below
		_ = command.Wait()         // killed: the error says so
	}()
	client := http.Client{Timeout: 10 * time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	url := "http://" + address + "/v1/shapes"
	for {
		if response, err := client.Get(url); err == nil {
			_ = response.Body.Close()
			do(url)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nothing answers at %s\n%s", address, out.String())
		case <-again.C:
		}
	}
}

// TestReadmeSigns types README's commands for a fleet, with a document for an incident.
func TestReadmeSigns(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed; apt-get install openssl")
		}
		t.Skip("openssl is not installed; apt-get install openssl")
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "approovgate"), "./cmd/approovgate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	document := "mode: bypass\nuntil: " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + "\nreason: INC-42\nby: ops\n"
	if err := os.WriteFile(filepath.Join(dir, "incident.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-e")
	command.Stdin = strings.NewReader(strings.ReplaceAll(signing, "$ ", ""))
	command.Dir = dir
	command.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	signed, err := os.ReadFile(filepath.Join(dir, "edge.jwt"))
	if err != nil || strings.Count(string(signed), ".") != 2 {
		t.Errorf("got %q (%v), want a signed document", signed, err)
	}
}

// replaceAssignment lets "NAME=value command" stand behind exec, which takes a command alone.
func replaceAssignment(line string) string {
	if strings.HasPrefix(line, "approovgate") {
		return line
	}
	return "env " + line
}

func read(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	reader, ok := command.Stdin.(*strings.Reader)
	if !ok {
		t.Fatalf("got standard input %T, want text", command.Stdin)
	}
	text := make([]byte, reader.Len())
	if _, err := reader.Read(text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmePolicyHoldsTheDefaults decodes README's reference of the policy and compares it with an empty one.
func TestReadmePolicyHoldsTheDefaults(t *testing.T) {
	tree, problems := host.ParseTree([]byte(blocks(t, "yaml")[1]))
	got, found := config.Decode(tree)
	for _, p := range append(problems, found...) {
		t.Errorf("README's policy: %s", p)
	}
	want, _ := config.Decode(map[string]any{"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "file:approov.secret"}}})
	if got.Token != want.Token || got.Targets != want.Targets || got.Preflight != want.Preflight ||
		got.Respond != want.Respond || got.Upstream != want.Upstream || got.Privacy != want.Privacy || got.Name != want.Name ||
		got.Default.Mode != want.Default.Mode || got.Default.Rollout != want.Default.Rollout || got.Default.Format != want.Default.Format {
		t.Errorf("README's policy: got\n%+v\nwant the defaults\n%+v", got, want)
	}
}

// TestReadmeGateFileHoldsTheDefaults decodes README's reference of the gate file and compares it with the shortest one.
func TestReadmeGateFileHoldsTheDefaults(t *testing.T) {
	tree, problems := host.ParseTree([]byte(blocks(t, "yaml")[2]))
	got, found := proxy.DecodeConfig(tree)
	for _, p := range append(problems, found...) {
		t.Errorf("README's gate file: %s", p)
	}
	want, _ := proxy.DecodeConfig(map[string]any{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy_file": "policy.yaml",
		"tls": map[string]any{"cert": "server.pem", "key": "server.key"}})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("README's gate file: got\n%+v\nwant the defaults\n%+v", got, want)
	}
}

func TestReadmeExplainsEveryReason(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range engine.Reasons() {
		if !strings.Contains(string(text), "`"+string(reason)+"`") {
			t.Errorf("README.md does not explain %s", reason)
		}
	}
}
