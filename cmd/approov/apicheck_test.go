package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/pins"
)

// Many domains are looked at side by side, ten at a time, and told in their order. The server closes connections when
// it has as many as can be expected, and not before.
func TestLooksAreBoundedAndInOrder(t *testing.T) {
	const many = 25
	var now, most atomic.Int64
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener
		var waiting []net.Conn
		for left := many; ; {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			most.Store(max(most.Load(), now.Add(1)))
			if waiting = append(waiting, connection); len(waiting) == min(left, maxLooks) {
				left -= len(waiting)
				now.Add(-int64(len(waiting)))
				for _, one := range waiting {
					_ = one.Close()
				}
				waiting = nil
			}
		}
	}()
	var all []attestapi.APIDomain
	for i := range many {
		all = append(all, attestapi.APIDomain{Domain: fmt.Sprintf("d%02d.example.com", i)})
	}
	c := &call{console: &console{now: time.Now}}
	got := c.look(pins.Prober{Connect: listener.Addr().String()}, all)
	if most.Load() != maxLooks {
		t.Errorf("got %d looks at once, want %d", most.Load(), maxLooks)
	}
	for i, status := range got {
		if status.Domain != all[i].Domain || status.State != attestapi.PinsUnreachable || strings.Contains(status.Detail, "within") {
			t.Errorf("%s: got %v, want that the connection was closed", all[i].Domain, status)
		}
	}
}

// R68: nothing need be served on the demonstration domain, unless somebody has given it a pin.
func TestTheDemonstrationDomainIsLookedAtForItsPins(t *testing.T) {
	c := &call{console: &console{now: time.Now}}
	nobody := pins.Prober{Connect: "127.0.0.1:1"}
	d := attestapi.APIDomain{Domain: attestapi.DemoDomain, Demo: true}
	if got := c.lookAt(nobody, d); got.State != attestapi.PinsUnpinned || !got.Checked.IsZero() {
		t.Errorf("without pins: got %v, want that it is not looked at", got)
	}
	d.Pins = []string{onePin}
	if got := c.lookAt(nobody, d); got.State != attestapi.PinsUnreachable || got.Checked.IsZero() {
		t.Errorf("with a pin: got %v, want that it is unreachable", got)
	}
}

// R129: what a check that could not be made is called.
func TestWhatSaysNothingOfDomains(t *testing.T) {
	refusal := func(code string) error {
		return &manageclient.Refusal{Problem: attestapi.Problem{Status: 401, Code: code}}
	}
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"a token that was revoked", while{refusal(attestapi.CodeUnauthorized), "doing"}, true},
		{"a token of another role", refusal(attestapi.CodeForbidden), true},
		{"too many requests", refusal(attestapi.CodeRateLimited), true},
		{"a service that is away", &manageclient.Unreachable{}, true},
		{"a token that is none", badToken{fmt.Errorf("x")}, true},
		{"no token", badToken{noToken{fmt.Errorf("x")}}, false},
		{"a wrong command line", misuse{fmt.Errorf("x")}, false},
		{"anything else", fmt.Errorf("x"), false},
	} {
		if got := saysNothingOfDomains(row.err); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// What a server or a certificate says cannot steer a terminal, nor make one line two.
func TestHostileTextIsMadeHarmless(t *testing.T) {
	var out bytes.Buffer
	c := &call{console: &console{stdout: &out, stderr: &out, now: time.Now, zone: time.UTC}, given: map[string]string{}}
	hostile := "x\ngood.example.com matched pin y\x1b[2J"
	c.showChecks([]attestapi.PinStatus{{Domain: hostile, State: attestapi.PinsMatched, Pin: hostile}, {Domain: "a", State: attestapi.PinsUntrusted, Detail: hostile}})
	c.say("%s", c.statusText(attestapi.PinStatus{Domain: hostile, State: hostile, Detail: hostile}))
	if err := c.showAll([]pins.Certificate{{Pin: "p", Subject: hostile}}, nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 5 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("got %d lines, %q, want 5 without an escape", got, out.String())
	}
}
