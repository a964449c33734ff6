package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// completionRows are command lines up to the cursor, what must be offered there, and what must not be. Of files there
// are myadmin.tok, notes.txt and app.apk.
var completionRows = []struct {
	name, line   string
	offered, not []string
}{
	{"the first word is a verb", "approov ", []string{"api", "registration", "whoami", "help", "completion"}, []string{"-list", "notes.txt"}},
	{"a verb's beginning", "approov reg", []string{"registration"}, []string{"api"}},
	{"a verb's actions", "approov registration -", []string{"-add", "-list", "-remove", "-json"}, []string{"-expireAfter", "--add"}},
	{"with two dashes", "approov registration --", []string{"--add", "--list", "--json"}, []string{"-add"}},
	{"an action's options, and no other action", "approov registration -add app.apk -", []string{"-expireAfter", "-dryRun"}, []string{"-list", "-add"}},
	{"an option is offered once", "approov registration -add app.apk -expireAfter 1d -", []string{"-package"}, []string{"-expireAfter"}},
	{"behind the token's file", "approov api myadmin.tok -", []string{"-add", "-list"}, []string{"-jwe"}},
	{"token files", "approov api my", []string{"myadmin.tok"}, []string{"notes.txt"}},
	{"values of a closed set", "approov device -add x -pinMode ", []string{"pin", "unpin", "block", "blockAll"}, []string{"-policy", "notes.txt"}},
	{"with two dashes, too", "approov device --add x --pinMode b", []string{"block", "blockAll"}, []string{"unpin"}},
	{"pin types", "approov api -add api.example.com -pinType ", []string{"explicit", "none"}, nil},
	{"token types", "approov token -genExample api.example.com -type ", []string{"valid", "invalid", "expired", "failover"}, nil},
	{"IP tracking", "approov policy -setIPTracking ", []string{"none", "token", "full"}, nil},
	{"what to do with the message signing key", "approov secret myadmin.tok -messageSigningKey ", []string{"change", "get-base64url", "off"}, nil},
	{"policies", "approov policy -set default,allow-root-", []string{"default,allow-root-and-jailbroken,all"}, []string{"default,whitelist,all"}},
	{"files for FILE", "approov sdk -getConfig n", []string{"notes.txt"}, nil},
	{"an app", "approov registration -add a", []string{"app.apk"}, nil},
	{"text has no completion", "approov api -add ", nil, []string{"notes.txt", "-list"}},
	{"a verb that is one action", "approov audit -", []string{"-limit", "-before", "-json"}, nil},
	{"help knows verbs", "approov help re", []string{"registration"}, nil},
	{"shells", "approov completion ", []string{"bash", "zsh", "fish"}, nil},
	{"nothing for what is no verb", "approov nonsense -", nil, []string{"-list"}},
}

// completionRig is a folder with a completion and some files.
func completionRig(t *testing.T, shell string) (dir string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("%s is not installed: apt-get install %s", shell, shell)
	}
	dir = t.TempDir()
	var script bytes.Buffer
	c := &console{stdin: strings.NewReader(""), stdout: &script, stderr: io.Discard, getenv: os.Getenv}
	if status := c.run([]string{"completion", shell}); status != exitOK {
		t.Fatalf("approov completion %s: got the exit status %d, want 0", shell, status)
	}
	for name, text := range map[string][]byte{"completion": script.Bytes(), "myadmin.tok": nil, "notes.txt": nil, "app.apk": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shellTime bounds a shell that hangs.
const shellTime = 2 * time.Minute

// inShell runs a shell in a folder that is its home, too.
func inShell(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), shellTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TERM=dumb", "LC_ALL=C.UTF-8"}
	var wrong strings.Builder
	cmd.Stderr = &wrong
	out, err := cmd.Output()
	if err != nil || wrong.Len() > 0 {
		t.Fatalf("%s: got %v and on standard error %q, want neither", args[0], err, wrong.String())
	}
	return string(out)
}

// checkOffers compares what was offered with the rows.
func checkOffers(t *testing.T, offered map[string][]string) {
	t.Helper()
	for _, row := range completionRows {
		got := offered[row.line]
		for _, word := range row.offered {
			if !slices.Contains(got, word) {
				t.Errorf("%s: %q: got %q, want %q among them", row.name, row.line, got, word)
			}
		}
		for _, word := range row.not {
			if slices.Contains(got, word) {
				t.Errorf("%s: %q: got %q, want no %q among them", row.name, row.line, got, word)
			}
		}
	}
}

func TestCompletionBash(t *testing.T) {
	dir := completionRig(t, "bash")
	offered := map[string][]string{}
	lines := []string{"approov device -add x -pinMode = bl", "approov device -add x -pinMode ="}
	for _, row := range completionRows {
		lines = append(lines, row.line)
	}
	for _, line := range lines {
		words := strings.Split(line, " ")
		input := "source ./completion\nCOMP_WORDS=("
		for _, word := range words {
			input += " " + quoted(word)
		}
		input += " )\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_approov\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
		offered[line] = strings.Split(inShell(t, dir, input, "bash", "--norc", "--noprofile"), "\n")
	}
	checkOffers(t, offered)
	if got, want := offered[lines[0]], []string{"block", "blockAll", ""}; !slices.Equal(got, want) {
		t.Errorf("-pinMode=bl, of which bash makes three words: got %q, want %q", got, want)
	}
	if got := offered[lines[1]]; !slices.Contains(got, "unpin") {
		t.Errorf("-pinMode=: got %q, want all modes", got)
	}
}

func TestCompletionFish(t *testing.T) {
	dir := completionRig(t, "fish")
	input := "source ./completion\n"
	for i, row := range completionRows {
		if i > 0 {
			input += "echo ------\n"
		}
		input += "complete -C " + fishQuoted(row.line) + "\n"
	}
	parts := strings.Split(inShell(t, dir, input, "fish", "--no-config"), "------\n")
	offered := map[string][]string{}
	for i, row := range completionRows {
		for _, line := range strings.Split(parts[i], "\n") {
			word, about, _ := strings.Cut(line, "\t")
			offered[row.line] = append(offered[row.line], word)
			if word == "-expireAfter" && about == "" {
				t.Error("-expireAfter: got no description, want one")
			}
		}
	}
	for _, row := range completionRows { // fish offers both ways to write a flag after one dash
		if strings.HasSuffix(row.line, " -") {
			offered[row.line] = slices.DeleteFunc(offered[row.line], func(word string) bool { return strings.HasPrefix(word, "--") })
		}
	}
	checkOffers(t, offered)
}

// zshDrive has an interactive zsh on a pseudo terminal complete every line of its input.
const zshDrive = `
zmodload zsh/zpty || exit 1
zpty z zsh -f -i
zpty -w z "PS1=; stty -echo columns 200; autoload -Uz compinit; compinit -u -D; source ./completion; source ./rig; print @rea''dy@"
zpty -r -m z REPLY '*@ready@*'
while IFS= read -r line; do
    zpty -w -n z "$line"$'\t'
    zpty -r -m z REPLY '*@end@*'
    print -r -- "$REPLY"
    zpty -w -n z $'\C-U'
done
zpty -d z
`

// zshCapture has that zsh print what completion functions give to compadd, as far as it fits what is typed, and what
// is to be shown of it.
const zshCapture = `
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return $?
    fi
    local word
    local -a found
    integer i=${@[(i)-d]}
    builtin compadd -A found "$@"
    for word in "$found[@]"; do print -r -- "@word@$word"; done
    if ((i < $#)); then
        for word in "${(@P)@[i+1]}"; do print -r -- "@text@$word"; done
    fi
    builtin compadd "$@"
}
capture() { print; print @begin@; _main_complete; compstate[insert]=; compstate[list]=; print @end@ }
zle -C capture complete-word capture
bindkey '^I' capture
`

func TestCompletionZsh(t *testing.T) {
	dir := completionRig(t, "zsh")
	if err := os.WriteFile(filepath.Join(dir, "rig"), []byte(zshCapture), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "drive"), []byte(zshDrive), 0o600); err != nil {
		t.Fatal(err)
	}
	input := ""
	for _, row := range completionRows {
		input += row.line + "\n"
	}
	parts := strings.Split(inShell(t, dir, input, "zsh", "-f", "./drive"), "@end@")
	if len(parts) <= len(completionRows) {
		t.Fatalf("got %d answers, want %d: %q", len(parts)-1, len(completionRows), parts)
	}
	offered := map[string][]string{}
	text := ""
	for i, row := range completionRows {
		for _, line := range strings.Split(parts[i], "\n") {
			line = strings.TrimRight(line, "\r")
			if word, ok := strings.CutPrefix(line, "@word@"); ok {
				offered[row.line] = append(offered[row.line], word)
			}
		}
		text += parts[i]
	}
	checkOffers(t, offered)
	if want := "-- register an app"; !strings.Contains(text, want) {
		t.Errorf("got no descriptions, want %q: %.4000q", want, text)
	}
}

// TestClosedSets holds that every value offered for a flag is one that the flag's help names, and that where the help is
// a list of them, none of it is missing.
func TestClosedSets(t *testing.T) {
	unused := closedSets()
	for _, v := range verbs() {
		for _, o := range v.allOptions() {
			delete(unused, o.usage())
			if lists := map[string]bool{"-type TYPE": true, "-pinMode MODE": true, "-add ALG": true}; lists[o.usage()] && !strings.Contains(o.about, orList(choices(o))) {
				t.Errorf("%s -%s: got %q offered, want all that its help names: %s", v.name, o.name, choices(o), o.about)
			}
			for _, value := range choices(o) {
				if o.value == "RULES,REJECTION,ANNOTATION" || strings.Contains(o.value, value) || strings.Contains(o.about, value) {
					continue
				}
				t.Errorf("%s -%s: got the value %q offered, which its help does not name: %s", v.name, o.name, value, o.about)
			}
		}
	}
	if len(unused) > 0 {
		t.Errorf("got closed sets of flags that no verb has: %v", unused)
	}
}
