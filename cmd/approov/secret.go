package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

func secretVerb() verb {
	return verb{
		name:  "secret",
		about: "the token secret; needs an admin token",
		actions: []action{
			{option{"get", "", "print it, base64"}, nil, []string{"file", "domain"}, (*call).getSecret},
			{option{"update", "", "make a new one; asks first. The old one stays valid for the tokens it has signed"}, nil, []string{"file"}, (*call).updateSecret},
			{option{"import", "FILE", "take over an existing one, base64 of 64 bytes; asks first"}, nil, nil, (*call).importSecret},
		},
		options: []option{
			{"file", "FILE", "write the secret into a file for its owner alone, and do not print it"},
			{"domain", "DOMAIN", "the demonstration domain, whose tokens have a secret of their own"},
		},
	}
}

func (c *call) getSecret() error {
	var secret attestapi.Secret
	query := url.Values{}
	if c.has("domain") {
		query.Set("domain", c.text("domain"))
	}
	answer, err := c.read("getting the token secret", attestapi.PathSecret, query, &secret)
	if err != nil {
		return err
	}
	if c.has("file") {
		return c.secretFile(secret.Secret, "Approov token secret")
	}
	if !c.printIfJSON(answer) {
		c.say("%s", secret.Secret)
	}
	return nil
}

func (c *call) updateSecret() error {
	var secret attestapi.Secret
	answer, err := c.changeConfirmed("updating the token secret", manageclient.Request{Method: http.MethodPost, Path: attestapi.PathSecretUpdate}, &secret)
	switch {
	case err != nil:
		return err
	case c.has("json") && !c.has("file"):
		c.printText(answer.Text)
		return nil
	case c.has("dryRun"):
		c.say("dry run, nothing was changed")
		return nil
	case c.has("file"):
		if err := c.secretFile(secret.Secret, "new Approov token secret"); err != nil {
			return fmt.Errorf("%w; the new Approov token secret is in force all the same: approov secret -get", err)
		}
		return nil
	}
	c.say("new Approov token secret is %s", secret.Secret)
	return nil
}

// secretFile writes a secret into the file that -file names.
func (c *call) secretFile(secret, what string) error {
	if err := source.Write(c.text("file"), []byte(secret+"\n")); err != nil {
		return err
	}
	if c.has("json") {
		return c.printDocument(attestapi.Secret{})
	}
	c.say("%s written to %s", what, c.text("file"))
	return nil
}

func (c *call) importSecret() error {
	text, warnings, err := source.Read("file:" + c.value())
	if err != nil {
		return fmt.Errorf("-import: %w", err)
	}
	for _, warning := range warnings {
		c.note("WARNING: %s", warning)
	}
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("importing the token secret", manageclient.Request{Method: http.MethodPost, Path: attestapi.PathSecretImport,
		Body: attestapi.Secret{Secret: strings.TrimSpace(string(text))}}, &changed)
	if err != nil {
		return err
	}
	if c.has("json") {
		return c.printDocument(changed) // a server may answer with the secret, which is in the file already
	}
	c.done(answer, changed.Notes, "Approov token secret was imported")
	return nil
}
