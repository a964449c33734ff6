package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/pins"
)

// addDomain adds a domain, or changes one that is there already (manual, "Adding API Domains", "Pinning For New API
// Domains"). Of one that is there the pins stay unless a flag says something of them: to lose a backup pin by a
// repeated command would be an outage in waiting.
func (c *call) addDomain() error {
	d, kind, err := c.wantedDomain()
	if err != nil {
		return misuse{err}
	}
	prober, err := c.prober()
	if err != nil {
		return misuse{err}
	}
	have, tag, err := c.existing(d.Domain)
	if err != nil {
		return err
	}
	switch {
	case have != nil && have.Demo:
		d = *have // changes of it are ignored, as the server says
	case have != nil && kind == "":
		d.Pins = have.Pins
	default:
		if d.Pins, err = c.newPins(prober, d, kind); err != nil {
			return err
		}
	}
	return c.putDomain(d, have, tag)
}

// wantedDomain is the domain that the flags describe. kind says where its pin comes from; empty: they do not say.
func (c *call) wantedDomain() (d attestapi.APIDomain, kind string, err error) {
	d.Pins = []string{}
	if d.Domain, err = attestapi.ParseDomainName(c.value()); err != nil {
		return d, "", err
	}
	if d.Format, d.KeyID, err = c.tokenFormat(); err != nil {
		return d, "", err
	}
	if kind, err = c.pinType("leaf", "local", "remote", "explicit", "none"); err != nil {
		return d, "", err
	}
	pin := c.text("explicitPin")
	switch {
	case pin == "" && kind == "explicit":
		return d, "", errors.New("-pinType explicit needs -explicitPin PIN")
	case pin == "":
		return d, kind, nil
	case kind != "" && kind != "explicit":
		return d, "", errors.New("-pinType " + kind + " and -explicitPin contradict each other; give one")
	case !pins.IsPin(pin):
		return d, "", errors.New("-explicitPin must be base64 of 32 bytes, such as Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=")
	}
	return d, "explicit", nil
}

// newPins are the pins of a domain as its kind says.
func (c *call) newPins(prober pins.Prober, d attestapi.APIDomain, kind string) ([]string, error) {
	switch {
	case kind == "explicit":
		return []string{c.text("explicitPin")}, nil
	case kind == "none":
		return []string{}, nil
	case kind == "" && d.Domain == attestapi.DemoDomain:
		c.note("note: %s is the demonstration domain, which serves nothing to take a pin from; -pinType says otherwise", d.Domain)
		return []string{}, nil
	}
	leaf, err := c.leafPin(prober, d.Domain, kind)
	if err != nil {
		return nil, err
	}
	if !c.has("json") && (kind == "local" || kind == "remote") {
		c.say("leaf pin for %s is %s", d.Domain, leaf.Pin)
	}
	return []string{leaf.Pin}, nil
}

// putDomain has a domain added or changed. have is what it was before, of the account with this tag; nil: it is new.
func (c *call) putDomain(d attestapi.APIDomain, have *attestapi.APIDomain, tag string) error {
	request := manageclient.Request{Method: http.MethodPost, Path: attestapi.PathDomains, Body: d}
	line, same := "added new API domain %s %s", false
	if have != nil {
		request.IfMatch = tag
		line, same = "changed API domain %s %s", c.warnOfChanges(d, *have)
	}
	var changed attestapi.Changed
	var answer manageclient.Answer
	var err error
	if same {
		line = "API domain %s is there already %s; nothing was changed"
		answer, err = c.change(request, &changed) // the server may have to say something
	} else {
		answer, err = c.changeConfirmed("adding the API", request, &changed)
	}
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, line, d.Domain, pinsText(d.Pins))
	return nil
}

// warnOfChanges says what a domain loses, before anybody is asked. It reports whether nothing is changed at all.
func (c *call) warnOfChanges(d, have attestapi.APIDomain) (same bool) {
	if d.Format != have.Format {
		c.note("WARNING: the token format of %s changes from %s to %s", d.Domain, have.Format, d.Format)
	}
	if d.KeyID != have.KeyID {
		c.note("WARNING: the tokens of %s are signed with %s from now on, and not with %s", d.Domain, keyText(d.KeyID), keyText(have.KeyID))
	}
	lost := slices.DeleteFunc(slices.Clone(have.Pins), func(pin string) bool { return slices.Contains(d.Pins, pin) })
	if len(lost) > 0 {
		c.note("WARNING: %s loses the pins %s; to keep several use -getAll and -setAll", d.Domain, strings.Join(lost, " "))
	}
	return d.Format == have.Format && d.KeyID == have.KeyID && slices.Equal(d.Pins, have.Pins)
}

func keyText(id string) string {
	if id == "" {
		return "the account's token secret"
	}
	return "the key " + id
}

func pinsText(all []string) string {
	switch len(all) {
	case 0:
		return "without pin"
	case 1:
		return "with pin " + all[0]
	}
	return "with pins " + strings.Join(all, " ")
}
