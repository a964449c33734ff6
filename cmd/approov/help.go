package main

import (
	"fmt"
	"slices"
	"strings"
)

const (
	screenWidth = 80 // columns, of help
	screenLines = 24
)

// help is what there is to say of a verb, on one screen: how each action is typed and what all flags mean, or, of a verb
// with many actions, what each action does and which options go with it.
func (v verb) help() string {
	const tail = "\nTOKEN, -server, -ca, -json, -yes and -dryRun: see \"approov help\".\n"
	text := v.fullHelp() + tail
	if strings.Count(text, "\n") > screenLines {
		text = v.shortHelp() + tail
	}
	return text
}

func (v verb) fullHelp() string {
	var b strings.Builder
	b.WriteString(flowed("approov "+v.name+":", v.about, 2) + "\nUsage:\n")
	for _, a := range v.actions {
		b.WriteString(v.synopsis(a))
	}
	if own := v.ownOptions(); len(own)+len(v.operands) > 0 {
		b.WriteString("\n" + flagTexts(own, v.operands...))
	}
	return b.String()
}

func (v verb) shortHelp() string {
	var actions, options []option
	for _, a := range v.actions {
		actions = append(actions, a.option)
	}
	for _, o := range v.options {
		o.about += " (" + strings.Join(v.allowing(o.name), " ") + ")"
		options = append(options, o)
	}
	return flowed("approov "+v.name+":", v.about, 2) + fmt.Sprintf("\nUsage: approov %s [TOKEN] -ACTION [OPTIONS]\n%sand with the actions in brackets:\n%s",
		v.name, flagTexts(actions), flagTexts(options))
}

// flagTexts says of each form of an operand, and of each flag, what it means.
func flagTexts(flags []option, operands ...option) string {
	width := 0
	for _, o := range operands {
		width = max(width, len(o.name))
	}
	for _, o := range flags {
		width = max(width, len(o.usage()))
	}
	var b strings.Builder
	for _, o := range operands {
		b.WriteString(entry(o.name, o.about, width))
	}
	for _, o := range flags {
		b.WriteString(entry(o.usage(), o.about, width))
	}
	return b.String()
}

// entry is a word and what it means, in a column of its own.
func entry(word, about string, width int) string {
	line := fmt.Sprintf("  %-*s ", width, word)
	return flowed(line, about, len(line)+1)
}

// flowed is a line and the words that follow it, on more lines where the screen is not wide enough.
func flowed(line, text string, indent int) string {
	var b strings.Builder
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > screenWidth {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", indent-1)
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// synopsis is an action as one types it.
func (v verb) synopsis(a action) string {
	line := strings.TrimRight(fmt.Sprintf("  approov %s [TOKEN] %s%s", v.name, v.operand, a.usage()), " ")
	for _, o := range v.options {
		more := " " + o.usage()
		switch {
		case slices.Contains(a.takes, o.name):
			more = " [" + o.usage() + "]"
		case !slices.Contains(a.needs, o.name):
			continue
		}
		if last := line[strings.LastIndexByte(line, '\n')+1:]; len(last)+len(more) > screenWidth {
			line += "\n       "
		}
		line += more
	}
	return line + "\n"
}
