package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

func explainVerb() verb {
	return verb{
		name:    "explain",
		about:   "why attestations failed, by a request ID, a device ID, or a text that holds one",
		actions: []action{{option{}, nil, nil, (*call).explain}},
		operand: "RID|DID|TEXT",
		operands: []option{
			{"RID", "", "of one attestation: Request of the SDK's Result, \"request\" in the service's log"},
			{"DID", "", "of a device: in the SDK's first log line, and did in its tokens; the newest failures"},
			{"TEXT", "", "a line of those logs, a token or its loggable form: the ID is found here, nothing else is sent"},
			{"-", "", "the same, from standard input"},
		},
	}
}

// explain asks for the failed attestations that the operand names. One argument is always that, never the token's file:
// a file given alone is told apart in the error.
func (c *call) explain() error {
	text, err := c.pastedText(c.operand)
	if err != nil {
		return err
	}
	found, err := findIDs(text)
	if err != nil {
		if _, isFile := os.Stat(c.operand); isFile == nil && c.operand != "-" {
			return misuse{fmt.Errorf("%s is a file: what is to be explained comes after it, as in approov explain %s RID", shown(c.operand), shown(c.operand))}
		}
		return err
	}
	query := url.Values{"did": {found.device}}
	if found.request != "" {
		query = url.Values{"rid": {found.request}}
	}
	var list attestapi.Explanations
	answer, err := c.read("asking why attestations failed", attestapi.PathExplanations, query, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s:", counted(len(list.Explanations), "failed attestation", "failed attestations"))
	for i, e := range list.Explanations {
		c.say(" %s  [%s]  %s", c.timeText(e.At), e.Request, e.Conclusion)
		if i == 0 { // the others would fill the screen
			c.explainInFull(e)
		}
	}
	c.say("device %s now: %s", list.DeviceID, stateText(list.Device))
	c.notes(list.Notes)
	if len(list.Explanations) > 1 {
		c.note("note: approov explain RID, with one of the IDs in brackets, tells more of an older one")
	}
	return nil
}

// explainInFull prints what the line of an attestation does not hold.
func (c *call) explainInFull(e attestapi.Explanation) {
	app := fmt.Sprintf("%s %s, library %s (%s %s)", e.Package, e.Version, e.Library, e.Platform, e.SDKVersion)
	if e.Evidence != "" {
		app += ", evidence " + e.Evidence
	}
	c.say("  app: %s", app)
	if !e.Genuine {
		c.say("  not proven: without the key of an SDK library and a fresh nonce anybody can send such a request")
	}
	for _, f := range e.Flags {
		verdict := "accepted"
		if f.Rejected {
			verdict = "rejected"
		}
		c.say("  %s %s: %s", verdict, f.Code, f.Text)
	}
}

// stateText is what applies to a device.
func stateText(d attestapi.DeviceState) string {
	whose := "the account's policy"
	if d.Own {
		whose = "its own policy"
	}
	parts := []string{whose + " " + d.Policy, "pin mode " + d.PinMode}
	if d.By != "" {
		parts = append(parts, "set by "+d.By)
	}
	return strings.Join(parts, ", ")
}
