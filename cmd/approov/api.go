package main

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func apiVerb() verb {
	return verb{
		name:  "api",
		about: "the API domains that tokens are for, and their pins",
		alone: withoutServer,
		actions: []action{
			{option{"add", "DOMAIN", "add a domain, pinned to its leaf certificate, or change one; asks first"},
				nil, []string{"jwe", "noToken", "keyID", "pinType", "explicitPin", "connect"}, (*call).addDomain},
			{option{"list", "", "the domains, one a line"}, nil, nil, (*call).listDomains},
			{option{"remove", "DOMAIN", "remove a domain; asks first; needs an admin token"}, nil, nil, (*call).removeDomain},
			{option{"getLeafPin", "DOMAIN", "the pin that -add would take"}, nil, []string{"pinType", "connect"}, (*call).showLeafPin},
			{option{"getCertChainPins", "DOMAIN", "the pins of the certificates that it serves, seen from here; needs no token"},
				nil, []string{"connect"}, (*call).showChain},
			{option{"getCertPin", "FILE", "pins of a PEM file's certificates; needs no token"}, nil, nil, (*call).showCertificates},
			{option{"getAll", "FILE", "all domains and pins into a JSON file; -: print"}, nil, nil, (*call).saveDomains},
			{option{"setAll", "FILE", "replace them by those of such a file; asks first; needs an admin token"},
				nil, []string{"connect"}, (*call).setDomains},
			{option{"check", "", "does each domain serve one of its pins, seen from here; exits with 0 if so, else 1"},
				nil, []string{"connect"}, (*call).checkDomains},
			{option{"pinStatus", "", "what the service's pin monitor saw last"}, nil, nil, (*call).showPinStatus},
		},
		options: []option{
			{"jwe", "", "its tokens are encrypted"},
			{"noToken", "", "it is known and pinned, and needs no tokens"},
			{"keyID", "KID", "the keyset's key that signs its tokens; default: the account's token secret"},
			{"pinType", "TYPE", "leaf (local equal to remote), local, remote; for -add none, explicit"},
			{"explicitPin", "PIN", "base64 of SHA-256 of a certificate's public key"},
			{"connect", "HOST:PORT", "look there instead"},
		},
	}
}

// withoutServer reports whether an action looks at nothing but files and domains. The check connects by itself, because
// it goes well without a server.
func withoutServer(c *call) bool {
	switch c.action.name {
	case "getCertChainPins", "getCertPin", "check":
		return true
	case "getLeafPin":
		return c.text("pinType") == "local"
	}
	return false
}

// tokenFormat is the token format that the flags of -add describe, and the key.
func (c *call) tokenFormat() (format, key string, err error) {
	format, key = "jws", c.text("keyID")
	switch {
	case c.has("jwe") && c.has("noToken"):
		return "", "", errors.New("-jwe says how tokens look and -noToken that there are none; give one")
	case c.has("jwe") && c.has("keyID"):
		return "", "", errors.New("-jwe encrypts with the account's token secret and -keyID signs with another key; give one")
	case c.has("noToken") && c.has("keyID"):
		return "", "", errors.New("-noToken says that there are no tokens, so there is nothing for -keyID to sign; give one")
	case c.has("jwe"):
		format = "jwe"
	case c.has("noToken"):
		format = "none"
	}
	return format, key, nil
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

// existing is the setting of a domain that the account has already, and the tag of the account; nil: it has not.
func (c *call) existing(domain string) (*attestapi.APIDomain, string, error) {
	var list attestapi.Domains
	answer, err := c.read("getting API domains", attestapi.PathDomains, nil, &list)
	if err != nil {
		return nil, "", err
	}
	if at := slices.IndexFunc(list.Domains, func(d attestapi.APIDomain) bool { return d.Domain == domain }); at >= 0 {
		return &list.Domains[at], answer.Tag, nil
	}
	return nil, "", nil
}
