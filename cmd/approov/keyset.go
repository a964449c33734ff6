package main

import (
	"net/http"
	"net/url"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func keysetVerb() verb {
	return verb{
		name:  "keyset",
		about: "keys that sign tokens in the token secret's place, so that gates hold public keys only",
		actions: []action{
			{option{"add", "ALG", "make a key: ES256 or RS256; admin"}, []string{"kid"}, nil, (*call).addKey},
			{option{"list", "", "the public keys; with -json the JWK set that gates read"}, nil, nil, (*call).listKeys},
			{option{"remove", "KID", "remove a key; asks first; admin"}, nil, nil, (*call).removeKey},
		},
		options: []option{{"kid", "ID", "the key's name, which tokens and domains refer to it by"}},
	}
}

func (c *call) addKey() error {
	var set attestapi.Keyset
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathKeyset,
		Body: attestapi.NewKey{Alg: c.value(), ID: c.text("kid")}}, &set)
	if err != nil {
		return err
	}
	c.done(answer, nil, "added new %s key %s", c.value(), c.text("kid"))
	return nil
}

func (c *call) listKeys() error {
	var set attestapi.Keyset
	answer, err := c.read("getting the keyset", attestapi.PathKeyset, nil, &set)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s:", counted(len(set.Keys), "key", "keys"))
	for _, k := range set.Keys {
		c.say(" %s  %s", k["kid"], k["alg"])
	}
	return nil
}

func (c *call) removeKey() error {
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("removing the key", manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathKeyset,
		Query: url.Values{"kid": {c.value()}}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "removed key %s", c.value())
	return nil
}
