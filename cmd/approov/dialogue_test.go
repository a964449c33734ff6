package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// answered is how a line ends at which the manual's reader has typed YES.
const answered = " please enter YES and return: YES"

// dialogueCommand plays a file as the manual prints it: behind "$ " what is typed, below it what the terminal shows,
// standard output and standard error as they come. YES behind a question is typed; "$ echo $?" is the exit status of
// the command before. Lines that begin with # say which statements are shown, $NAME stands for a variable.
func dialogueCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: dialogue FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		if name == "?" {
			return "$?"
		}
		return ts.Getenv(name)
	})
	steps := strings.Split("\n"+text, "\n$ ")
	if len(steps) < 2 {
		ts.Fatalf("%s: got no line that begins with $, want one", args[0])
	}
	status := 0
	for _, step := range steps[1:] {
		typed, shown, _ := strings.Cut(step, "\n")
		want, yes := screen(shown)
		got := strconv.Itoa(status) + "\n"
		if typed != "echo $?" {
			got, status = played(ts, typed, yes)
		}
		if got != want {
			ts.Fatalf("$ %s\ngot:\n%swant:\n%s", typed, got, want)
		}
	}
}

// screen is what a step prints, without comments and empty lines, and without the YES that is typed; and whether it is.
func screen(shown string) (want string, yes bool) {
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if strings.HasSuffix(line, answered) {
			line, yes = strings.TrimSuffix(line, "YES"), true
		}
		want += line + "\n"
	}
	return want, yes
}

// played runs a command line in a shell, and returns what it prints and its exit status.
func played(ts *testscript.TestScript, line string, yes bool) (string, int) {
	script := "exec 2>&1 </dev/null; " + line
	if yes {
		script = "exec 2>&1; echo YES | " + line
	}
	status := 0
	if err := ts.Exec("sh", "-c", script); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		status = failed.ExitCode()
	}
	return ts.ReadFile("stdout"), status
}
