package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const statusHelp = `approovgate status shows what the running gate does: the override in force with its end, who set it and why; what
becomes of each route; the keys and their use; the sources behind URLs; and what is wrong.

Usage:
  approovgate status [FLAGS]

Flags:
` + adminFlagsHelp + `
Example:
  approovgate status --config /etc/approovgate/gate.yaml
`

// controlOf is what control says now, and its entity tag.
func (c *console) controlOf(gate *adminClient) (controlState, string, error) {
	var state controlState
	got, err := gate.ask(http.MethodGet, "/control", "application/json", "", nil)
	if err != nil {
		return state, "", err
	}
	return state, got.tag, gate.understand("/control", got.text, &state)
}

// statusOf is a gate's status, and the same as the gate has written it.
func (c *console) statusOf(gate *adminClient) (gateStatus, []byte, error) {
	status := gateStatus{Clock: c.now()}
	got, err := gate.ask(http.MethodGet, "/status", "application/json", "", nil)
	if err != nil {
		return status, nil, err
	}
	return status, got.text, gate.understand("/status", got.text, &status)
}

// understand reads an answer.
func (a *adminClient) understand(path string, text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answers %s in a way that this version does not understand; is one of the two older? --json shows the answer", a.name(), path)
	}
	return nil
}

// status runs the command status.
func (c *console) status(args []string) int {
	var at adminFlags
	flags := newFlags("status")
	at.declare(flags)
	if status, ok := c.parse("status", flags, args, 0); !ok {
		return status
	}
	gate, err := c.client(at)
	if err != nil {
		return c.failed(err)
	}
	status, text, err := c.statusOf(gate)
	if at.json && text != nil {
		c.printJSON(text)
		return exitOK
	}
	if err != nil {
		return c.failed(err)
	}
	c.headline(status)
	c.inForce(status)
	fmt.Fprintln(c.stdout)
	c.routes(status)
	c.keys(status)
	c.sources(status)
	c.problems(status)
	for _, warning := range status.Control.Warnings {
		c.warn(warning)
	}
	return exitOK
}

// headline says which gate it is and whether it can pass requests.
func (c *console) headline(s gateStatus) {
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	fmt.Fprintf(c.stdout, "gate %s: %s, %s\n", shown(s.Name), ready, s.Clock.In(c.zone).Format("Mon 2006-01-02 15:04:05 MST"))
	fmt.Fprintf(c.stdout, "approovgate %s, policy loaded %s\n\n", shown(s.Program), c.past(s.Config.Loaded, s.Clock))
}

// past is a moment that may never have been.
func (c *console) past(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return fromNow(at, now)
}

// inForce says what overrides the policy, and what did or would.
func (c *console) inForce(s gateStatus) {
	slots := []struct {
		name string
		d    *controlDocument
	}{{"local", s.Control.Local}, {"remote", s.Control.Remote}}
	ruled := false
	for _, slot := range slots {
		if s.Control.InForce != slot.name || slot.d == nil {
			continue
		}
		ruled = true
		fmt.Fprintf(c.stdout, "in force: %s\n", slot.d.what())
		fmt.Fprintf(c.stdout, "  until   %s\n", c.until(slot.d, s.Clock))
		fmt.Fprintf(c.stdout, "  by      %s\n  reason  %s\n", orDash(shown(slot.d.By)), orDash(shown(slot.d.Reason)))
		fmt.Fprintf(c.stdout, "  from    %s, version %d\n", whose(slot.name), slot.d.Version)
	}
	if !ruled {
		fmt.Fprintln(c.stdout, "in force: the policy, without an override"+openPolicy(s.Routes))
	}
	for _, slot := range slots {
		switch d := slot.d; {
		case d == nil || s.Control.InForce == slot.name:
		case d.ahead(s.Clock):
			fmt.Fprintf(c.stdout, "behind it, %s: %s\n", whose(slot.name), sentence(d, s.Clock, c.zone))
		case d.empty():
			fmt.Fprintf(c.stdout, "%s: cleared with version %d, %s\n", whose(slot.name), d.Version, d.who())
		default:
			fmt.Fprintf(c.stdout, "%s: ended %s: %s, %s\n", whose(slot.name), clockAndSpan(d.Until, s.Clock, c.zone), d.what(), d.who())
		}
	}
}

// until is when a document ends.
func (c *console) until(d *controlDocument, now time.Time) string {
	if d.Until.IsZero() {
		return "no end: until approovgate resume"
	}
	return clockAndSpan(d.Until, now, c.zone)
}

// openPolicy is there to be said of a policy that checks nothing.
func openPolicy(routes []gateRoute) string {
	for _, route := range routes {
		if !route.Exempt && route.Mode != "bypass" {
			return ""
		}
	}
	return "; it says BYPASS FOR ALL ROUTES"
}

// whose names a slot.
func whose(says string) string {
	switch says {
	case "local":
		return "local override"
	case "remote":
		return "remote control"
	}
	return shown(says)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// routes shows what becomes of each route.
func (c *console) routes(s gateStatus) {
	rows := [][]string{{"ROUTE", "MODE", "ROLLOUT", "SAYS"}}
	for _, route := range s.Routes {
		row := []string{route.Name, route.Mode, "-", whose(route.Says)}
		if route.Name == "" {
			row[0] = "(all others)"
		}
		if route.Mode == "enforce" {
			row[2] = strconv.Itoa(route.Rollout) + " %"
		}
		if route.Exempt {
			row[1], row[2], row[3] = "exempt", "-", "policy"
		} else if route.OwnMode != route.Mode {
			row[3] += " (policy: " + route.OwnMode + ")"
		}
		rows = append(rows, row)
	}
	table(c.stdout, rows)
}

// keys shows the keys and how they are used.
func (c *console) keys(s gateStatus) {
	rows := [][]string{{"KEY", "KID", "ALG", "WINDOW", "LAST USE", "PER MINUTE"}}
	for _, key := range s.Keys {
		rows = append(rows, []string{key.Name, orDash(key.Kid), key.Alg, c.window(key, s.Clock), c.past(key.LastUse, s.Clock),
			strconv.FormatInt(key.PerMinute, 10)})
	}
	fmt.Fprintln(c.stdout)
	if len(s.Keys) == 0 {
		fmt.Fprintln(c.stdout, "no keys: no token can be genuine")
		return
	}
	table(c.stdout, rows)
}

// window is when a key may be used.
func (c *console) window(key gateKey, now time.Time) string {
	begins, ends := !key.NotBefore.IsZero(), !key.NotAfter.IsZero()
	switch {
	case !key.Usable && ends && !now.Before(key.NotAfter):
		return "ENDED " + clockAndSpan(key.NotAfter, now, c.zone)
	case !key.Usable && begins:
		return "BEGINS " + clockAndSpan(key.NotBefore, now, c.zone)
	case !key.Usable:
		return "NOT USABLE"
	case ends:
		return "until " + clockAndSpan(key.NotAfter, now, c.zone)
	case begins:
		return "since " + clockAndSpan(key.NotBefore, now, c.zone)
	}
	return "always"
}

// sources shows what is fetched, and what went wrong with it.
func (c *console) sources(s gateStatus) {
	if len(s.Sources) == 0 {
		return
	}
	rows := [][]string{{"SOURCE", "STATE", "LAST GOOD", "FAILED"}}
	for _, one := range s.Sources {
		state, good := "ok", c.past(one.Good, s.Clock)
		switch {
		case one.Failure != "":
			state = "FAILING"
		case one.Tried.IsZero():
			state = "not asked yet"
		}
		if one.Kept {
			good += ", kept on disk"
		}
		rows = append(rows, []string{one.Name, state, good, fmt.Sprintf("%d of %d", one.Fails, one.Tries)})
	}
	fmt.Fprintln(c.stdout)
	table(c.stdout, rows)
	for _, one := range s.Sources {
		if one.Failure != "" {
			fmt.Fprintf(c.stdout, "  %s: %s\n", shown(one.Name), shown(one.Failure))
		}
	}
}

// problems shows what is wrong with the policy and its files.
func (c *console) problems(s gateStatus) {
	if s.Config.Failing {
		fmt.Fprintf(c.stdout, "\nThe last reload FAILED; the policy that was loaded %s stays in force.\n", c.past(s.Config.Loaded, s.Clock))
	} else if len(s.Config.Problems) > 0 {
		fmt.Fprintln(c.stdout)
	}
	for _, p := range s.Config.Problems {
		severity := "error"
		if p.Warning {
			severity = "warning"
		}
		if p.Path != "" {
			p.Path += ": "
		}
		fmt.Fprintf(c.stdout, "%s: %s%s\n", severity, shown(p.Path), shown(p.Text))
	}
}
