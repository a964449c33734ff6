package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// jsonCommand runs a command, which may fail as a check does, and compares that all it prints is JSON objects, one a
// line. A registration's signature and a management token's ID are put into variables.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: json COMMAND...")
	}
	var status *exec.ExitError
	if err := ts.Exec(args[0], args[1:]...); err != nil && !(errors.As(err, &status) && status.ExitCode() == exitRefused) {
		ts.Fatalf("%v", err)
	}
	text := strings.TrimSuffix(ts.ReadFile("stdout"), "\n")
	for _, line := range strings.Split(text, "\n") {
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%q: got %q, want a JSON object", args, line)
		}
		var registration struct{ Signature string }
		if json.Unmarshal(object["registration"], &registration) == nil && registration.Signature != "" {
			ts.Setenv("SIGNATURE", registration.Signature)
		}
		var id string
		if json.Unmarshal(object["id"], &id) == nil && id != "" {
			ts.Setenv("TOKENID", id)
		}
	}
}

// TestEveryActionHasJSON holds that a script runs every action of every verb with -json and has the outcome read.
func TestEveryActionHasJSON(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	runs := func(verb, action string) bool {
		for line := range strings.Lines(scripts.String()) {
			named := action == "" || strings.Contains(line, " -"+action+" ")
			if strings.HasPrefix(line, "json approov "+verb+" ") && named && strings.Contains(line, " -json") {
				return true
			}
		}
		return false
	}
	for _, v := range verbs() {
		for _, a := range v.actions {
			if !runs(v.name, a.name) {
				t.Errorf("got no script that runs json approov %s -%s with -json, want one", v.name, a.name)
			}
		}
	}
}
