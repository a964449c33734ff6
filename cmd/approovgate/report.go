package main

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

const reportHelp = `approovgate report asks the running gate whether enforcing can be turned on: of each route the share of genuine
requests, what would be rejected and why, clients without tokens, keys in use. It ends in a yes, or in what is in the
way.

Usage:
  approovgate report [FLAGS]

Flags:
  --hours N          of the last N hours; default since the gate started
` + adminFlagsHelp + `
Example:
  approovgate report --hours 24
`

// report runs the command report.
func (c *console) report(args []string) int {
	var at adminFlags
	hours := ""
	flags := newFlags("report")
	at.declare(flags)
	flags.StringVar(&hours, "hours", "", "")
	if status, ok := c.parse("report", flags, args, 0); !ok {
		return status
	}
	path, accept := "/report", "text/plain"
	if hours != "" {
		n, err := strconv.ParseFloat(hours, 64)
		if err != nil || !(n > 0) || math.IsInf(n, 0) {
			return c.usage(fmt.Errorf("--hours must be a number above 0, such as 24, is %q; leave it out for all since the gate started", hours))
		}
		path += "?" + url.Values{"hours": {strconv.FormatFloat(n, 'f', -1, 64)}}.Encode()
	}
	if at.json {
		accept = "application/json"
	}
	gate, err := c.client(at)
	if err != nil {
		return c.failed(err)
	}
	got, err := gate.ask(http.MethodGet, path, accept, "", nil)
	if err != nil {
		return c.failed(underFlags(err, nil, ending{}))
	}
	if at.json {
		c.printJSON(got.text)
		return exitOK
	}
	_, _ = io.WriteString(c.stdout, shownLines(string(got.text))) // nowhere is left to say that it failed
	return exitOK
}
