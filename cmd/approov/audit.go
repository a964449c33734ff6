package main

import (
	"net/url"
	"strconv"

	"github.com/approovgate/approovgate/attestapi"
)

func auditVerb() verb {
	return verb{
		name:  "audit",
		about: "who has changed the account, when and how, the newest first",
		actions: []action{
			{option{}, nil, []string{"limit", "before"}, (*call).audit},
		},
		options: []option{
			{"limit", "N", "how many changes at most; default: the server's, about a screen or two"},
			{"before", "NUMBER", "only those before the change with this number, for the next page"},
		},
	}
}

func (c *call) audit() error {
	query := url.Values{}
	for _, name := range []string{"limit", "before"} {
		n, err := c.number(name)
		if err != nil {
			return err
		}
		if n > 0 {
			query.Set(name, strconv.FormatInt(n, 10))
		}
	}
	var page attestapi.Audit
	answer, err := c.read("getting the audit log", attestapi.PathAudit, query, &page)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s:", counted(len(page.Entries), "change", "changes"))
	for _, e := range page.Entries {
		line := " " + strconv.FormatInt(e.Sequence, 10) + "  " + c.timeText(e.At) + "  " + e.By
		if e.Role != "" {
			line += " (" + e.Role + ")"
		}
		line += "  " + e.Action
		for _, more := range []string{e.Subject, e.Detail} {
			if more != "" {
				line += "  " + more
			}
		}
		if e.Request != "" {
			line += "  [" + e.Request + "]"
		}
		c.say("%s", line)
	}
	if page.Next > 0 {
		c.note("note: there are older ones: approov audit -before %d", page.Next)
	}
	return nil
}
