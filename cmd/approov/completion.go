package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// shells are those that there are completions for.
func shells() []string { return []string{"bash", "zsh", "fish"} }

// completion prints what a shell completes command lines of approov by. It is made from the tables of verbs, and
// completing asks nobody: neither this program nor a server.
func (c *console) completion(args []string) error {
	if len(args) != 1 || !slices.Contains(shells(), args[0]) {
		given := ""
		if len(args) > 0 {
			given = didYouMean(args[0], shells())
		}
		return misuse{fmt.Errorf("completion: say for which shell: %s%s; for example: source <(approov completion bash)", orList(shells()), given)}
	}
	write := map[string]func(io.Writer){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[args[0]]
	var b strings.Builder
	write(&b)
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// choices are the values of a flag of which there are only so many; nil: any text.
func choices(o option) []string {
	if strings.Contains(o.value, "|") {
		return strings.Split(o.value, "|")
	}
	return closedSets()[o.usage()]
}

// closedSets are choices by the flag's usage, but for those that its usage lists.
func closedSets() map[string][]string {
	return map[string][]string{
		"-pinMode MODE":                      {"pin", "unpin", "block", "blockAll"},
		"-pinType TYPE":                      {"leaf", "local", "remote", "explicit", "none"},
		"-type TYPE":                         {"valid", "invalid", "expired", "failover"},
		"-setMode MODE":                      {"bypass", "log", "enforce", "resume"},
		"-add ALG":                           {"ES256", "RS256"},
		"-messageSigningKey WORD":            {"change", "get-base64url", "off"},
		"-set RULES,REJECTION,ANNOTATION":    policies(),
		"-policy RULES,REJECTION,ANNOTATION": policies(),
	}
}

// policies are all security policies (manual, "Rejection Policies", "Annotation Policies").
func policies() []string {
	var all []string
	for _, rejection := range []string{"default", "allow-xposed", "allow-root", "allow-root-and-jailbroken", "whitelist", "blacklist"} {
		for _, annotation := range []string{"default", "xposed", "all"} {
			all = append(all, "default,"+rejection+","+annotation)
		}
	}
	return all
}

// takesFile reports whether a flag's value is the name of a file.
func takesFile(o option) bool { return o.value == "FILE" || o.value == "APP" }

// offered are the flags that go with an action; with nil those that may begin a command line.
func (v verb) offered(a *action) []option {
	var own []option
	switch {
	case a != nil:
		for _, o := range v.options {
			if a.allows(o.name) {
				own = append(own, o)
			}
		}
	case len(v.named()) == 0:
		own = v.options
	default:
		for _, named := range v.named() {
			own = append(own, named.option)
		}
	}
	return slices.Concat(own, everyOption())
}

// named are the actions that a flag asks for.
func (v verb) named() []action {
	return slices.DeleteFunc(slices.Clone(v.actions), func(a action) bool { return a.name == "" })
}

// everyOption are the options of every verb, with what usageTail says of them.
func everyOption() []option {
	all := commonOptions()
	for i, o := range all {
		_, about, _ := strings.Cut(usageTail, "\n  "+o.usage()+" ")
		about, _, _ = strings.Cut(about, "\n")
		all[i].about = strings.TrimSpace(about)
	}
	return all
}

// local are the verbs that are not in the table, because they ask no server.
func local() []verb {
	return []verb{
		{name: "help", about: "every verb, or a verb's actions and flags"},
		{name: "version", about: "print the version"},
		{name: "man", about: "print the manual page, for man -l"},
		{name: "completion", about: "print the completion of a shell: bash, zsh or fish"},
	}
}

// words are what may follow a verb that is not in the table.
func (v verb) words() []string {
	switch v.name {
	case "completion":
		return shells()
	case "help":
		return verbNames(verbs())
	}
	return nil
}

func verbNames(all []verb) []string {
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	return names
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
