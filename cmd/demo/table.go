package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// painter colours text (ECMA-48 SGR), unless it is plain.
type painter struct{ plain bool }

// paintFor colours only what goes to a terminal whose user has not asked for none (NO_COLOR).
func paintFor(f *os.File) painter {
	info, err := f.Stat()
	return painter{plain: err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"}
}

func (p painter) paint(code, text string) string {
	if p.plain {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p painter) bold(text string) string   { return p.paint("1", text) }
func (p painter) dim(text string) string    { return p.paint("2", text) }
func (p painter) red(text string) string    { return p.paint("31", text) }
func (p painter) green(text string) string  { return p.paint("32", text) }
func (p painter) yellow(text string) string { return p.paint("33", text) }
func (p painter) cyan(text string) string   { return p.paint("36", text) }

// verdict is a verdict in the colour it has everywhere.
func (p painter) verdict(word, text string) string {
	switch word {
	case "pass":
		return p.green(text)
	case "fail":
		return p.red(text)
	}
	return p.yellow(text)
}

// row is one line of the table: a step and what came of it.
type row struct {
	step
	got outcome
}

// columns of the table, and how wide each must be.
type columns struct{ what, request, reason int }

func widths(all []section) columns {
	w := columns{}
	for _, section := range all {
		for _, s := range section.steps {
			w.what = max(w.what, utf8.RuneCountInString(s.what))
			w.request = max(w.request, utf8.RuneCountInString(s.request))
			w.reason = max(w.reason, len(s.reason))
		}
	}
	return w
}

// pad fills text up to a width before it is coloured.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func (p painter) header(w io.Writer, c columns) {
	fmt.Fprintf(w, "\n    %s\n", p.bold(strings.Join([]string{pad("what", c.what), pad("request", c.request),
		"verdict", pad("reason", c.reason), "status", "reaches the API"}, "  ")))
}

func (p painter) title(w io.Writer, title string) {
	fmt.Fprintf(w, "\n  %s\n", p.cyan(title))
}

// line prints a row, and below it why its token is bad if that is known, and whatever is not as announced.
func (p painter) line(w io.Writer, c columns, r row) {
	wrong := r.differences(r.got)
	mark := p.green("✓")
	if wrong != nil {
		mark = p.red("✗")
	}
	reached := p.dim("no")
	switch {
	case r.got.reaches && r.got.tells != "":
		reached = p.bold("yes") + ", told " + r.got.tells
	case r.got.reaches:
		reached = p.bold("yes") + ", told nothing"
	}
	status := p.green(pad(strconv.Itoa(r.got.status), len("status")))
	if r.got.status >= 400 {
		status = p.red(pad(strconv.Itoa(r.got.status), len("status")))
	}
	fmt.Fprintf(w, "  %s %s  %s  %s  %s  %s  %s\n", mark, pad(r.what, c.what), p.dim(pad(r.request, c.request)),
		p.verdict(r.got.verdict, pad(r.got.verdict, len("verdict"))), pad(r.got.reason, c.reason), status, reached)
	if r.why != "" {
		fmt.Fprintf(w, "      %s\n", p.dim("approov explain: "+r.why))
	}
	for _, text := range wrong {
		fmt.Fprintf(w, "      %s\n", p.red(text))
	}
}
