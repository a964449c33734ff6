package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/approovgate/approovgate/internal/manageclient"
)

// longestAnswer bounds what is read of the answer to a question, in bytes.
const longestAnswer = 256

// confirm asks whether to go on, in the manual's words, and returns an error unless the answer is YES: typed, piped,
// or given beforehand by -yes. It asks on standard error, so that standard output is the answer alone.
func (c *call) confirm(what string) error {
	if c.has("yes") {
		return nil
	}
	fmt.Fprintf(c.stderr, "WARNING: %s will have an immediate impact on your apps in production. If you wish to continue then please enter YES and return: ", what)
	line, err := bufio.NewReader(io.LimitReader(c.stdin, longestAnswer)).ReadString('\n')
	if !c.terminal || err != nil {
		fmt.Fprintln(c.stderr) // nobody has pressed return: /dev/null counts as a terminal, too
	}
	answer := strings.TrimRight(line, "\r\n")
	switch {
	case answer == "YES":
		return nil
	case line == "":
		return errors.New("not confirmed, so nothing was changed: standard input is empty; type YES, pipe it in, or give -yes")
	}
	return errors.New("not confirmed, so nothing was changed: only YES, in capitals, goes on")
}

// change makes a change that needs no confirmation.
func (c *call) change(r manageclient.Request, into any) (manageclient.Answer, error) {
	r.DryRun = c.has("dryRun")
	return c.ask(r, into)
}

// changeConfirmed makes a change after it has been confirmed. When somebody is asked, the server has judged the change
// before, and makes it only if the account is still the one it was judged for. The answer is the last one.
func (c *call) changeConfirmed(what string, r manageclient.Request, into any) (manageclient.Answer, error) {
	if c.has("yes") || c.has("dryRun") {
		answer, err := c.change(r, into)
		return answer, whenStale(err)
	}
	judged := r
	judged.DryRun = true
	answer, err := c.ask(judged, nil)
	if err != nil {
		return answer, err
	}
	if err := c.confirm(what); err != nil {
		return answer, err
	}
	r.IfMatch = answer.Tag
	answer, err = c.ask(r, into)
	return answer, whenStale(err)
}

// whenStale says what to do when somebody else has changed the account in between.
func whenStale(err error) error {
	var refused *manageclient.Refusal
	if errors.As(err, &refused) && refused.Status == http.StatusPreconditionFailed {
		refused.Detail = "nothing was changed: somebody else has changed the account in between; look, and try again"
	}
	return err
}

// done prints the outcome of a change: the server's document, that it was a dry run, or the manual's line.
func (c *call) done(answer manageclient.Answer, notes []string, format string, args ...any) {
	if c.has("json") {
		c.printText(answer.Text)
		return
	}
	if c.has("dryRun") {
		c.say("dry run, nothing was changed; it would be: "+format, args...)
	} else {
		c.say(format, args...)
	}
	c.notes(notes)
}
