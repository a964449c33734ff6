package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
)

// overrideHelp is the help of the three commands that override modes.
func overrideHelp(mode string) string {
	about := map[string]string{
		"bypass":  "makes the running gate forward requests unchecked, for a while: the switch for an emergency.",
		"log":     "makes the running gate check and report but reject nothing, for a while.",
		"enforce": "makes the running gate reject requests without a genuine token.",
	}[mode]
	end := "Without --for and --until it ends after 1 h."
	rollout := ""
	example := "  approovgate " + mode + " --for 15m --reason INC-42\n  approovgate " + mode + " --route transfers --until 03:30 --reason INC-42\n"
	if mode == "enforce" {
		end = "Without --for and --until it lasts until \"approovgate resume\", but ends after 1 h if the policy is stricter, and with\n" +
			"the override in force if --route makes it a part of that."
		rollout = "  --rollout N        enforce for N percent of the devices, 0 to 100, and log for the rest\n"
		example = "  approovgate enforce --rollout 25 --route transfers --for 12h --reason CHG-7\n"
	}
	return `approovgate ` + mode + ` ` + about + `

Usage:
  approovgate ` + mode + ` [FLAGS]

Without --route it is for all routes and replaces the local override in force. With it, that override stays as it is
for other routes, but there is one end for all, and one reason: the new one if it is given.
` + end + `

Flags:
  --for SPAN         how long, such as 15m, at most 24h
  --until TIME       or until when: RFC 3339, or a local time such as 15:04 (today) or 2006-01-02T15:04
  --route NAME       for this route of the policy; may stand several times
` + rollout + `  --reason TEXT      why, for the audit log
  --by NAME          who, for the audit log; default the user behind sudo, or this one, at this host
` + adminFlagsHelp + `
Example:
` + example
}

const resumeHelp = `approovgate resume ends the local override: the policy rules again, or the remote control document if one is in force.

Usage:
  approovgate resume [FLAGS]

Flags:
  --reason TEXT      why, for the audit log
  --by NAME          who, for the audit log; default the user behind sudo, or this one, at this host
` + adminFlagsHelp + `
Example:
  approovgate resume --reason "INC-42 is over"
`

// wish is an override that somebody wants.
type wish struct {
	override
	routes     []string // empty: all
	end        ending
	reason, by string
}

// override runs the commands bypass, log and enforce.
func (c *console) override(mode string, args []string) int {
	w := wish{override: override{Mode: mode}}
	var end endFlags
	var at adminFlags
	rollout := ""
	flags := newFlags(mode)
	end.declare(flags)
	at.declare(flags)
	flags.StringVar(&rollout, "rollout", "", "")
	flags.StringVar(&w.reason, "reason", "", "")
	flags.StringVar(&w.by, "by", "", "")
	flags.Func("route", "", func(name string) error {
		if name == "" {
			return errors.New("the name is empty; leave the flag out for all routes")
		}
		w.routes = append(w.routes, name)
		return nil
	})
	if status, ok := c.parse(mode, flags, args, 0); !ok {
		return status
	}
	var err error
	if w.end, err = end.ending(c.now(), c.zone); err != nil {
		return c.usage(err)
	}
	if w.Rollout, err = readRollout(mode, rollout); err != nil {
		return c.usage(err)
	}
	if w.by == "" {
		w.by = c.by()
	}
	gate, err := c.client(at)
	if err != nil {
		return c.failed(err)
	}
	return c.change(gate, at.json, func() (answer, error) { return c.put(gate, w) })
}

// readRollout reads --rollout.
func readRollout(mode, text string) (*int, error) {
	if text == "" {
		return nil, nil
	}
	if mode != "enforce" {
		return nil, fmt.Errorf("--rollout says for how many devices to enforce, so it goes with enforce, not with %s", mode)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 0 || n > 100 {
		return nil, fmt.Errorf("--rollout must be a whole number of percent from 0 to 100, is %q", text)
	}
	return &n, nil
}

// resume runs the command resume.
func (c *console) resume(args []string) int {
	var at adminFlags
	var reason, by string
	flags := newFlags("resume")
	at.declare(flags)
	flags.StringVar(&reason, "reason", "", "")
	flags.StringVar(&by, "by", "", "")
	if status, ok := c.parse("resume", flags, args, 0); !ok {
		return status
	}
	if by == "" {
		by = c.by()
	}
	gate, err := c.client(at)
	if err != nil {
		return c.failed(err)
	}
	return c.change(gate, at.json, func() (answer, error) {
		document := map[string]any{"by": by}
		if reason != "" {
			document["reason"] = reason
		}
		done, err := gate.ask(http.MethodDelete, "/control", "application/json", "", document)
		return done, underFlags(err, nil, ending{})
	})
}

// change makes a change and shows what has become of it.
func (c *console) change(gate *adminClient, asJSON bool, do func() (answer, error)) int {
	done, err := do()
	if err != nil {
		return c.failed(err)
	}
	var after controlState
	if err := json.Unmarshal(done.text, &after); err != nil || after.Local == nil {
		return c.failed(fmt.Errorf("the gate has answered, but not in a way that this version understands; look with approovgate status"))
	}
	for _, warning := range after.Warnings {
		c.warn(warning)
	}
	if asJSON {
		c.printJSON(done.text)
		return exitOK
	}
	now := c.now()
	status, _, err := c.statusOf(gate)
	if err == nil {
		now = status.Clock
	}
	fmt.Fprintln(c.stdout, changeLine(after, now, c.zone))
	if after.Local.empty() && after.InForce == "remote" && after.Remote != nil {
		c.warn("remote control is in force: " + sentence(after.Remote, now, c.zone) + "; only its sender ends it, or a local override stands above it")
	}
	if err != nil {
		c.warn("the change is made, but the routes cannot be shown: " + err.Error())
		return exitOK
	}
	fmt.Fprintln(c.stdout)
	c.routes(status)
	return exitOK
}

// changeLine is what a change has made of the local slot, on one line.
func changeLine(after controlState, now time.Time, zone *time.Location) string {
	switch {
	case !after.Local.empty():
		return sentence(after.Local, now, zone)
	case after.InForce == "policy":
		return "resumed: the policy rules, " + after.Local.who()
	}
	return "resumed: no local override, " + after.Local.who()
}

// sentence is a document in words: what, until when, who and why.
func sentence(d *controlDocument, now time.Time, zone *time.Location) string {
	return d.what() + ", " + d.end(now, zone) + ", " + d.who()
}

// mostConflicts is how often a change is made again because somebody else has made one in between.
const mostConflicts = 10

// put makes the gate take an override. What is in force now is read first: see document.
func (c *console) put(gate *adminClient, w wish) (answer, error) {
	for range mostConflicts {
		before, tag, err := c.controlOf(gate)
		if err != nil {
			return answer{}, err
		}
		known := map[string]bool{}
		if len(w.routes) > 0 && before.Local != nil && before.Local.InForce {
			status, _, err := c.statusOf(gate)
			if err != nil {
				return answer{}, err
			}
			for _, route := range status.Routes {
				known[route.Name] = true
			}
		}
		document, notes := w.document(before.Local, known, c.now(), c.zone)
		done, err := gate.ask(http.MethodPut, "/control", "application/json", tag, document)
		if w.needsEnd(err, document) {
			notes = append(notes, "the policy is stricter than this somewhere, so it ends after 1 h; --for or --until say otherwise")
			document["for"] = defaultSpan.String()
			done, err = gate.ask(http.MethodPut, "/control", "application/json", tag, document)
		}
		var refused *refusal
		if errors.As(err, &refused) && refused.status == http.StatusPreconditionFailed {
			continue
		}
		if err != nil {
			return answer{}, underFlags(err, w.routes, w.end)
		}
		for _, note := range notes {
			fmt.Fprintln(c.stderr, "note:", shown(note))
		}
		return done, nil
	}
	return answer{}, errors.New("others change the control all the time; look with approovgate status and try again")
}

// needsEnd reports whether an override without an end was refused for that.
func (w wish) needsEnd(err error, document map[string]any) bool {
	var refused *refusal
	if document["for"] != nil || document["until"] != nil || !errors.As(err, &refused) || refused.status != http.StatusBadRequest {
		return false
	}
	return len(refused.Problems) == 1 && refused.Problems[0].Path == "until"
}

// document is what to put in the place of the document of the local slot, which may be nil, and what is to be said
// of that. known are the routes of the policy.
func (w wish) document(before *controlDocument, known map[string]bool, now time.Time, zone *time.Location) (map[string]any, []string) {
	document := map[string]any{"by": w.by}
	if w.reason != "" {
		document["reason"] = w.reason
	}
	end := w.end
	var notes []string
	if len(w.routes) == 0 {
		document["mode"] = w.Mode
		if w.Rollout != nil {
			document["rollout"] = *w.Rollout
		}
		if before != nil && before.InForce {
			notes = append(notes, "this replaces: "+sentence(before, now, zone))
		}
		before = nil
	} else {
		notes = append(notes, w.merge(document, before, known)...)
	}
	merges := before != nil && before.InForce
	switch {
	case end.given():
	case w.Mode != "enforce":
		end.span = defaultSpan
	case merges:
		end.until = before.Until // to enforce more must not keep other routes open for longer
	}
	if end.span != 0 {
		document["for"], end.until = end.span.String(), now.Add(end.span)
	} else if !end.until.IsZero() {
		document["until"] = end.until.UTC().Format(time.RFC3339Nano)
	}
	if merges && !end.until.Equal(before.Until) {
		notes = append(notes, "the new end is for all routes of the override; before: "+before.what()+", "+before.end(now, zone))
	}
	return document, notes
}

// merge puts the override in force and the routes of the wish into a document.
func (w wish) merge(document map[string]any, before *controlDocument, known map[string]bool) (notes []string) {
	routes := map[string]override{}
	if before != nil && before.InForce {
		if before.Mode != "" {
			document["mode"] = before.Mode
		}
		if before.Rollout != nil {
			document["rollout"] = *before.Rollout
		}
		if w.reason == "" && before.Reason != "" {
			document["reason"] = before.Reason // which holds for the other routes still
		}
		for name, o := range before.Routes {
			if known[name] {
				routes[name] = o
				continue
			}
			notes = append(notes, "the policy has no route "+names([]string{name})+" any more; the override for it is dropped")
		}
	}
	for _, name := range w.routes {
		routes[name] = w.override
	}
	document["routes"] = routes
	return notes
}

// underFlags puts the problems of a refusal under the flags that they are about.
func underFlags(err error, routes []string, end ending) error {
	var refused *refusal
	if !errors.As(err, &refused) {
		return err
	}
	for i, p := range refused.Problems {
		switch p.Path {
		case "reason", "by", "rollout", "hours":
			refused.Problems[i].Path = "--" + p.Path
		case "until", "for":
			if end.span != 0 {
				refused.Problems[i].Path = "--for"
			} else if end.given() {
				refused.Problems[i].Path = "--until"
			}
		}
		for _, name := range routes {
			if at := config.Join("routes", name); p.Path == at || strings.HasPrefix(p.Path, at+".") {
				refused.Problems[i].Path = "--route " + name
			}
		}
	}
	return err
}
