package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func apiVerb() verb {
	return verb{
		name:  "api",
		about: "the API domains that tokens are for, and their pins",
		actions: []action{
			{option{"add", "DOMAIN", "add a domain, or change its token format; asks first"},
				nil, []string{"jwe", "noToken", "keyID", "pinType", "explicitPin"}, (*call).addDomain},
			{option{"list", "", "the domains, one a line"}, nil, nil, (*call).listDomains},
			{option{"remove", "DOMAIN", "remove a domain; asks first; needs an admin token"}, nil, nil, (*call).removeDomain},
		},
		options: []option{
			{"jwe", "", "its tokens are encrypted"},
			{"noToken", "", "it is known and pinned, and needs no tokens"},
			{"keyID", "KID", "the keyset's key that signs its tokens; default: the account's token secret"},
			{"pinType", "TYPE", "none or explicit; default: none, or explicit with -explicitPin"},
			{"explicitPin", "PIN", "base64 of SHA-256 of a certificate's public key"},
		},
	}
}

// domain is the domain that the flags describe.
func (c *call) domain() (attestapi.APIDomain, error) {
	d := attestapi.APIDomain{Domain: c.value(), Format: "jws", KeyID: c.text("keyID"), Pins: []string{}}
	switch {
	case c.has("jwe") && c.has("noToken"):
		return d, errors.New("-jwe says how tokens look and -noToken that there are none; give one")
	case c.has("jwe") && c.has("keyID"):
		return d, errors.New("-jwe encrypts with the account's token secret and -keyID signs with another key; give one")
	case c.has("noToken") && c.has("keyID"):
		return d, errors.New("-noToken says that there are no tokens, so there is nothing for -keyID to sign; give one")
	case c.has("jwe"):
		d.Format = "jwe"
	case c.has("noToken"):
		d.Format = "none"
	}
	pin := c.text("explicitPin")
	switch kind := c.text("pinType"); {
	case kind == "local" || kind == "remote":
		return d, fmt.Errorf("-pinType %s: this version does not fetch pins; give -explicitPin PIN, or -pinType none", kind)
	case kind != "" && kind != "none" && kind != "explicit":
		return d, fmt.Errorf("-pinType must be none or explicit, is %q", kind)
	case kind == "none" && pin != "":
		return d, errors.New("-pinType none and -explicitPin contradict each other; give one")
	case kind == "explicit" && pin == "":
		return d, errors.New("-pinType explicit needs -explicitPin PIN")
	case pin != "":
		if raw, err := base64.StdEncoding.Strict().DecodeString(pin); err != nil || len(raw) != sha256.Size {
			return d, fmt.Errorf("-explicitPin must be base64 of %d bytes, such as Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=", sha256.Size)
		}
		d.Pins = []string{pin}
	}
	return d, nil
}

func (c *call) addDomain() error {
	d, err := c.domain()
	if err != nil {
		return misuse{err}
	}
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("adding the API", manageclient.Request{Method: http.MethodPost, Path: attestapi.PathDomains, Body: d}, &changed)
	if err != nil {
		return err
	}
	pin := "without pin"
	if len(d.Pins) > 0 {
		pin = "with pin " + d.Pins[0]
	}
	c.done(answer, changed.Notes, "added new API domain %s %s", d.Domain, pin)
	return nil
}

func (c *call) listDomains() error {
	var list attestapi.Domains
	answer, err := c.read("getting API domains", attestapi.PathDomains, nil, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s:", counted(len(list.Domains), "API domain", "API domains"))
	for _, d := range list.Domains {
		line := " " + d.Domain
		switch {
		case d.Format == "jwe":
			line += " (jwe)"
		case d.Format == "none":
			line += " (no tokens)"
		case d.KeyID != "":
			line += " (key " + d.KeyID + ")"
		}
		if d.Demo {
			line += " (demonstration)"
		}
		c.say("%s", line)
	}
	return nil
}

func (c *call) removeDomain() error {
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("removing the API", manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathDomains,
		Query: url.Values{"domain": {c.value()}}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "removed API domain %s", c.value())
	return nil
}
