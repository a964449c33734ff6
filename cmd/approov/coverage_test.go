package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// onTheCommandLine are the statements of the manual that whoever uses this tool can see, but for those that are to come:
// DeviceCheck, metrics, offline mode and the failover server.
const onTheCommandLine = "R20-R22 R32-R34 R60-R66 R68-R73 R75-R82 R84-R89 R92 R101-R112 R115-R118 R120-R130 R135-R139 " +
	"R141-R148 R152-R157 R189-R197 R207-R209 R211 R214-R216"

// stanza is a comment of a script that names statements, and the commands up to the next one that does.
type stanza struct {
	script, comment string
	statements      []string
	commands        []string
}

// statementsIn are the statements that a text names, as R1 or R1-R3.
func statementsIn(text string) []string {
	var all []string
	for _, found := range regexp.MustCompile(`\bR(\d+)(?:-R(\d+))?\b`).FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(found[1])
		last, err := strconv.Atoi(found[2])
		if err != nil {
			last = first
		}
		for n := first; n <= last; n++ {
			all = append(all, fmt.Sprintf("R%d", n))
		}
	}
	return all
}

// stanzas reads all scripts.
func stanzas(t *testing.T) []stanza {
	t.Helper()
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d scripts and %v", len(files), err)
	}
	var all []stanza
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stanzasOf(strings.TrimSuffix(filepath.Base(file), ".txtar"), string(text))...)
	}
	return all
}

func stanzasOf(script, text string) []stanza {
	runsFile := regexp.MustCompile(`exec (?:ba)?sh (\S+)$`)
	var all []stanza
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(text, "\n#", "\n\n#"), "\n\n") {
		for line := range strings.Lines(paragraph) {
			line = strings.TrimSpace(line)
			named := statementsIn(line)
			switch {
			case strings.HasPrefix(line, "#") && len(named) > 0:
				all = append(all, stanza{script: script, comment: line, statements: named})
			case strings.HasPrefix(line, "-- ") && len(all) > 0:
				all = append(all, stanza{script: script}) // a file: what is in it belongs to no comment before
			case line != "" && !strings.HasPrefix(line, "#") && len(all) > 0:
				last := &all[len(all)-1]
				if ran := runsFile.FindStringSubmatch(line); ran != nil {
					_, inside, _ := strings.Cut(text, "-- "+ran[1]+" --\n")
					inside, _, _ = strings.Cut(inside, "\n-- ")
					line += " " + strings.ReplaceAll(inside, "\n", " ")
				}
				last.commands = append(last.commands, line)
			}
		}
	}
	return slices.DeleteFunc(all, func(s stanza) bool { return s.comment == "" })
}

// TestStanzasKeepWhatTheySay holds that a comment which names a statement is followed by a command of this tool, and by
// something that looks at what came of it.
func TestStanzasKeepWhatTheySay(t *testing.T) {
	runsApproov := regexp.MustCompile(`(^|[ /'])(approov|registration)\b`)
	compares := regexp.MustCompile(`^(\[[a-z:]+\] )?(! |exits |json |stdout |stderr |grep |exists |cmp |cmpenv |mode )`)
	for _, s := range stanzas(t) {
		if !slices.ContainsFunc(s.commands, runsApproov.MatchString) {
			t.Errorf("%s, %q: got no command of approov below it, want one", s.script, s.comment)
		}
		played := slices.ContainsFunc(s.commands, func(line string) bool { return strings.HasPrefix(line, "$ ") }) // a dialogue is compared as it is
		if !played && !slices.ContainsFunc(s.commands, compares.MatchString) {
			t.Errorf("%s, %q: got nothing that compares, want one line", s.script, s.comment)
		}
	}
}

// TestEveryStatementHasAScript holds that each statement of the command line is shown by a script.
func TestEveryStatementHasAScript(t *testing.T) {
	shown := map[string]bool{}
	for _, s := range stanzas(t) {
		for _, name := range s.statements {
			shown[name] = true
		}
	}
	for _, name := range statementsIn(onTheCommandLine) {
		if !shown[name] {
			t.Errorf("%s: got no script with a comment that names it, want one", name)
		}
	}
}

// TestTheChecklistNamesTheScripts holds that docs/checklist.md names, for each statement, the scripts that name it, at
// the end of its row. With UPDATE_DOCS=1 it writes them there.
func TestTheChecklistNamesTheScripts(t *testing.T) {
	const file = "../../docs/checklist.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string][]string{}
	for _, s := range stanzas(t) {
		for _, name := range s.statements {
			if quoted := "`" + s.script + "`"; !slices.Contains(scripts[name], quoted) {
				scripts[name] = append(scripts[name], quoted)
			}
		}
	}
	row := regexp.MustCompile("(?m)^\\| (R\\d+) \\| ([^|]+) \\| ([^|]*?)(;? ?script (`[a-z_]+`(?:, `[a-z_]+`)*))? \\|$")
	want := row.ReplaceAllStringFunc(string(text), func(line string) string {
		found := row.FindStringSubmatch(line)
		name, proof, got, want := found[1], found[3], found[5], strings.Join(scripts[found[1]], ", ")
		if got != want {
			t.Logf("%s: got the scripts %s, want %s, whose comments name it", name, got, want)
		}
		switch {
		case want != "" && strings.TrimSpace(proof) == "":
			proof = "script " + want
		case want != "" && got == "":
			proof += "; script " + want
		case want != "":
			proof += strings.TrimSuffix(found[4], got) + want
		}
		return fmt.Sprintf("| %s | %s | %s |", name, found[2], proof)
	})
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Error("got other scripts in docs/checklist.md than those above; UPDATE_DOCS=1 go test ./cmd/approov -run TestTheChecklistNamesTheScripts writes them")
	}
}

// TestStanzasAreRead holds how scripts are read.
func TestStanzasAreRead(t *testing.T) {
	got := stanzasOf("s", "# R1, R3-R4: a\n# more\napproov x\nstdout y\n# other\nexec sh f\n# R5\n\n-- f --\napproov z\n")
	want := []stanza{
		{"s", "# R1, R3-R4: a", []string{"R1", "R3", "R4"}, []string{"approov x", "stdout y", "exec sh f approov z "}},
		{"s", "# R5", []string{"R5"}, nil},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
