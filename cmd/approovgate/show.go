package main

import (
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// shown is a document's text as a terminal may get it: on one line, without what could move the cursor, turn
// the text around or hide in it.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// shownLines is shown for text of several lines.
func shownLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = shown(line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// longestCell is how much of one is shown, in runes: a key's name and kid may be what somebody else wrote.
const longestCell = 100

// table writes rows in columns, the first row above the others. Cells are made fit for a terminal.
func table(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if runes := []rune(shown(cell)); len(runes) > longestCell {
				row[i] = string(runes[:longestCell-1]) + "…"
			} else {
				row[i] = string(runes)
			}
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
		}
		_, _ = io.WriteString(w, strings.TrimRight(line.String(), " ")+"\n") // nowhere is left to say that it failed
	}
}

// width is how many columns of a terminal a printable text takes.
func width(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// wide reports whether a character takes two columns: those of East Asian scripts in blocks, and pictures
// (Unicode Standard Annex #11, W and F).
func wide(r rune) bool {
	for _, block := range [...][2]rune{{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
		{0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}} {
		if r >= block[0] && r <= block[1] {
			return true
		}
	}
	return false
}

// names are names as a sentence holds them, in order. Those that could be misread in it are quoted.
func names(list []string) string {
	sort.Strings(list)
	quoted := make([]string, 0, len(list))
	for _, name := range list {
		if name = shown(name); strings.ContainsAny(name, ` ,;:"()`) {
			name = strconv.Quote(name)
		}
		quoted = append(quoted, name)
	}
	return strings.Join(quoted, ", ")
}
