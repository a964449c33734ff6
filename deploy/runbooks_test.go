//go:build linux

package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

// runbooks are the pages of docs/runbooks by file name.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("docs/runbooks: %d pages, %v", len(files), err)
	}
	pages := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(text)
	}
	return pages
}

// fenced are a page's code blocks of one language, without the indentation of the list they stand in.
func fenced(page, language string) []string {
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, strings.ReplaceAll("\n"+found[2], "\n"+found[1], "\n"))
	}
	return blocks
}

// commandLines are the uses of approovgate in a page: those typed in console blocks, and those named in the text.
func commandLines(page string) (typed, named []string) {
	for _, block := range fenced(page, "console") {
		block = strings.ReplaceAll(block, "\n> ", "\n$ ")
		for _, found := range regexp.MustCompile(`(?m)^[$#] (?:.*[\s/])?approovgate ([^|;>&\n]*)`).FindAllStringSubmatch(block, -1) {
			typed = append(typed, found[1])
		}
	}
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, found := range regexp.MustCompile("`approovgate\\s([^`]*)`").FindAllStringSubmatch(text, -1) {
		named = append(named, strings.Join(strings.Fields(found[1]), " "))
	}
	return typed, named
}

// TestTheRunbooksCommandsWork types the pages' uses of approovgate into a shell on the machine of a running gate. Those of
// console blocks must succeed; those in the text, which have words like FILE in them, must not be wrong usage.
func TestTheRunbooksCommandsWork(t *testing.T) {
	program, dir := build(t), t.TempDir()
	admin := "unix:" + filepath.Join(dir, "admin.sock")
	file := filepath.Join(dir, "gate.yaml")
	testSecret(t, filepath.Join(dir, "account.secret"), 0o400)
	text := "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9000\nadmin: " + admin + `
policy:
  mode: log
  control: {file: ` + filepath.Join(dir, "control.json") + `}
  keys: [{name: account, alg: HS256, secret: "file:` + filepath.Join(dir, "account.secret") + `"}]
  routes: [{name: transfers, paths: [/transfers]}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runGate(t, program, file)
	signingKey(t, filepath.Join(dir, "control-key.pem"))

	run := func(line string) (status int, out string) {
		command := exec.Command("sh", "-c", "approovgate "+line)
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"), "APPROOVGATE_ADMIN="+admin)
		said, err := command.CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			t.Fatal(err)
		}
		return command.ProcessState.ExitCode(), string(said)
	}
	for _, wrong := range []string{"bypas", "bypass --fro 15m", "log --for 48h", "log transfers", "resume --for 1h", "sign keys --key control-key.pem"} {
		if status, out := run(wrong); status != 2 {
			t.Errorf("approovgate %s: got status %d, want 2\n%s", wrong, status, out)
		}
	}
	total := 0
	for name, page := range runbooks(t) {
		writeDocuments(t, page, dir)
		typed, named := commandLines(page)
		total += len(typed) + len(named)
		for _, line := range typed {
			if status, out := run(line); status != 0 {
				t.Errorf("%s: approovgate %s: got status %d, want 0\n%s", name, line, status, out)
			}
		}
		for _, line := range named {
			if status, out := run(line); status == 2 {
				t.Errorf("%s: approovgate %s: got status 2\n%s", name, line, out)
			}
		}
	}
	if total < 40 {
		t.Errorf("got %d commands in all runbooks, want more than 40: are all read?", total)
	}
}

// writeDocuments writes a page's JSON blocks into a folder, each under the name that stands before it.
func writeDocuments(t *testing.T, page, dir string) {
	t.Helper()
	for _, found := range regexp.MustCompile("`(\\w+\\.json)`").FindAllStringSubmatchIndex(page, -1) {
		if blocks := fenced(page[found[1]:], "json"); len(blocks) > 0 {
			if err := os.WriteFile(filepath.Join(dir, page[found[2]:found[3]]), []byte(blocks[0]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// signingKey writes a new private key, as approovgate sign takes it.
func signingKey(t *testing.T, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheRunbooksDocumentsAreValid decodes them as a gate would. The version is left to the command that signs.
func TestTheRunbooksDocumentsAreValid(t *testing.T) {
	total := 0
	for name, page := range runbooks(t) {
		for _, block := range fenced(page, "json") {
			total++
			tree := map[string]any{}
			if err := json.Unmarshal([]byte(block), &tree); err != nil {
				t.Errorf("%s: %v\n%s", name, err, block)
				continue
			}
			tree["version"] = "1"
			var problems []config.Problem
			if _, isRing := tree["keys"]; isRing {
				_, problems = config.DecodeRing(tree)
			} else {
				var control config.Control
				if control, problems = config.DecodeControl(tree); !control.Empty() && control.Until.IsZero() {
					t.Errorf("%s: a remote override without an end:\n%s", name, block)
				}
			}
			for _, problem := range problems {
				t.Errorf("%s: %v\n%s", name, problem, block)
			}
		}
	}
	if total < 4 {
		t.Errorf("got %d documents, want 4 or more", total)
	}
}

// TestTheRunbooksPoliciesAreValid has the program check them, with the same secret in every file they name: that is how a
// rotation begins.
func TestTheRunbooksPoliciesAreValid(t *testing.T) {
	program, total := build(t), 0
	for name, page := range runbooks(t) {
		for _, block := range fenced(page, "yaml") {
			total++
			dir := t.TempDir()
			for _, secret := range []string{"current.secret", "previous.secret"} {
				testSecret(t, filepath.Join(dir, secret), 0o400)
			}
			text := "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9000\npolicy:" + strings.ReplaceAll(block, "\n", "\n  ") + "\n"
			file := filepath.Join(dir, "gate.yaml")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/etc/approovgate/", dir+"/")), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, "check", "--config", file).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "OK: ") {
				t.Errorf("%s: approovgate check: %v, want OK\n%s%s", name, err, out, text)
			}
		}
	}
	if total < 2 {
		t.Errorf("got %d policies, want 2 or more", total)
	}
}

// TestTheRunbooksPanelsAreThere looks for what is said in quotation marks behind the word panel in the dashboard.
func TestTheRunbooksPanelsAreThere(t *testing.T) {
	titles := map[string]bool{}
	for _, p := range readDashboard(t).Panels {
		titles[p.Title] = true
	}
	total := 0
	for name, page := range runbooks(t) {
		for _, found := range regexp.MustCompile(`panels?\s+"([^"]+)"`).FindAllStringSubmatch(page, -1) {
			total++
			if title := strings.Join(strings.Fields(found[1]), " "); !titles[title] {
				t.Errorf("%s: the dashboard has no panel %q", name, title)
			}
		}
		for _, found := range regexp.MustCompile(`\bApproovGate\w+`).FindAllString(page, -1) {
			if !slices.ContainsFunc(readAlerts(t, gateRules, serviceRules).all(), func(rule alert) bool { return rule.Alert == found }) {
				t.Errorf("%s: there is no alert %s", name, found)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(filepath.Join("../docs/runbooks", link[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if total < 5 {
		t.Errorf("got %d panels in all runbooks, want 5 or more", total)
	}
}
