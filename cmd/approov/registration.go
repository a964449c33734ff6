package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func registrationVerb() verb {
	return verb{
		name:  "registration",
		about: "the apps that get valid tokens",
		actions: []action{
			{option{"add", "APP", "register an app: the .apk or .ipa that people install, or the program they run"},
				nil, []string{"expireAfter", "package", "versionName", "libraryID"}, (*call).addRegistration},
			{option{"list", "", "the registered apps, one a line"}, nil, nil, (*call).listRegistrations},
			{option{"remove", "SIGNATURE", "remove one, as -list names it"}, nil, nil, (*call).removeRegistration},
			{option{"removeMatching", "PACKAGE,AGE", "remove those last registered longer ago, such as com.example.app,30d"},
				nil, nil, (*call).removeMatching},
		},
		options: []option{
			{"expireAfter", "3d12h", "how long the registration lasts, in y, d, h, m and s; default: for good"},
			{"package", "NAME", "the app's package name; default: as it says of itself"},
			{"versionName", "TEXT", "in place of the version, to find the registration by"},
			{"libraryID", "N", "the SDK library that counts, when the app holds several"},
		},
	}
}

func (c *call) addRegistration() error {
	app, err := c.measure(c.value())
	if err != nil {
		return err
	}
	for _, text := range app.warnings {
		c.note("WARNING: %s: %s", c.value(), text)
	}
	for _, text := range app.signers {
		if c.has("dryRun") { // what the manual prints of a registration has no room for it
			c.note("note: signed by %s", text)
		}
	}
	var done attestapi.Registered
	if !c.has("json") {
		c.say("registering app %s-%s-%s  SDK:%s(%s)", app.new.Package, app.new.Version, app.new.Library, app.platform, app.sdk)
	}
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathRegistrations, Body: app.new}, &done)
	if err != nil {
		return err
	}
	text := "registration successful"
	if !done.Registration.Expires.IsZero() {
		text += ", expires " + c.timeText(done.Registration.Expires)
	}
	c.done(answer, done.Notes, "%s", text)
	switch { // the app is registered all the same
	case app.noConfig != nil:
		c.note("note: whether the SDK configuration in the app is current was not checked: %v", app.noConfig)
	case app.outdated():
		c.note(outdatedConfig)
	}
	return nil
}

func (c *call) listRegistrations() error {
	var list attestapi.Registrations
	answer, err := c.read("getting libraries", attestapi.PathRegistrations, nil, &list) // as the manual says when it fails
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	width := 0
	for _, r := range list.Registrations {
		width = max(width, len(r.Signature))
	}
	c.say("%s:", counted(len(list.Registrations), "app registration", "app registrations"))
	for _, r := range list.Registrations {
		line := fmt.Sprintf(" %-*s  SDK:%s(%s)  registered:%s", width, r.Signature, r.Platform, r.SDKVersion, c.timeText(r.Registered))
		if !r.Expires.IsZero() {
			line += " expiry:" + c.timeText(r.Expires)
		}
		c.say("%s", line)
	}
	return nil
}

// removeRegistration removes a registration; a permanent one after confirmation.
func (c *call) removeRegistration() error {
	r := manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathRegistrations, Query: url.Values{"signature": {c.value()}}}
	var removed attestapi.Registrations
	if !c.has("yes") && !c.has("dryRun") {
		judged := r
		judged.DryRun = true
		answer, err := c.ask(judged, &removed)
		if err != nil {
			return err
		}
		if permanent(removed.Registrations) {
			if err := c.confirm("removing app registration"); err != nil {
				return err
			}
		}
		r.IfMatch = answer.Tag
	}
	removed = attestapi.Registrations{}
	answer, err := c.change(r, &removed)
	if err != nil {
		return whenStale(err)
	}
	c.done(answer, removed.Notes, "app registration %s has been removed", c.value())
	return nil
}

// permanent reports whether one of them is. A server that does not say what it would remove leaves it open: ask.
func permanent(registrations []attestapi.Registration) bool {
	for _, r := range registrations {
		if r.Expires.IsZero() {
			return true
		}
	}
	return len(registrations) == 0
}

// removeMatching removes what it has shown before, and nothing else: if the account changes in between, nothing.
func (c *call) removeMatching() error {
	at := strings.LastIndexByte(c.value(), ',')
	if at < 1 || at == len(c.value())-1 {
		return misuse{errors.New("-removeMatching must be a package name and an age, such as com.example.app,30d")}
	}
	r := manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathRegistrations, DryRun: true,
		Query: url.Values{"package": {c.value()[:at]}, "older_than": {strings.TrimSpace(c.value()[at+1:])}}}
	var matched attestapi.Registrations
	answer, err := c.ask(r, &matched)
	if err != nil {
		return err
	}
	if !c.has("json") {
		c.say("%s:", counted(len(matched.Registrations), "matched registration", "matched registrations"))
		for _, m := range matched.Registrations {
			c.say(" %s  registered:%s", m.Signature, c.timeText(m.Registered))
		}
	}
	if len(matched.Registrations) == 0 || c.has("dryRun") {
		c.printIfJSON(answer)
		return nil
	}
	if err := c.confirm("removing app registrations"); err != nil {
		return err
	}
	r.DryRun, r.IfMatch = false, answer.Tag
	var removed attestapi.Registrations
	if answer, err = c.ask(r, &removed); err != nil {
		return whenStale(err)
	}
	if c.printIfJSON(answer) {
		return nil
	}
	for _, m := range removed.Registrations {
		c.say("removing %s", m.Signature)
	}
	c.notes(removed.Notes)
	return nil
}
