package main

import (
	"fmt"
	"io"
	"strings"
)

const zshHead = `#compdef approov
# Completion of approov for zsh, written by: approov completion zsh
# To use it: source <(approov completion zsh), or keep it as _approov in a folder of $fpath

_approov() {
    local verb=$words[2] flag= action= word
    local -a offer
    if ((CURRENT == 2)); then
        offer=(
%s        )
        _describe -t commands verb offer
        return
    fi
    if [[ $PREFIX == -*=* ]]; then
        flag=${PREFIX%%%%=*}
        compset -P 1 '*='
    elif [[ $words[CURRENT-1] == -* ]]; then
        flag=$words[CURRENT-1]
    fi
    [[ -z $flag ]] || flag=-${${flag#-}#-}
    case "$verb $flag" in
`

const zshMiddle = `    esac
    for word in $words[3,CURRENT-1]; do
        [[ $word == -* ]] || continue
        word=-${${word#-}#-}
        case "$verb $word" in
        (%s) action=$word ;;
        esac
    done
    case "$verb $action" in
`

const zshTail = `    (*) return 1 ;;
    esac
    for word in $words[3,CURRENT-1]; do # no flag twice
        [[ $word == -* ]] || continue
        offer=("${(@)offer:#-${${word#-}#-}:*}")
    done
    if [[ $PREFIX == --* ]]; then
        offer=(-${^offer})
    fi
    if ((CURRENT == 3)) && [[ $PREFIX != -* ]]; then
        _files -g '*.tok'
    fi
    _describe -o -t options flag offer
}

if [[ $funcstack[1] == _approov ]]; then
    _approov "$@"
else
    compdef _approov approov
fi
`

func zshCompletion(w io.Writer) {
	var all strings.Builder
	for _, v := range append(verbs(), local()...) {
		fmt.Fprintf(&all, "            %s\n", quoted(v.name+":"+v.about))
	}
	fmt.Fprintf(w, zshHead, all.String())
	for _, v := range local() {
		if words := v.words(); words != nil {
			fmt.Fprintf(w, "    (%s*) ((CURRENT == 3)) && compadd %s; return ;;\n", quoted(v.name+" "), strings.Join(words, " "))
		}
	}
	for _, o := range everyOption() {
		zshValue(w, "*", o)
	}
	for _, v := range verbs() {
		for _, a := range v.named() {
			zshValue(w, v.name, a.option)
		}
		for _, o := range v.options {
			zshValue(w, v.name, o)
		}
	}
	fmt.Fprintf(w, zshMiddle, strings.Join(actionWords(), " | "))
	for _, v := range verbs() {
		fmt.Fprintf(w, "    (%s) offer=(%s) ;;\n", quoted(v.name+" "), zshFlags(v.offered(nil)))
		for _, a := range v.named() {
			fmt.Fprintf(w, "    (%s) offer=(%s) ;;\n", quoted(v.name+" -"+a.name), zshFlags(v.offered(&a)))
		}
	}
	io.WriteString(w, zshTail)
}

// zshValue writes how the value of a verb's flag is completed.
func zshValue(w io.Writer, verb string, o option) {
	pattern := quoted(verb + " -" + o.name)
	if verb == "*" {
		pattern = "*" + quoted(" -"+o.name)
	}
	switch {
	case o.value == "":
	case choices(o) != nil:
		fmt.Fprintf(w, "    (%s) compadd %s; return ;;\n", pattern, strings.Join(choices(o), " "))
	case takesFile(o):
		fmt.Fprintf(w, "    (%s) _files; return ;;\n", pattern)
	default:
		fmt.Fprintf(w, "    (%s) _message %s; return ;;\n", pattern, quoted(o.value))
	}
}

// zshFlags are flags with what they do, for _describe.
func zshFlags(all []option) string {
	var words []string
	for _, o := range all {
		words = append(words, quoted("-"+o.name+":"+o.about))
	}
	return strings.Join(words, " ")
}
