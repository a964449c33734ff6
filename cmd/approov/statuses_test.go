package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// statusesCommand runs a command line of approov, without the program's name, with a flag that there is not, with a
// token that is not accepted, from a file and from the environment, and with a server that is not there, and compares
// the exit statuses: 2, 3 and 4. Nothing may stand on standard output, and no token anywhere.
func statusesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: statuses VERB ARGUMENTS...")
	}
	verb, rest := args[0], args[1:]
	behind := slices.Concat(args, []string{"-server", "http://127.0.0.1:1"})
	if verb == "explain" { // its operand comes last
		behind = slices.Concat([]string{verb, "-server", "http://127.0.0.1:1"}, rest)
	}
	exitsWith(ts, exitUsage, slices.Concat([]string{verb, "-nonsense"}, rest)...)
	exitsWith(ts, exitToken, slices.Concat([]string{verb, "wrong.tok"}, rest)...)
	exitsWith(ts, exitToken, slices.Concat([]string{verb, "missing.tok"}, rest)...)
	exitsWith(ts, exitUnreachable, behind...)
	given := ts.Getenv(tokenEnv)
	ts.Setenv(tokenEnv, "")
	exitsWith(ts, exitToken, args...)
	ts.Setenv(tokenEnv, strings.TrimSpace(ts.ReadFile("wrong.tok")))
	exitsWith(ts, exitToken, args...)
	ts.Setenv(tokenEnv, given)
}

// exitsWith runs approov, which must fail with a status and say why on standard error alone.
func exitsWith(ts *testscript.TestScript, want int, args ...string) {
	var status *exec.ExitError
	got := 0
	if err := ts.Exec("approov", args...); errors.As(err, &status) {
		got = status.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status of approov %q: got %d, want %d", args, got, want)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("approov %q: got %q on standard output, want nothing", args, out)
	}
	if says := ts.ReadFile("stderr"); says == "" || strings.Contains(says, "eyJ") {
		ts.Fatalf("approov %q: got %q on standard error, want why it failed, and no token", args, says)
	}
}

// TestEveryActionHasStatuses holds that a script looks at the exit statuses of every action that asks the service.
func TestEveryActionHasStatuses(t *testing.T) {
	text, err := os.ReadFile("testdata/scripts/statuses.txtar")
	if err != nil {
		t.Fatal(err)
	}
	exempt := map[string]string{
		"api -check":            "exits with 0 or 1 (R129)",
		"api -getCertPin":       "reads a file alone",
		"api -getCertChainPins": "looks from here alone",
	}
	for _, v := range verbs() {
		for _, a := range v.actions {
			line := strings.TrimSpace(v.name + " -" + a.name)
			if a.name == "" {
				line = v.name
			}
			there := strings.Contains(string(text), "\nstatuses "+line+" ") || strings.Contains(string(text), "\nstatuses "+line+"\n")
			if why := exempt[line]; !there && why == "" {
				t.Errorf("got no script that looks at the exit statuses of approov %s, want one", line)
			}
		}
	}
}
