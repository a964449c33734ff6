package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// When progress is shown: not of work that is over soon, and not more often than eyes follow.
const (
	progressAfter = time.Second
	progressEvery = 100 * time.Millisecond
	progressWidth = 79 // columns: a line that wraps could not be erased
)

// progress shows on standard error how far long work has come, such as "measuring my_app.apk  43%". tell says so, total
// being 0 when it is not known; end erases the line, and is called before anything else is printed. Neither may be
// called by two goroutines at once. Nothing is shown unless standard error is a terminal that can be written over.
func (c *console) progress(what string) (tell func(done, total int64), end func()) {
	if !c.redraws {
		return func(int64, int64) {}, func() {}
	}
	begun, last, width := c.now(), time.Time{}, 0
	erase := func() {
		if width > 0 {
			fmt.Fprint(c.stderr, "\r"+strings.Repeat(" ", width)+"\r") // blanks, which every terminal knows
			width = 0
		}
	}
	tell = func(done, total int64) {
		now := c.now()
		if now.Sub(begun) < progressAfter || now.Sub(last) < progressEvery {
			return
		}
		last = now
		line := progressLine(what, done, total)
		erase()
		fmt.Fprint(c.stderr, line)
		width = utf8.RuneCountInString(line)
	}
	return tell, erase
}

// progressLine is what is shown, on one line of a terminal.
func progressLine(what string, done, total int64) string {
	far := fmt.Sprintf("  %d MB", done>>20)
	if total > 0 {
		far = fmt.Sprintf("  %d%%", min(max(done, 0), total)*100/total)
	}
	text := []rune(shown(what))
	return string(text[:min(len(text), progressWidth-len(far))]) + far
}

// redraws reports whether a line that was written to w can be written over. Whoever has set NO_COLOR or TERM=dumb wants
// no such thing (no-color.org).
func redraws(w io.Writer, getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 // /dev/null is one, too, to which nobody minds writing
}
