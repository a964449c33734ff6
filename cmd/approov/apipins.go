package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/pins"
)

// leafPin is the pin of a domain's leaf certificate, as -getLeafPin -json prints it.
type leafPin struct {
	Domain string `json:"domain"`
	Pin    string `json:"pin,omitempty"`    // empty: the two differ
	Local  string `json:"local,omitempty"`  // as seen from here
	Remote string `json:"remote,omitempty"` // as seen from the service
}

// difference is the manual's sentence on two pins that should be equal (manual, "Pinning For New API Domains").
func (p leafPin) difference() string {
	return fmt.Sprintf("domain %s local pin %s differs from remote pin %s (may be due to local firewall)", p.Domain, p.Local, p.Remote)
}

// pinType is what -pinType says; empty: it is not given.
func (c *call) pinType(allowed ...string) (string, error) {
	kind := c.text("pinType")
	if kind != "" && !slices.Contains(allowed, kind) {
		return "", fmt.Errorf("-pinType must be %s, is %q", orList(allowed), shown(kind))
	}
	return kind, nil
}

// prober looks at domains as the flags say.
func (c *call) prober() (pins.Prober, error) {
	to := c.text("connect")
	if to == "" {
		return pins.Prober{}, nil
	}
	host, port, err := net.SplitHostPort(to)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || host == "" || number == 0 {
		return pins.Prober{}, fmt.Errorf("-connect must be HOST:PORT, such as 192.0.2.7:443 or [2001:db8::7]:443, is %q", shown(to))
	}
	return pins.Prober{Connect: to}, nil
}

// leafPin looks at a domain: from here, from the service, or, as a rule, from both, which must see the same.
func (c *call) leafPin(prober pins.Prober, domain, kind string) (leafPin, error) {
	leaf := leafPin{Domain: domain}
	var local, remote sight
	seen := make(chan sight, 1)
	if kind != "remote" {
		go func() { seen <- lookFromHere(prober, domain) }() // ends within the prober's time
	}
	if kind != "local" {
		if remote = c.lookFromService(domain); remote.err != nil && !saysUnreached(remote.err) {
			return leaf, remote.err // there is nothing wrong with the domain, so nobody waits for it
		}
	}
	if kind != "remote" {
		local = <-seen
	}
	if err := c.unseen(local, remote); err != nil {
		return leaf, err
	}
	for _, s := range []sight{local, remote} {
		if s.problem != "" {
			c.note("WARNING: seen from %s, apps refuse %s: %s", s.from, domain, s.problem)
		}
	}
	leaf.Local, leaf.Remote = local.pin, remote.pin
	if kind != "local" && kind != "remote" && local.pin != remote.pin {
		c.note("%s", leaf.difference())
		return leaf, errNegative
	}
	leaf.Pin = local.pin
	if kind == "remote" {
		leaf.Pin = remote.pin
	}
	return leaf, nil
}

// sight is what was seen of a domain's leaf from one side.
type sight struct {
	from    string
	pin     string
	problem string // why it is not trusted
	err     error
}

func lookFromHere(prober pins.Prober, domain string) sight {
	chain, err := prober.Chain(context.Background(), domain)
	if err != nil {
		return sight{err: err}
	}
	s := sight{from: "here", pin: chain.Leaf().Pin}
	if chain.Problem != nil {
		s.problem = chain.Problem.Error()
	}
	return s
}

func (c *call) lookFromService(domain string) sight {
	var served attestapi.ServedPins
	_, err := c.read("getting the pins that the service sees", attestapi.PathPins, url.Values{"domain": {domain}}, &served)
	switch {
	case err != nil:
		return sight{err: err}
	case len(served.Certificates) == 0 || !pins.IsPin(served.Certificates[0].Pin):
		return sight{err: fmt.Errorf("%s answers without a pin of %s; is it an attestation server of this version?", c.api.Server(), domain)}
	}
	return sight{from: "the service", pin: served.Certificates[0].Pin, problem: served.Problem}
}

// saysUnreached reports whether the service could not look at a domain.
func saysUnreached(err error) bool {
	refused, ok := errors.AsType[*manageclient.Refusal](err)
	return ok && (refused.Code == attestapi.CodeUnreachable || refused.Code == attestapi.CodeUnavailable)
}

// unseen says what to do about a domain that could not be looked at.
func (c *call) unseen(local, remote sight) error {
	other := ""
	if c.action.name == "add" {
		other = "; -pinType explicit takes a pin that you know, -pinType none goes without"
	}
	switch {
	case local.err != nil && remote.err != nil:
		return fmt.Errorf("from here, %w; from the service, %w%s", local.err, remote.err, other)
	case local.err != nil:
		return fmt.Errorf("from here, %w; -pinType remote takes what the service sees%s", local.err, other)
	case remote.err != nil:
		return fmt.Errorf("from the service, %w; -pinType local takes what is seen from here%s", remote.err, other)
	}
	return nil
}

// showLeafPin does what the manual has in "Leaf Public Key Pin Extraction".
func (c *call) showLeafPin() error {
	domain, err := attestapi.ParseDomainName(c.value())
	if err != nil {
		return misuse{err}
	}
	kind, err := c.pinType("leaf", "local", "remote")
	if err != nil {
		return misuse{err}
	}
	prober, err := c.prober()
	if err != nil {
		return misuse{err}
	}
	leaf, err := c.leafPin(prober, domain, kind)
	switch {
	case c.has("json") && (err == nil || errors.Is(err, errNegative)):
		return errors.Join(c.printDocument(leaf), err)
	case err != nil:
		return err
	}
	c.say("leaf pin for %s is %s", domain, leaf.Pin)
	return nil
}

// showChain does what the manual has in "Intermediate Public Key Pin Extraction".
func (c *call) showChain() error {
	domain, err := attestapi.ParseDomainName(c.value())
	if err != nil {
		return misuse{err}
	}
	prober, err := c.prober()
	if err != nil {
		return misuse{err}
	}
	chain, err := prober.Chain(context.Background(), domain)
	if err != nil {
		return err
	}
	document := attestapi.ServedPins{Domain: domain, Certificates: served(chain.Certificates)}
	if chain.Problem != nil {
		document.Problem = chain.Problem.Error()
		c.note("WARNING: apps refuse %s: %s", domain, document.Problem)
	}
	for _, one := range chain.Extra() {
		c.note("WARNING: %s is sent along, and the chain does without it: its pin never matches", named(one))
	}
	return c.showAll(chain.Certificates, document)
}

// certificateFile is what -getCertPin -json prints.
type certificateFile struct {
	File         string                        `json:"file"`
	Certificates []attestapi.ServedCertificate `json:"certificates"`
}

// showCertificates does what the manual has in "Certificate File Pin Extraction".
func (c *call) showCertificates() error {
	text, err := c.readInput(c.value(), pins.MaxPEM)
	if err != nil {
		return fmt.Errorf("-getCertPin: %w", err)
	}
	all, err := pins.FromPEM(text)
	if err != nil {
		return fmt.Errorf("-getCertPin: %s: %w", c.value(), err)
	}
	return c.showAll(all, certificateFile{File: c.value(), Certificates: served(all)})
}

// showAll prints certificates, or a document of them. Dates are UTC, as those in certificates.
func (c *call) showAll(all []pins.Certificate, document any) error {
	for _, one := range all {
		if c.now().After(one.Expires) {
			c.note("WARNING: %s has expired on %s", named(one), one.Expires.UTC().Format(time.DateOnly))
		}
	}
	if c.has("json") {
		return c.printDocument(document)
	}
	for _, one := range all {
		c.say("pin %s, expiry %s, %s", one.Pin, one.Expires.UTC().Format(time.DateOnly), one.Subject)
	}
	return nil
}

// named is how a certificate is called in a warning.
func named(one pins.Certificate) string {
	if one.Subject == "" {
		return "the certificate with the pin " + one.Pin
	}
	return "the certificate of " + one.Subject
}

func served(all []pins.Certificate) []attestapi.ServedCertificate {
	list := []attestapi.ServedCertificate{}
	for _, one := range all {
		list = append(list, attestapi.ServedCertificate{Pin: one.Pin, Expires: one.Expires.UTC(), Subject: one.Subject})
	}
	return list
}
