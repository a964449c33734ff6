package account_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func TestControl(t *testing.T) {
	a, admin, dev := fresh(t)
	set := func(by account.Actor, o account.Override, gates ...string) func(*account.Account) error {
		return func(a *account.Account) error { return a.SetControl(by, noon, gates, o) }
	}
	log := account.Override{Mode: "log"}
	walk(t, a, []step{
		{name: "a developer", do: set(dev, log, "edge"), code: "forbidden"},
		{name: "a gate", do: set(account.Actor{Role: account.Gateway}, log, "edge"), code: "forbidden"},
		{name: "no gate", do: set(admin, log), code: "invalid", part: "gates"},
		{name: "a gate without a name", do: set(admin, log, ""), code: "invalid", part: "gate"},
		{name: "a gate with a space at its end", do: set(admin, log, "edge "), code: "invalid", part: "gate"},
		{name: "a long name", do: set(admin, log, strings.Repeat("a", 101)), code: "invalid", part: "gate"},
		{name: "a gate twice", do: set(admin, log, "edge", "edge"), code: "invalid", part: "twice"},
		{name: "an unknown mode", do: set(admin, account.Override{Mode: "off"}, "edge"), code: "invalid", part: "mode"},
		{name: "an unknown mode of a route", do: set(admin, account.Override{Routes: map[string]string{"r": "off"}}, "edge"), code: "invalid", part: "routes"},
		{name: "no mode of a route", do: set(admin, account.Override{Routes: map[string]string{"r": ""}}, "edge"), code: "invalid", part: "routes"},
		{name: "longer than a day", do: set(admin, account.Override{Mode: "log", For: "24h1s"}, "edge"), code: "invalid", part: "until: 2026-03-02T12:00:01Z"},
		{name: "no time", do: set(admin, account.Override{Mode: "log", For: "0s"}, "edge"), code: "invalid", part: "for"},
		{name: "both ends", do: set(admin, account.Override{Mode: "log", For: "1h", Until: noon.Add(time.Hour)}, "edge"), code: "invalid", part: "one of the two"},
		{name: "an end that has passed", do: set(admin, account.Override{Mode: "log", Until: noon}, "edge"), code: "invalid", part: "until"},
		{name: "an end of nothing", do: set(admin, account.Override{For: "1h"}, "edge"), code: "invalid", part: "nothing that could end"},
		{name: "resume of a route", do: set(admin, account.Override{Mode: "resume", Routes: map[string]string{"r": "log"}}, "edge"), code: "invalid", part: "resume"},
		{name: "two lines of reason", do: set(admin, account.Override{Mode: "log", Reason: "a\nb"}, "edge"), code: "invalid", part: "reason"},
		{name: "for an hour", do: set(admin, log, "edge"), log: "gateway.set edge"},
		{name: "for a day", do: set(admin, account.Override{Mode: "bypass", For: "1d", Reason: "INC-1"}, "edge-2", "edge"), log: "gateway.set edge"},
		{name: "for a month, written out", do: set(admin, account.Override{Mode: "log", Routes: map[string]string{"r": "bypass"}, Until: noon.Add(30 * days)}, "third gate"), log: "gateway.set third gate"},
	})
	for _, row := range []struct{ gate, want string }{
		{"edge", "2 bypass map[] 2026-03-02T12:00:00Z INC-1 initial admin"},
		{"edge-2", "1 bypass map[] 2026-03-02T12:00:00Z INC-1 initial admin"},
		{"third gate", "1 log map[r:bypass] 2026-03-31T12:00:00Z  initial admin"},
		{"another", "0  map[] 0001-01-01T00:00:00Z  "},
	} {
		c, err := a.GateControl(row.gate)
		got := fmt.Sprintf("%d %s %v %s %s %s", c.Version, c.Mode, c.Routes, c.Until.Format(time.RFC3339), c.Reason, c.By)
		if err != nil || c.Gate != row.gate || got != row.want {
			t.Errorf("%s: got %q, %v, want %q", row.gate, got, err, row.want)
		}
	}
	_, err := a.GateControl("")
	refused(t, err, attestapi.CodeInvalid, "gate")
	for i, resume := range []account.Override{{Mode: "resume"}, {}} {
		if err := a.SetControl(admin, noon, []string{"edge"}, resume); err != nil {
			t.Fatal(err)
		}
		if c := must(a.GateControl("edge")); c.Version != int64(3+i) || c.Mode != "" || !c.Until.IsZero() {
			t.Errorf("resumed: got %+v", c)
		}
		if last := a.Entries[len(a.Entries)-1]; last.Detail != "resume" {
			t.Errorf("got %+v", last)
		}
	}
	var many []string
	for i := range 98 {
		many = append(many, fmt.Sprint("gate ", i))
	}
	walk(t, a, []step{
		{name: "too many gates", do: set(admin, log, many...), code: "limit", part: "101"},
		{name: "as many as may be", do: set(admin, log, many[1:]...), log: "gateway.set gate 97"},
	})
	one, two := must(a.GateControl("edge-2")), must(a.GateControl("third gate"))
	if two.Routes["r"] = "x"; one.Routes["r"] != "" {
		t.Error("gates share their routes")
	}
}

// R190: the whole table, each operation for each role. d, a and g stand for the roles that may.
// Gates that are told the same do not share it.
func TestGatesHaveRoutesOfTheirOwn(t *testing.T) {
	a, admin, _ := fresh(t)
	if err := a.SetControl(admin, noon, []string{"a", "b"}, account.Override{Routes: map[string]string{"r": "log"}}); err != nil {
		t.Fatal(err)
	}
	a.Controls[0].Routes["r"] = "bypass"
	if got := a.Controls[1].Routes["r"]; got != "log" {
		t.Errorf("got %q for one gate after another was changed, want log", got)
	}
}

func TestRights(t *testing.T) {
	want := map[account.Operation]string{
		account.OpAccountRead: "da", account.OpDomainList: "da", account.OpDomainAdd: "da", account.OpDomainChange: "a", account.OpDomainRemove: "a",
		account.OpDomainSet: "a", account.OpPinsRead: "da",
		account.OpRegistrationList: "da", account.OpRegistrationAdd: "da", account.OpRegistrationRemove: "da", account.OpPermanentRemove: "a", account.OpMatchingRemove: "a",
		account.OpPolicyRead: "da", account.OpPolicySet: "a", account.OpIPTrackingRead: "da", account.OpIPTrackingSet: "a",
		account.OpDeviceList: "da", account.OpDeviceSet: "da", account.OpDeviceRemove: "da",
		account.OpExampleToken: "da", account.OpLongLivedToken: "a", account.OpCheckToken: "da",
		account.OpSecretRead: "a", account.OpSecretUpdate: "a", account.OpSecretImport: "a",
		account.OpMessageKeyRead: "a", account.OpMessageKeyChange: "a", account.OpMessageKeyRemove: "a",
		account.OpKeysetRead: "da", account.OpKeysetAdd: "a", account.OpKeysetRemove: "a",
		account.OpConfigRead: "da", account.OpLibraryList: "da", account.OpLibraryRead: "da", account.OpLibraryAdd: "da", account.OpLibraryRemove: "a",
		account.OpTokenList: "a", account.OpTokenAdd: "a", account.OpTokenRevoke: "a",
		account.OpGatewayRead: "dag", account.OpGatewaySet: "a", account.OpGatewayKeys: "dag", account.OpGateControl: "ag", account.OpGateKeys: "ag",
		account.OpAuditRead: "a", account.OpExplain: "da",
	}
	if got := account.Operations(); len(got) != len(want) {
		t.Errorf("got %d operations, want %d", len(got), len(want))
	}
	for _, op := range account.Operations() {
		got := ""
		for _, role := range []account.Role{account.Dev, account.Admin, account.Gateway} {
			err := account.Actor{Role: role}.Check(op)
			if role.May(op) {
				got += string(role[:1])
			}
			if (err == nil) != role.May(op) {
				t.Errorf("%s for %s: got %v", op, role, err)
			}
			if err != nil {
				refused(t, err, attestapi.CodeForbidden, string(op)+" needs a management token for ")
			}
		}
		if got != want[op] {
			t.Errorf("%s: got %q, want %q", op, got, want[op])
		}
		able := map[string]string{"a": "admin", "ag": "admin or gateway", "da": "dev or admin", "dag": "dev or admin or gateway"}[want[op]]
		refused(t, account.Actor{Role: "nobody"}.Check(op), attestapi.CodeForbidden, " for "+able+", and yours is for nobody")
		for _, role := range []account.Role{"", "Admin", "root", "server"} {
			if role.May(op) {
				t.Errorf("%s: %q may", op, role)
			}
		}
	}
	if account.Admin.May("nonsense") {
		t.Error("an operation that is not there is allowed")
	}
}
