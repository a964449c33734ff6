package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	_ "time/tzdata" // the scripts' time zone, whatever the machine has

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestapi"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"approov": main, legacyName: main})
}

// TestScripts runs testdata/scripts. Besides testscript's own commands they have those below. A stanza whose comment
// begins with R and a number shows what that item of the manual's checklist says.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "Europe/Berlin")
			tokens, err := filepath.Glob(filepath.Join(e.WorkDir, "*.tok"))
			for _, file := range tokens {
				err = errors.Join(err, os.Chmod(file, 0o600)) // testscript makes files that the world may read
			}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"standin":  standInCommand,
			"service":  serviceCommand,
			"advance":  advanceCommand,
			"keep":     keepCommand,
			"attest":   attestCommand,
			"asked":    askedCommand,
			"app":      appCommand,
			"package":  packageCommand,
			"cut":      cutCommand,
			"mode":     modeCommand,
			"exits":    exitsCommand,
			"tls":      tlsCommand,
			"ending":   endingCommand,
			"json":     jsonCommand,
			"pinned":   pinnedCommand,
			"expand":   expandCommand,
			"dialogue": dialogueCommand,
			"statuses": statusesCommand,
		},
	})
}

// appCommand writes a file that is an app as far as registering goes: some bytes and an SDK library for each ID. A
// file whose name begins with go- is a Go program, which says its name and version.
func appCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: app FILE ACCOUNT [LIBRARY]...")
	}
	text := []byte("not a program, but measured like one\n")
	if strings.HasPrefix(args[0], "go-") {
		self, err := os.Executable()
		ts.Check(err)
		text, err = os.ReadFile(self)
		ts.Check(err)
	}
	for _, id := range args[2:] {
		text = append(text, attestapi.NewLibrary(id, args[1], "Go", "1.0.0", [attestapi.LibraryKeySize]byte{1}).Encode()...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o700))
}

// modeCommand compares a file's permissions.
func modeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE PERMISSIONS")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("permissions of %s: got %s, want %s", args[0], got, args[1])
	}
}

// exitsCommand runs a command and compares its exit status, which "!" does not.
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var status *exec.ExitError
		if !errors.As(err, &status) {
			ts.Fatalf("%v", err)
		}
		got = strconv.Itoa(status.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit status of %q: got %s, want %s", args[1:], got, args[0])
	}
}

// expandCommand replaces the $NAMEs of variables in a file.
func expandCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// endingCommand replaces the line end of the last line of a file.
func endingCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ending FILE none|crlf")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	if args[1] == "crlf" {
		text += "\r\n"
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// TestHelpFitsOneScreen holds the length and the width of what -h prints.
func TestHelpFitsOneScreen(t *testing.T) {
	texts := map[string]string{"help": usage()}
	for _, v := range verbs() {
		texts[v.name] = v.help()
	}
	for name, text := range texts {
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		most := screenLines
		switch name {
		case "help": // a line or two for each verb
			most = 39
		case "api": // it has the most to say
			most = 30
		}
		if len(lines) > most {
			t.Errorf("help of %s: got %d lines, want at most %d", name, len(lines), most)
		}
		for _, line := range lines {
			if len(line) > screenWidth {
				t.Errorf("help of %s: got a line of %d columns, want at most %d: %s", name, len(line), screenWidth, line)
			}
		}
	}
}

// TestVerbs holds what the tables of verbs must keep to.
func TestVerbs(t *testing.T) {
	for _, v := range verbs() {
		options := map[string]bool{}
		for _, o := range v.allOptions() {
			if options[o.name] {
				t.Errorf("%s: got -%s twice, want every flag once", v.name, o.name)
			}
			options[o.name] = true
		}
		for _, o := range v.options {
			if len(v.allowing(o.name)) == 0 && len(v.actions) > 1 {
				t.Errorf("%s: got no action that -%s goes with, want one", v.name, o.name)
			}
		}
		for _, a := range v.actions {
			for _, name := range append(a.needs, a.takes...) {
				if !options[name] {
					t.Errorf("%s -%s: got the option -%s, which is not declared", v.name, a.name, name)
				}
			}
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"registration", "api", "policy", "device"}
	for _, row := range []struct{ name, typed, want string }{
		{"a letter is missing", "registraton", "; did you mean registration?"},
		{"two letters are swapped", "plociy", "; did you mean policy?"},
		{"capitals do not matter", "API", "; did you mean api?"},
		{"a beginning", "regis", "; did you mean registration?"},
		{"nothing is near", "xyzzy", ""},
		{"nothing at all", "", ""},
	} {
		if got := didYouMean(row.typed, known); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
