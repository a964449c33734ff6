package main

import (
	"fmt"
	"slices"
	"strings"
)

const (
	screenWidth = 100 // columns, of help
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
	fmt.Fprintf(&b, "approov %s: %s\n\nUsage:\n", v.name, v.about)
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
	return fmt.Sprintf("approov %s: %s\n\nUsage: approov %s [TOKEN] -ACTION [OPTIONS]\n%sand with the actions in brackets:\n%s",
		v.name, v.about, v.name, flagTexts(actions), flagTexts(options))
}

// flagTexts is a line for each form of an operand, and for each flag.
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
		fmt.Fprintf(&b, "  %-*s  %s\n", width, o.name, o.about)
	}
	for _, o := range flags {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, o.usage(), o.about)
	}
	return b.String()
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
