package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
)

// console is what commands take from the process they run in.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool           // whether standard input is one
	zone           *time.Location // in which times are shown
	now            func() time.Time
	getenv         func(string) string
	redraws        bool // whether standard error can show progress
	inJSON         bool // whether errors are printed as JSON
}

func newConsole(stdin *os.File, stdout, stderr io.Writer) *console {
	c := &console{stdin: stdin, stdout: stdout, stderr: stderr, zone: time.Local, now: time.Now, getenv: os.Getenv}
	if info, err := stdin.Stat(); err == nil {
		c.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	c.redraws = redraws(stderr, c.getenv)
	return c
}

// invalidToken is the manual's sentence (manual, "Revoking Management Tokens").
const invalidToken = "your management token is invalid, revoked or expired - contact your Approov administrator"

// forbidden is the line below it, with the manual's word for a token that is not accepted.
func forbidden(err error) string {
	var doing while
	text := "error Forbidden"
	if errors.As(err, &doing) {
		text += " while " + doing.doing
	}
	return text
}

// while says what a command was about when it failed, for messages that need it.
type while struct {
	error
	doing string
}

func (w while) Unwrap() error { return w.error }

func (c *console) complain(err error) {
	fmt.Fprintln(c.stderr, "approov:", shown(err.Error()))
}

// say prints a line of the answer. What others have written is made fit for a terminal.
func (c *console) say(format string, args ...any) {
	fmt.Fprintln(c.stdout, shown(fmt.Sprintf(format, args...)))
}

// note prints a line that is not part of the answer.
func (c *console) note(format string, args ...any) {
	fmt.Fprintln(c.stderr, shown(fmt.Sprintf(format, args...)))
}

// notes prints what the server has to add.
func (c *console) notes(notes []string) {
	for _, text := range notes {
		if !strings.HasPrefix(text, "note:") && !strings.HasPrefix(text, "WARNING:") {
			text = "note: " + text
		}
		c.note("%s", text)
	}
}

// timeText is a time as the manual prints it: local, to the second.
func (c *console) timeText(t time.Time) string { return t.In(c.zone).Format(time.DateTime) }

// shown is text fit for one line of a terminal.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// printText prints a server's JSON as it is, but for characters that could steer a terminal: they can only stand in its
// strings, where JSON has escapes for them.
func (c *console) printText(text []byte) {
	fmt.Fprintln(c.stdout, escaped(strings.TrimRight(string(text), "\n")))
}

// escaped is JSON with its characters escaped that could steer a terminal.
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r <= '~' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, half := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, half)
		}
	}
	return out.String()
}

// printDocument prints a document of the API that has been changed on the way: without what is in a file now.
func (c *console) printDocument(document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	c.printText(text)
	return nil
}

// counted is a number of things: 1 device, 2 devices.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
