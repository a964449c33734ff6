package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// The flags of each command; a true one takes no value.
var (
	where    = map[string]bool{"admin": false, "admin-token": false, "config": false, "json": true}
	account  = map[string]bool{"reason": false, "by": false}
	override = map[string]bool{"for": false, "until": false, "rollout": false, "route": false}
	commands = map[string]struct {
		flags     []map[string]bool
		arguments int
	}{
		"bypass": {flags: []map[string]bool{where, account, override}}, "log": {flags: []map[string]bool{where, account, override}},
		"enforce": {flags: []map[string]bool{where, account, override}}, "resume": {flags: []map[string]bool{where, account}},
		"status": {flags: []map[string]bool{where}}, "report": {flags: []map[string]bool{where, {"hours": false}}},
		"sign":  {flags: []map[string]bool{{"key": false, "aud": false, "version": false}}, arguments: 2},
		"check": {flags: []map[string]bool{{"config": false}}}, "run": {flags: []map[string]bool{{"config": false}}},
	}
)

// commandLines are the uses of approovgate in a page, in console blocks and in the text.
func commandLines(page string) []string {
	var lines []string
	for _, block := range fenced(page, "console") {
		block = strings.ReplaceAll(block, "\n> ", "\n$ ")
		for _, found := range regexp.MustCompile(`(?m)^[$#] (?:.*[\s/])?approovgate ([^|;>&\n]*)`).FindAllStringSubmatch(block, -1) {
			lines = append(lines, found[1])
		}
	}
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, found := range regexp.MustCompile("`approovgate\\s([^`]*)`").FindAllStringSubmatch(text, -1) {
		lines = append(lines, found[1])
	}
	return lines
}

// checkCommand reports what is wrong with the words behind approovgate.
func checkCommand(line string) error {
	words := regexp.MustCompile(`"[^"]*"|\$\([^)]*\)|\S+`).FindAllString(line, -1)
	if len(words) == 0 {
		return fmt.Errorf("no command")
	}
	command, known := commands[words[0]]
	if !known {
		return fmt.Errorf("no command %s", words[0])
	}
	arguments := 0
	for i := 1; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i], "--")
		if !isFlag {
			arguments++
			continue
		}
		at := slices.IndexFunc(command.flags, func(flags map[string]bool) bool { _, ok := flags[name]; return ok })
		if at < 0 {
			return fmt.Errorf("%s has no flag --%s", words[0], name)
		}
		if command.flags[at][name] {
			continue
		}
		if i++; i == len(words) || strings.HasPrefix(words[i], "--") {
			return fmt.Errorf("--%s has no value", name)
		}
		if err := checkValue(name, words[i]); err != nil {
			return fmt.Errorf("--%s %s: %w", name, words[i], err)
		}
	}
	if arguments != command.arguments {
		return fmt.Errorf("%s has %d arguments, want %d", words[0], arguments, command.arguments)
	}
	if words[0] == "sign" && words[1] != "control" && words[1] != "keys" {
		return fmt.Errorf("sign %s, want control or keys", words[1])
	}
	return nil
}

func checkValue(name, value string) error {
	switch name {
	case "for":
		d, err := time.ParseDuration(value)
		if err == nil && (d <= 0 || d > 24*time.Hour) {
			err = fmt.Errorf("want up to 24h")
		}
		return err
	case "rollout", "hours":
		n, err := strconv.Atoi(value)
		if err == nil && (n < 0 || name == "rollout" && n > 100) {
			err = fmt.Errorf("want 0 to 100 percent, or some hours")
		}
		return err
	}
	return nil
}

func TestCommandsAreCheckedAtAll(t *testing.T) {
	for line, good := range map[string]bool{
		`bypass --for 15m --route a --route b --reason "INC 42" --json`: true, `sign keys --key k.pem --aud edge --version $(date +%s) ring.json`: true,
		`bypas`: false, `bypass --fro 15m`: false, `bypass --for`: false, `bypass --for 48h`: false, `log transfers`: false, `resume --for 1h`: false,
		`enforce --rollout 101`: false, `sign bypass --key k.pem a.json`: false, `sign control --key k.pem`: false,
	} {
		if err := checkCommand(line); (err == nil) != good {
			t.Errorf("%s: got %v, want good: %t", line, err, good)
		}
	}
}

func TestTheRunbooksCommandsAreKnown(t *testing.T) {
	total := 0
	for name, page := range runbooks(t) {
		for _, line := range commandLines(page) {
			total++
			if err := checkCommand(line); err != nil {
				t.Errorf("%s: approovgate %s: %v", name, line, err)
			}
		}
	}
	if total < 40 {
		t.Errorf("got %d commands in all runbooks, want more than 40: are all read?", total)
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
			if !slices.ContainsFunc(readAlerts(t).all(), func(rule alert) bool { return rule.Alert == found }) {
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
