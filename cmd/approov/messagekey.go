package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

// messageSigningKey is the account's key for signing messages. change and get-base64url are Approov's words for it
// (approov-service-httpsurlconn, "Message Signing"); off is ours.
func (c *call) messageSigningKey() error {
	switch c.value() {
	case "get-base64url":
		return c.getMessageKey()
	case "change":
		return c.changeMessageKey()
	case "off":
		return c.removeMessageKey()
	}
	return misuse{fmt.Errorf("-messageSigningKey must be change, get-base64url or off, is %q%s", shown(c.value()),
		didYouMean(c.value(), []string{"change", "get-base64url", "off"}))}
}

// getMessageKey prints the key alone on standard output.
func (c *call) getMessageKey() error {
	if c.has("dryRun") {
		return misuse{errors.New("-messageSigningKey get-base64url changes nothing; leave -dryRun out")}
	}
	var key attestapi.MessageSigningKey
	answer, err := c.read("getting the message signing key", attestapi.PathMessageKey, nil, &key)
	switch {
	case err != nil:
		return err
	case c.has("file"):
		return c.messageKeyFile(key)
	case c.printIfJSON(answer):
		return nil
	}
	c.note("account message signing key %s, which tokens name in the claim mskid, as base64url", key.ID)
	c.note("WARNING: whoever has the account message signing key can sign messages as your apps do: keep it on your servers only")
	c.say("%s", key.Key)
	return nil
}

// messageKeyFile writes the key into the file that -file names.
func (c *call) messageKeyFile(key attestapi.MessageSigningKey) error {
	if err := source.Write(c.text("file"), []byte(key.Key+"\n")); err != nil {
		return err
	}
	if c.has("json") {
		return c.printDocument(attestapi.MessageSigningKey{ID: key.ID}) // the key is in the file
	}
	c.say("account message signing key %s written to %s", key.ID, c.text("file"))
	return nil
}

// changeMessageKey does not print the key: it is not to be seen by everybody who looks on.
func (c *call) changeMessageKey() error {
	var key attestapi.MessageSigningKey
	answer, err := c.changeConfirmed("updating the message signing key", manageclient.Request{Method: http.MethodPost, Path: attestapi.PathMessageKey}, &key)
	switch {
	case err != nil:
		return err
	case c.has("dryRun"):
		c.done(answer, nil, "a new account message signing key")
		return nil
	case c.has("file"):
		if err := c.messageKeyFile(key); err != nil {
			return fmt.Errorf("%w; the new message signing key is in force all the same: approov secret -messageSigningKey get-base64url", err)
		}
		return nil
	case c.has("json"):
		return c.printDocument(attestapi.MessageSigningKey{ID: key.ID})
	}
	c.say("new account message signing key is %s; approov secret -messageSigningKey get-base64url prints it", key.ID)
	return nil
}

func (c *call) removeMessageKey() error {
	if c.has("file") {
		return misuse{errors.New("-messageSigningKey off has no key to write; leave -file out")}
	}
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("removing the message signing key", manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathMessageKey}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "account message signing key was removed")
	return nil
}
