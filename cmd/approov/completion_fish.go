package main

import (
	"fmt"
	"io"
	"strings"
)

const fishHead = `# Completion of approov for fish, written by: approov completion fish
# To use it: approov completion fish > ~/.config/fish/completions/approov.fish

function __approov_verb # whether the verb is one of the arguments
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

function __approov_given # whether one of the flags is given
    for word in (commandline -opc)
        string match -q -- '-*' $word; or continue
        contains -- (string replace -r -- '^--?' '' $word) $argv; and return 0
    end
    return 1
end

function __approov_before # the same, without the word before the cursor, whose value may be what is typed
    set -l words (commandline -opc)
    for word in $words[1..-2]
        string match -q -- '-*' $word; or continue
        contains -- (string replace -r -- '^--?' '' $word) $argv; and return 0
    end
    return 1
end

function __approov_place # whether so many words stand before the cursor
    test (count (commandline -opc)) -eq $argv[1]
end

complete -c approov -f
`

func fishCompletion(w io.Writer) {
	io.WriteString(w, fishHead)
	for _, v := range append(verbs(), local()...) {
		fmt.Fprintf(w, "complete -c approov -n '__approov_place 1' -a %s -d %s\n", v.name, fishQuoted(v.about))
	}
	for _, v := range local() {
		if words := v.words(); words != nil {
			fmt.Fprintf(w, "complete -c approov -n '__approov_verb %s; and __approov_place 2' -a '%s'\n", v.name, strings.Join(words, " "))
		}
	}
	every := strings.Join(verbNames(verbs()), " ")
	fmt.Fprintf(w, "complete -c approov -n '__approov_verb %s; and __approov_place 2' -a '(__fish_complete_suffix .tok)' -d 'management token'\n", every)
	for _, v := range verbs() {
		var names []string
		for _, a := range v.named() {
			names = append(names, a.name)
		}
		for _, a := range v.named() {
			fishFlag(w, fmt.Sprintf("__approov_verb %s; and not __approov_before %s", v.name, strings.Join(names, " ")), a.option)
		}
		for _, o := range v.options {
			when := "__approov_verb " + v.name
			if with := v.allowing(o.name); len(names) > 0 {
				when += "; and __approov_given " + strings.ReplaceAll(strings.Join(with, " "), "-", "")
			}
			fishFlag(w, when+"; and not __approov_before "+o.name, o)
		}
	}
	for _, o := range everyOption() {
		fishFlag(w, "__approov_verb "+every+"; and not __approov_before "+o.name, o)
	}
}

// fishFlag writes a flag, which takes one dash or two.
func fishFlag(w io.Writer, when string, o option) {
	fmt.Fprintf(w, "complete -c approov -n '%s' -o %s -l %s -d %s", when, o.name, o.name, fishQuoted(o.about))
	switch {
	case o.value == "":
	case choices(o) != nil:
		fmt.Fprintf(w, " -x -a '%s'", strings.Join(choices(o), " "))
	case takesFile(o):
		fmt.Fprint(w, " -r -F")
	default:
		fmt.Fprint(w, " -x")
	}
	fmt.Fprintln(w)
}

// fishQuoted is a text as one word of fish, where a backslash means something between single quotes.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
