package attestd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What README says of a first app is done as it says, by a shell: the management tool's commands, the app, its
// registration, and a token that is valid.
func TestReadmeFirstApp(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Issue the tokens yourself\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("README has no section about issuing tokens")
	}
	blocks := func(language string) []string {
		var all []string
		for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
			all = append(all, match[1])
		}
		return all
	}
	commands, programs := blocks("sh"), blocks("go")
	if len(commands) != 2 || len(programs) != 1 {
		t.Fatalf("README: got %d blocks of commands and %d programs, want 2 and 1", len(commands), len(programs))
	}
	dir := t.TempDir()
	s := startService(t, filepath.Join(dir, "attestserver-data"))
	app := filepath.Join(dir, "app")
	if err := os.Mkdir(app, 0o700); err != nil {
		t.Fatal(err)
	}
	shell := func(script string) string {
		command := exec.Command("sh", "-e")
		command.Dir = app
		command.Stdin = strings.NewReader(script)
		// The app keeps its device ID in approovgate below XDG_CONFIG_HOME: that must not be the clone.
		command.Env = append(os.Environ(), "APPROOV_SERVER="+s.url(), "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
			"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"),
			"PATH="+filepath.Dir(program(t, "approov"))+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(dir, "approovgate")); err != nil { // the clone
		t.Fatal(err)
	}
	shell(commands[0])
	if err := os.WriteFile(filepath.Join(app, "main.go"), []byte(programs[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	out := shell(commands[0][:strings.Index(commands[0], "\n")+1] + commands[1])
	if !strings.Contains(out, "registration successful") || !strings.Contains(out, "valid: JWS {") || strings.Contains(out, "invalid") {
		t.Errorf("got %s, want a registration and a valid token", out)
	}
	if _, err := os.Stat(filepath.Join(root, "com.example.shop")); err == nil {
		t.Error("the app has written into the clone, want its device ID below the user's own folder")
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
