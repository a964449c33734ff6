package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func gatewayVerb() verb {
	return verb{
		name:  "gateway",
		about: "the live switch of the gates in front of your APIs",
		actions: []action{
			{option{"setMode", "MODE", "bypass, log or enforce for a while, or resume: the policies again; asks first; admin"},
				[]string{"gates"}, []string{"routes", "for", "until", "reason"}, (*call).setMode},
			{option{"getMode", "", "what is in force"}, []string{"gates"}, nil, (*call).getMode},
			{option{"getKeys", "FILE", "write the public key that gates verify the switch with into a file"}, nil, nil, (*call).getKeys},
		},
		options: []option{
			{"gates", "A,B", "names of gates, such as edge,edge-2"},
			{"routes", "ROUTE=MODE", "modes of single routes, such as transfers=log,files=bypass"},
			{"for", "15m", "how long, at most a day; default: an hour"},
			{"until", "TIME", "in place of -for, and as late as you like: 2030-01-31T18:00, local, or RFC 3339"},
			{"reason", "TEXT", "why; for the audit log and the gates' own logs"},
		},
	}
}

// modes are what a gate can be switched to.
func modes() []string { return []string{"bypass", "log", "enforce"} }

// splitList splits A,B and drops nothing: an empty name is a mistake.
func splitList(name, text string) ([]string, error) {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
		if parts[i] == "" {
			return nil, fmt.Errorf("-%s has an empty entry; write it like -%s edge,edge-2", name, name)
		}
	}
	return parts, nil
}

// gates are the gates that -gates names.
func (c *call) gates() ([]string, error) {
	gates, err := splitList("gates", c.text("gates"))
	if err != nil {
		return nil, err
	}
	for i, name := range gates {
		if slices.Contains(gates[:i], name) {
			return nil, fmt.Errorf("-gates names %q twice", name)
		}
	}
	return gates, nil
}

// modeOrder is the switch that the flags describe.
func (c *call) modeOrder() (attestapi.GatewayMode, error) {
	order := attestapi.GatewayMode{Mode: c.value(), For: c.text("for"), Reason: c.text("reason")}
	if order.Mode != "resume" && !slices.Contains(modes(), order.Mode) {
		return order, fmt.Errorf("-setMode must be bypass, log, enforce or resume, is %q%s", shown(order.Mode), didYouMean(order.Mode, append(modes(), "resume")))
	}
	var err error
	if order.Gates, err = c.gates(); err != nil {
		return order, err
	}
	if order.Routes, err = c.routes(); err != nil {
		return order, err
	}
	switch {
	case order.Mode == "resume" && (c.has("for") || c.has("until") || c.has("routes")):
		return order, errors.New("-setMode resume ends every override; -for, -until and -routes do not go with it")
	case c.has("for") && c.has("until"):
		return order, errors.New("-for and -until say the same in two ways; give one")
	case order.Mode != "resume" && !c.has("reason"):
		return order, errors.New("-setMode needs -reason TEXT: those who look at the gates' logs later will ask")
	}
	order.Until, err = c.until()
	return order, err
}

// until is the time that -until names; zero: none.
func (c *call) until() (time.Time, error) {
	text := c.text("until")
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateTime} {
		if at, err := time.ParseInLocation(layout, text, c.zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("-until must be a time such as 2030-01-31T18:00, which is local, or 2030-01-31T17:00:00Z, is %q", shown(text))
}

// routes are the modes that -routes names.
func (c *call) routes() (map[string]string, error) {
	if !c.has("routes") {
		return nil, nil
	}
	entries, err := splitList("routes", c.text("routes"))
	if err != nil {
		return nil, err
	}
	routes := map[string]string{}
	for _, entry := range entries {
		at := strings.LastIndexByte(entry, '=')
		if at < 1 || !slices.Contains(modes(), entry[at+1:]) {
			return nil, fmt.Errorf("-routes: %q must be a route's name and a mode, such as transfers=log", shown(entry))
		}
		if _, twice := routes[entry[:at]]; twice {
			return nil, fmt.Errorf("-routes names %q twice", shown(entry[:at]))
		}
		routes[entry[:at]] = entry[at+1:]
	}
	return routes, nil
}

func (c *call) setMode() error {
	order, err := c.modeOrder()
	if err != nil {
		return misuse{err}
	}
	var mode attestapi.GatewayMode
	answer, err := c.changeConfirmed("switching the mode of the gates", manageclient.Request{Method: http.MethodPut,
		Path: attestapi.PathGateway, Body: order}, &mode)
	if err != nil {
		return err
	}
	c.done(answer, nil, "%s: %s", strings.Join(order.Gates, ", "), c.modeText(mode))
	return nil
}

// getMode shows one line for each gate; as JSON one document a line.
func (c *call) getMode() error {
	gates, err := c.gates()
	if err != nil {
		return misuse{err}
	}
	for _, gate := range gates {
		var mode attestapi.GatewayMode
		answer, err := c.read("getting the gates' mode", attestapi.PathGateway, url.Values{"gate": {gate}}, &mode)
		if err != nil {
			return err
		}
		if !c.printIfJSON(answer) {
			c.say("%s: %s", gate, c.modeText(mode))
		}
	}
	return nil
}

// modeText is what is in force, until when, who set it and why.
func (c *call) modeText(m attestapi.GatewayMode) string {
	if m.Until.IsZero() {
		return "the gate's policy applies"
	}
	var parts []string
	if m.Mode != "" {
		parts = append(parts, m.Mode)
	}
	var routes []string
	for name, mode := range m.Routes {
		routes = append(routes, name+"="+mode)
	}
	slices.Sort(routes)
	if len(routes) > 0 {
		parts = append(parts, "routes "+strings.Join(routes, ","))
	}
	text := strings.Join(parts, ", ") + " until " + c.timeText(m.Until)
	if m.By != "" {
		text += ", by " + m.By
	}
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

func (c *call) getKeys() error {
	var keys attestapi.GatewayKeys
	answer, err := c.read("getting the gates' key", attestapi.PathGatewayKeys, nil, &keys)
	if err != nil {
		return err
	}
	if err := writePublic(c.value(), []byte(keys.PublicKey)); err != nil {
		return err
	}
	if !c.printIfJSON(answer) {
		c.say("gateway public key written to %s", c.value())
	}
	return nil
}
