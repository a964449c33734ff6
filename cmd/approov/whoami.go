package main

import (
	"fmt"
	"strconv"
	"time"

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
	from := "$" + tokenEnv
	if c.tokenFile != "" {
		from = c.tokenFile
	}
	c.say("management token from %s: %s", from, mayDo(info.Role))
	c.say("this tool is approov %s; who changed what: approov audit", version())
	if text := c.expiryWarning(info.Expires); text != "" {
		c.note("%s", text)
	}
	return nil
}

// mayDo is what a role is good for, in a line (manual, "Types of Management Token").
func mayDo(role string) string {
	switch role {
	case attestapi.RoleAdmin:
		return "it may do everything"
	case attestapi.RoleDev:
		return "it may register apps, add API domains and set devices; the rest needs an admin token"
	}
	return "its role is newer than this tool"
}

// soon is how long before its expiry a token is worth a warning.
const soon = 7 * 24 * time.Hour

// expiryWarning is about a token that expires soon; empty if it does not. The server has just accepted the token, so one
// that seems to have expired says that the clocks differ.
func (c *call) expiryWarning(expires time.Time) string {
	left := expires.Sub(c.now())
	switch {
	case expires.IsZero() || left > soon:
		return ""
	case left <= 0:
		return "WARNING: by this machine's clock the token has expired, and the server has accepted it: one of the two clocks is wrong"
	}
	return fmt.Sprintf("WARNING: the token expires %s: approov management -add makes another one", within(left))
}

// within is a time that is left, rounded down, in the units of the manual's durations (manual, "Temporary Registrations").
func within(left time.Duration) string {
	days, hours, minutes := int(left/(24*time.Hour)), int(left/time.Hour)%24, int(left/time.Minute)%60
	text := "in "
	if days > 0 {
		text += fmt.Sprintf("%dd", days)
	}
	if hours > 0 {
		text += fmt.Sprintf("%dh", hours)
	}
	switch {
	case days == 0 && hours == 0 && minutes == 0:
		return "within a minute"
	case days == 0 && minutes > 0:
		text += fmt.Sprintf("%dm", minutes)
	}
	return text
}

// holder is who has a management token. Those made with the account were made for nobody's address.
func holder(email, name string) string {
	if email == "" {
		return name
	}
	return email + ", " + name
}
