package main

import (
	"fmt"
	"io"
	"strings"
)

// bashHead needs bash 3.2, which macOS has: no mapfile. compopt, which is newer, is only tried.
const bashHead = `# Completion of approov for bash, written by: approov completion bash
# To use it: source <(approov completion bash)

_approov_words() { # those of $1 that begin with what is typed
    local word
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$1" -- "$cur")
}

_approov_files() { # files whose names fit the pattern $1, and folders; all files if there are none
    local word
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -X "!$1" -- "$cur"; compgen -d -- "$cur")
    if ((${#COMPREPLY[@]} == 0)); then
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    fi
}

_approov() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev= verb=${COMP_WORDS[1]} flag= action= words= word i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _approov_words '%s'
        return
    fi
    # bash takes -flag=value for three words
    prev=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [[ $prev == -* ]]; then
        flag=${prev#-}
        flag=-${flag#-}
    fi
    case "$verb $flag" in
`

const bashMiddle = `    esac
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -* ]] || continue
        word=${word#-}
        case "$verb -${word#-}" in
        %s) action=-${word#-} ;;
        esac
    done
    case "$verb $action" in
`

const bashTail = `    *) return ;;
    esac
    if ((COMP_CWORD == 2)) && [[ $cur != -* ]]; then
        _approov_files '*.tok'
        [[ -z $cur ]] || return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do # no flag twice
        word=${COMP_WORDS[i]#-}
        words=" $words "
        words=${words/ -${word#-} / }
    done
    if [[ $cur == --* ]]; then
        words=${words// -/ --}
    fi
    _approov_words "$words"
}

complete -F _approov approov
`

func bashCompletion(w io.Writer) {
	fmt.Fprintf(w, bashHead, strings.Join(verbNames(append(verbs(), local()...)), " "))
	for _, v := range local() {
		if words := v.words(); words != nil {
			fmt.Fprintf(w, "    '%s '*) ((COMP_CWORD == 2)) && _approov_words '%s'; return ;;\n", v.name, strings.Join(words, " "))
		}
	}
	for _, o := range everyOption() {
		bashValue(w, "*", o)
	}
	for _, v := range verbs() {
		for _, a := range v.named() {
			bashValue(w, v.name, a.option)
		}
		for _, o := range v.options {
			bashValue(w, v.name, o)
		}
	}
	fmt.Fprintf(w, bashMiddle, strings.Join(actionWords(), " | "))
	for _, v := range verbs() {
		fmt.Fprintf(w, "    '%s ') words=' %s' ;;\n", v.name, flagWords(v.offered(nil)))
		for _, a := range v.named() {
			fmt.Fprintf(w, "    '%s -%s') words=' %s' ;;\n", v.name, a.name, flagWords(v.offered(&a)))
		}
	}
	io.WriteString(w, bashTail)
}

// bashValue writes how the value of a verb's flag is completed.
func bashValue(w io.Writer, verb string, o option) {
	pattern := quoted(verb + " -" + o.name)
	if verb == "*" {
		pattern = "*" + quoted(" -"+o.name)
	}
	switch {
	case o.value == "":
	case choices(o) != nil:
		fmt.Fprintf(w, "    %s) _approov_words '%s'; return ;;\n", pattern, strings.Join(choices(o), " "))
	case takesFile(o):
		fmt.Fprintf(w, "    %s) _approov_files '*'; return ;;\n", pattern)
	default:
		fmt.Fprintf(w, "    %s) return ;;\n", pattern)
	}
}

// actionWords are all actions with their verbs, as patterns of a shell.
func actionWords() []string {
	var all []string
	for _, v := range verbs() {
		for _, a := range v.named() {
			all = append(all, quoted(v.name+" -"+a.name))
		}
	}
	return all
}

func flagWords(all []option) string {
	var names []string
	for _, o := range all {
		names = append(names, o.name)
	}
	return strings.Join(dashed(names), " ")
}
