package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

// console is what commands take from the process they run in.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool           // whether standard input is one
	zone           *time.Location // in which times are shown
	now            func() time.Time
	getenv         func(string) string
}

func newConsole(stdin *os.File, stdout, stderr io.Writer) *console {
	c := &console{stdin: stdin, stdout: stdout, stderr: stderr, zone: time.Local, now: time.Now, getenv: os.Getenv}
	if info, err := stdin.Stat(); err == nil {
		c.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	return c
}

// failed prints why something was not done, and returns the exit status.
func (c *console) failed(err error) int {
	var wrong misuse
	var token badToken
	var refused *manageclient.Refusal
	var away *manageclient.Unreachable
	switch {
	case errors.Is(err, errNegative):
		return exitRefused // has been printed
	case errors.As(err, &wrong):
		c.complain(err)
		return exitUsage
	case errors.As(err, &token):
		c.complain(err)
		return exitToken
	case errors.As(err, &away):
		c.complain(err)
		return exitUnreachable
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		fmt.Fprintln(c.stderr, invalidToken)
		fmt.Fprintln(c.stderr, shown(unauthorized(err, refused)))
		return exitToken
	case errors.As(err, &refused) && refused.Code == attestapi.CodeUnavailable:
		c.complain(err)
		return exitUnreachable
	}
	c.complain(err)
	return exitRefused
}

// invalidToken is the manual's sentence (manual, "Revoking Management Tokens").
const invalidToken = "your management token is invalid, revoked or expired - contact your Approov administrator"

// unauthorized is the line below it.
func unauthorized(err error, refused *manageclient.Refusal) string {
	var doing while
	text := "error Unauthorized"
	if errors.As(err, &doing) {
		text += " while " + doing.doing
	}
	if refused.Request != "" {
		text += " (request " + refused.Request + ")"
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

// printText prints a server's JSON as it is. Characters that could steer a terminal are written as JSON's escapes:
// they can only stand in its strings.
func (c *console) printText(text []byte) {
	var out strings.Builder
	for _, r := range strings.TrimRight(string(text), "\n") {
		if r <= '~' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, half := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, half)
		}
	}
	fmt.Fprintln(c.stdout, out.String())
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
