package main

import (
	"strconv"

	"github.com/approovgate/approovgate/attestapi"
)

func whoamiVerb() verb {
	return verb{
		name:    "whoami",
		about:   "which account and server a management token is for, and what it may do",
		actions: []action{{option{}, nil, nil, (*call).whoami}},
	}
}

func (c *call) whoami() error {
	var info attestapi.AccountInfo
	answer, err := c.read("asking who you are", attestapi.PathAccount, nil, &info)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("account %s, version %s, at %s (%s)", info.Account, strconv.FormatInt(info.Version, 10), c.api.Server(), info.Server)
	c.say("%s, %s, expires %s, %s", holder(info.Email, info.Name), info.Role, c.timeText(info.Expires), info.TokenID)
	return nil
}

// holder is who has a management token. Those made with the account were made for nobody's address.
func holder(email, name string) string {
	if email == "" {
		return name
	}
	return email + ", " + name
}
