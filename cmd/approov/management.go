package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

func managementVerb() verb {
	return verb{
		name:  "management",
		about: "the tokens that this tool is used with; needs an admin token",
		actions: []action{
			{option{"add", "EMAIL,NAME,LIFETIME", "make a development token, such as \"joe@example.com,J Bloggs,1d\""},
				nil, []string{"admin", "gateway", "file"}, (*call).addManagement},
			{option{"list", "", "the tokens with the same or an earlier expiry"}, nil, nil, (*call).listManagement},
			{option{"revoke", "ID", "revoke one, by the ID that -list shows or by the token itself"}, nil, nil, (*call).revokeManagement},
		},
		options: []option{
			{"admin", "", "an administration token"},
			{"gateway", "", "a token for gates, which read their mode and keys with it and can do nothing else"},
			{"file", "FILE", "write the token into a file for its owner alone; default: print it"},
		},
	}
}

// order is the management token that the flags describe.
func (c *call) order() (attestapi.NewManagementToken, error) {
	first, last := strings.IndexByte(c.value(), ','), strings.LastIndexByte(c.value(), ',')
	if first < 0 || first == last || last == len(c.value())-1 {
		return attestapi.NewManagementToken{}, errors.New("-add must be e-mail, name and lifetime, such as \"joe@example.com,J Bloggs,1d\"")
	}
	order := attestapi.NewManagementToken{Email: strings.TrimSpace(c.value()[:first]), Name: strings.TrimSpace(c.value()[first+1 : last]),
		Lifetime: strings.TrimSpace(c.value()[last+1:]), Role: attestapi.RoleDev}
	switch {
	case c.has("admin") && c.has("gateway"):
		return order, errors.New("-admin and -gateway are two kinds of token; give one")
	case c.has("admin"):
		order.Role = attestapi.RoleAdmin
	case c.has("gateway"):
		order.Role = attestapi.RoleGateway
	}
	return order, nil
}

func (c *call) addManagement() error {
	order, err := c.order()
	if err != nil {
		return misuse{err}
	}
	var made attestapi.ManagementToken
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathManagementTokens, Body: order}, &made)
	if err != nil {
		return err
	}
	switch {
	case c.has("dryRun"):
		c.done(answer, nil, "a new management token")
		return nil
	case c.has("file"):
		if err := source.Write(c.text("file"), []byte(made.Token+"\n")); err != nil {
			return fmt.Errorf("%w; revoke the token, which nobody has now: approov management -revoke %s", err, made.ID)
		}
		if c.has("json") {
			made.Token = "" // it is in the file
			return c.printDocument(made)
		}
		c.say("new management token written to %s", c.text("file"))
		return nil
	case c.has("json"):
		c.printText(answer.Text)
		return nil
	}
	c.say("%s", made.Token)
	return nil
}

// listManagement shows a token's ID where the manual has the token: the server keeps no tokens.
func (c *call) listManagement() error {
	var list attestapi.ManagementTokens
	answer, err := c.read("getting management tokens", attestapi.PathManagementTokens, nil, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	for _, t := range list.Tokens {
		c.say("%s, %s, expires %s, %s", holder(t.Email, t.Name), t.Role, c.timeText(t.Expires), t.ID)
	}
	return nil
}

// revokeManagement revokes by ID. Of a token only the ID in it is sent: a token in a URL ends up in logs.
func (c *call) revokeManagement() error {
	id := strings.TrimSpace(c.value())
	if strings.Count(id, ".") == 2 {
		var err error
		if id, err = tokenID(id); err != nil {
			return misuse{err}
		}
	} else if _, err := os.Stat(id); err == nil {
		return misuse{fmt.Errorf("-revoke takes the ID that -list shows, or a token, and %s is a file; of the token in it: -revoke \"$(cat %s)\"", id, id)}
	}
	var changed attestapi.Changed
	answer, err := c.change(manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathManagementTokens,
		Query: url.Values{"id": {id}}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "management token revoked")
	return nil
}

// tokenID is the ID in a management token, which is not verified: to revoke a token one needs no proof of having it.
func tokenID(token string) (string, error) {
	if err := manageclient.CheckToken(token); err != nil {
		return "", fmt.Errorf("-revoke: the value %w", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims struct {
		ID string `json:"jti"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.ID == "" {
		return "", errors.New("-revoke: the value is not a management token; give the ID that -list shows")
	}
	return claims.ID, nil
}
