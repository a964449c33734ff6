package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/pins"
)

const maxLooks = 10 // domains that are looked at at once

// look sees what each of some domains serves. The answers are in the domains' order.
func (c *call) look(prober pins.Prober, all []attestapi.APIDomain) []attestapi.PinStatus {
	seen := make([]attestapi.PinStatus, len(all))
	places := make(chan struct{}, maxLooks)
	var under sync.WaitGroup
	for i, d := range all {
		places <- struct{}{}
		under.Go(func() { // ends within the prober's time
			seen[i] = c.lookAt(prober, d)
			<-places
		})
	}
	under.Wait()
	return seen
}

// lookAt sees whether a domain serves one of its pins, as an app would see it. The demonstration domain without pins is
// not looked at: nothing need be served there.
func (c *call) lookAt(prober pins.Prober, d attestapi.APIDomain) attestapi.PinStatus {
	status := attestapi.PinStatus{Domain: d.Domain, State: attestapi.PinsUnpinned}
	if d.Domain == attestapi.DemoDomain && len(d.Pins) == 0 {
		status.Detail = "demonstration, not looked at"
		return status
	}
	chain, err := prober.Chain(context.Background(), d.Domain)
	status.Checked = c.now().UTC().Truncate(time.Second)
	if err != nil {
		status.State, status.Detail = attestapi.PinsUnreachable, err.Error()
		return status
	}
	status.Leaf, status.Expires = chain.Leaf().Pin, chain.Expires().UTC()
	pin, matched := chain.Match(d.Pins)
	switch {
	case chain.Problem != nil:
		status.State, status.Detail = attestapi.PinsUntrusted, chain.Problem.Error()
	case matched:
		status.State, status.Pin = attestapi.PinsMatched, pin
	case len(d.Pins) > 0:
		status.State = attestapi.PinsMismatched
	}
	return status
}

// showChecks prints a line for each domain. With -json the lines are not part of the answer, but whoever is asked next
// needs them all the same.
func (c *call) showChecks(all []attestapi.PinStatus) {
	tell := c.say
	if c.has("json") {
		tell = c.note
	}
	for _, status := range all {
		tell("%s", checkText(status))
	}
}

func failed(s attestapi.PinStatus) bool {
	return s.State != attestapi.PinsMatched && s.State != attestapi.PinsUnpinned
}

// checkText is the manual's line for a domain that is well (manual, "Checking API Configuration"), and ours for others.
func checkText(s attestapi.PinStatus) string {
	switch {
	case s.State == attestapi.PinsMatched:
		return s.Domain + " matched pin " + s.Pin
	case s.State == attestapi.PinsUnreachable:
		return s.Detail // begins with the domain
	case s.State == attestapi.PinsUntrusted:
		return s.Domain + " is refused by apps: " + s.Detail + "; it serves " + s.Leaf
	case s.State == attestapi.PinsMismatched:
		return s.Domain + " has none of its pins; it serves " + s.Leaf
	case s.Detail != "":
		return s.Domain + " no pins defined (" + s.Detail + ")"
	}
	return s.Domain + " no pins defined"
}

// checkDocument is what -check -json prints.
type checkDocument struct {
	Checked  bool                  `json:"checked"`          // false: the domains could not be learned
	Detail   string                `json:"detail,omitempty"` // why not
	Failures int                   `json:"failures"`
	Domains  []attestapi.PinStatus `json:"domains"`
}

// checkDomains does what the manual has in "Checking API Configuration". It fails when a domain is not well, and only
// then: a service that is away or refuses the management token says nothing of the domains. A management token that is
// not there is a mistake of whoever set the check up, and would hide everything for good.
func (c *call) checkDomains() error {
	prober, err := c.prober()
	if err != nil {
		return misuse{err}
	}
	var list attestapi.Domains
	if err = c.open(); err == nil {
		defer c.api.Close()
		_, err = c.read("getting API domains", attestapi.PathDomains, nil, &list)
	}
	document := checkDocument{Checked: err == nil, Domains: []attestapi.PinStatus{}}
	switch {
	case err == nil:
		document.Domains = c.look(prober, list.Domains)
	case saysNothingOfDomains(err):
		document.Detail = whyUnchecked(err)
		c.note("WARNING: the API domains were not checked: %s", document.Detail)
	default:
		return err
	}
	if !c.has("json") {
		c.showChecks(document.Domains)
	} else if err := c.printChecks(document); err != nil {
		return err
	}
	if slices.ContainsFunc(document.Domains, failed) {
		return errNegative
	}
	return nil
}

func (c *call) printChecks(document checkDocument) error {
	for _, status := range document.Domains {
		if failed(status) {
			document.Failures++
		}
	}
	return c.printDocument(document)
}

// saysNothingOfDomains reports whether an error of the management API is no failure of the check.
func saysNothingOfDomains(err error) bool {
	_, refused := errors.AsType[*manageclient.Refusal](err)
	_, away := errors.AsType[*manageclient.Unreachable](err)
	_, badly := errors.AsType[badToken](err)
	_, missing := errors.AsType[noToken](err)
	return refused || away || badly && !missing
}

// whyUnchecked is the manual's sentence on a management token that is not accepted, or the error.
func whyUnchecked(err error) string {
	if refused, ok := errors.AsType[*manageclient.Refusal](err); ok && refused.Code == attestapi.CodeUnauthorized {
		return invalidToken
	}
	return err.Error()
}

// showPinStatus lists what the service's monitor knows, one domain a line, with local times.
func (c *call) showPinStatus() error {
	var list attestapi.PinStatuses
	answer, err := c.read("getting the status of pins", attestapi.PathPinStatus, nil, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	if !list.Monitored {
		c.note("note: the service's pin monitor is switched off")
	}
	for _, s := range list.Domains {
		c.say("%s", c.statusText(s))
	}
	return nil
}

func (c *call) statusText(s attestapi.PinStatus) string {
	words := []string{s.Domain, s.State}
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+value)
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return c.timeText(t)
	}
	add("pin:", s.Pin)
	add("leaf:", s.Leaf)
	if !s.Expires.IsZero() {
		add("expiry:", s.Expires.UTC().Format(time.DateOnly))
	}
	add("since:", at(s.Since))
	add("checked:", at(s.Checked))
	add("", s.Detail)
	return strings.Join(words, "  ")
}
