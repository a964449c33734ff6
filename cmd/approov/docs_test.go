package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// cliReference is the heading in docs/cli.md below which TestCLIReference holds every line.
const cliReference = "## Reference\n"

// ofTheManual are the verbs and flags of the manual; all others are ours. So are whoami, of Approov's CLI reference for
// the manual's version, and messageSigningKey, of a later one.
func ofTheManual() map[string][]string {
	return map[string][]string{
		"registration": {"add", "list", "remove", "removeMatching", "expireAfter", "versionName", "libraryID"},
		"api":          {"add", "list", "remove", "check", "getAll", "setAll", "getLeafPin", "getCertPin", "getCertChainPins", "jwe", "pinType", "explicitPin"},
		"policy":       {"get", "set", "getIPTracking", "setIPTracking"},
		"device":       {"add", "list", "remove", "policy", "pinMode", "banMode"},
		"devicecheck":  {"addAuthKey", "teamID", "bits", "expiry", "get", "remove"},
		"token":        {"check", "genExample", "genLongLived", "type", "setDataHashInToken"},
		"secret":       {"get", "update", "messageSigningKey"},
		"sdk":          {"getConfig", "getLibrary", "libraryID", "bitcode"},
		"management":   {"add", "list", "revoke", "admin", "file"},
		"metrics":      {},
		"usage":        {},
		"whoami":       {},
	}
}

// reference is what docs/cli.md says of all verbs.
func reference() string {
	var b strings.Builder
	flags := func(v verb, options []option, mark func(name string) bool) {
		if len(options) == 0 {
			return
		}
		fmt.Fprintf(&b, "| flag | |\n|---|---|\n")
		for _, o := range options {
			ours := ""
			if mark(o.name) {
				ours = " **ours**"
			}
			fmt.Fprintf(&b, "| `%s` | %s%s |\n", strings.ReplaceAll(o.usage(), "|", `\|`), o.about, ours)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nOf every verb, all **ours**:\n\n")
	flags(verb{}, everyOption(), func(string) bool { return false })
	for _, v := range verbs() {
		manual, known := ofTheManual()[v.name]
		ours := ""
		if !known {
			ours = " (**ours**)"
		}
		fmt.Fprintf(&b, "### %s%s\n\n%s\n\n", v.name, ours, v.about)
		for _, a := range v.actions {
			for _, line := range strings.Split(strings.TrimRight(v.synopsis(a), "\n"), "\n") {
				fmt.Fprintf(&b, "    %s\n", strings.TrimPrefix(line, "  "))
			}
		}
		b.WriteString("\n")
		flags(v, v.ownOptions(), func(name string) bool { return known && !slices.Contains(manual, name) })
	}
	b.WriteString("### Without a server (**ours**)\n\n")
	for _, v := range local() {
		fmt.Fprintf(&b, "- `%s`: %s\n", v.name, v.about)
	}
	return b.String()
}

// TestCLIReference compares docs/cli.md with the tables of verbs.
func TestCLIReference(t *testing.T) {
	const file = "../../docs/cli.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	intro, got, ok := strings.Cut(string(text), cliReference)
	if !ok {
		t.Fatalf("%s: got no heading %q, want one", file, cliReference)
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(file, []byte(intro+cliReference+reference()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := reference(); got != want {
		t.Errorf("%s: got another reference than the verbs make, want theirs: UPDATE_DOCS=1 go test ./cmd/approov -run TestCLIReference", file)
	}
	for status, about := range statuses() {
		if want := fmt.Sprintf("| %d | %s |", status, about); !strings.Contains(intro, want) {
			t.Errorf("%s: got no line %q, want it", file, want)
		}
	}
}
