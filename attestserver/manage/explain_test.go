package manage_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/attestserver/manage"
	"github.com/approovgate/approovgate/attestserver/store"
)

const rid = "0123456789abcdef"

// failed is a failure of the account, with what is found.
func failed(found store.Found) store.Failure {
	if found.Policy == "" {
		found.Policy = "default,default,default"
	}
	return store.Failure{Account: "test-account", Request: rid, At: noon.Add(-time.Hour), Device: did, Proven: true, Found: found}
}

// explained asks about the one failure.
func explained(r *rig, f store.Failure) attestapi.Explanations {
	r.t.Helper()
	r.store.failures = []store.Failure{f}
	var out attestapi.Explanations
	r.must(r.dev, "GET", attestapi.PathExplanations+query("rid", rid), nil, &out)
	if len(out.Explanations) != 1 {
		r.t.Fatalf("got %d explanations, want 1", len(out.Explanations))
	}
	return out
}

// Every flag has a text, which promises no more and no less than the rejection matrix keeps.
func TestEveryFlagIsExplained(t *testing.T) {
	r := newRig(t)
	policies := []account.Rejection{account.RejectDefault, account.RejectAllowXposed, account.RejectAllowRoot, account.RejectAllowRootAndJailbreak, account.RejectWhitelist}
	claims := []string{"for information only", "from allow-xposed on", "from allow-root on", "the policy allow-root-and-jailbroken lets", "the policy whitelist alone lets", "no policy lets"}
	for _, flag := range issue.Flags() {
		got := explained(r, failed(store.Found{Flags: []string{flag}})).Explanations[0].Flags
		if len(got) != 1 || got[0].Code != flag || len(got[0].Text) < 20 || strings.Contains(got[0].Text, "does not know") {
			t.Errorf("%s: got %+v, want a text", flag, got)
			continue
		}
		first := len(policies) // the first policy that the flag passes under
		for i := len(policies) - 1; i >= 0; i-- {
			if pass, _ := issue.Judge(account.Policy{Rejection: policies[i]}, []string{flag}); pass {
				first = i
			}
		}
		if got[0].Rejected != (first > 0) {
			t.Errorf("%s: got rejected %v under the default policy, want %v", flag, got[0].Rejected, first > 0)
		}
		for i, claim := range claims {
			if strings.Contains(got[0].Text, claim) && i != first {
				t.Errorf("%s: got %q, which is not so", flag, got[0].Text)
			}
		}
	}
	unknown := explained(r, failed(store.Found{Flags: []string{"of-tomorrow"}})).Explanations[0].Flags[0]
	if !unknown.Rejected || !strings.Contains(unknown.Text, "does not know") {
		t.Errorf("a flag of another version: got %+v, want it rejected and said so", unknown)
	}
}

// What is said of a flag depends on what was found, in words that say what to do.
func TestExplanationsInDetail(t *testing.T) {
	r := prepared(t)
	last := noon.Add(-48 * time.Hour)
	for _, row := range []struct {
		name   string
		found  store.Found
		detail string
		want   []string // parts of the text
	}{
		{"a digest that is not registered", store.Found{App: attestapi.AppDigestUnknown, Package: "com.example.app", Registered: 3, Last: last},
			"digest-unknown", []string{"none of the 3 registered for com.example.app", "2026-02-27T12:00:00Z", "approov registration -add FILE"}},
		{"one that may have been registered since", store.Found{App: attestapi.AppDigestUnknown, Package: "temporary", Registered: 1, Last: last},
			"digest-unknown", []string{"since then 1 app of the package was registered"}},
		{"a package that is not registered", store.Found{App: attestapi.AppPackageUnknown, Package: "com\n.new"},
			"package-unknown", []string{`no app "com\n.new" was registered`}},
		{"no package", store.Found{App: attestapi.AppPackageUnknown}, "package-unknown", []string{"no app without a name"}},
		{"another library", store.Found{App: attestapi.AppOtherLibrary, Library: "1042", Near: "a-1.0-1041"}, "other-library", []string{"as a-1.0-1041", `library "1042"`}},
		{"another package", store.Found{App: attestapi.AppOtherPackage, Package: "b", Near: "a-1.0-1041"}, "other-package", []string{"as a-1.0-1041", `itself "b"`}},
		{"an expired registration", store.Found{App: attestapi.AppExpired, Near: "a-1.0-1041", Expired: last}, "expired", []string{"a-1.0-1041 expired at 2026-02-27T12:00:00Z"}},
		{"what another version has found", store.Found{App: "of-tomorrow"}, "of-tomorrow", []string{"no registration fitted"}},
		{"a replay", store.Found{Nonce: attestapi.NonceUsed}, "nonce-used", []string{"used before"}},
		{"a late request", store.Found{Nonce: attestapi.NonceExpired}, "nonce-expired", []string{"had expired", "clocks"}},
		{"a nonce from elsewhere", store.Found{Nonce: attestapi.NonceForeign}, "nonce-foreign", []string{"not one that this service has made"}},
		{"a nonce, by another version", store.Found{Nonce: "of-tomorrow"}, "of-tomorrow", []string{"fresh nonce"}},
		{"a library that is not there", store.Found{MAC: attestapi.LibraryUnknown, Library: "9"}, "library-unknown", []string{`"9", is not one of the account's`}},
		{"a wrong key", store.Found{MAC: attestapi.LibraryKnown, Library: "1041"}, "mac-wrong", []string{`the key of the SDK library "1041"`, "changed on the way"}},
	} {
		flag := attestapi.FlagAppNotRegistered
		if row.found.Nonce != "" {
			flag = attestapi.FlagBadNonce
		} else if row.found.MAC != "" {
			flag = attestapi.FlagBadHMAC
		}
		row.found.Flags = []string{flag}
		e := explained(r, failed(row.found)).Explanations[0]
		if got := e.Flags[0]; got.Code != flag || got.Detail != row.detail || !got.Rejected {
			t.Errorf("%s: got %+v, want %s, %s, rejected", row.name, got, flag, row.detail)
		}
		for _, part := range row.want {
			if !strings.Contains(e.Flags[0].Text, part) {
				t.Errorf("%s: got %q, want %q in it", row.name, e.Flags[0].Text, part)
			}
		}
	}
}

// Which policy has rejected what, and what that policy is now.
func TestExplanationsByPolicy(t *testing.T) {
	both := []string{"rooted", "init-config-outdated"}
	for _, row := range []struct {
		name       string
		policy     string // then
		own        bool
		now        string // the account's
		device     *account.Device
		flags      []string
		rejected   string
		passes     bool
		conclusion string
		state      attestapi.DeviceState
	}{
		{"one flag of two", "default,default,all", false, "default,default,all", nil, both, "rooted", false,
			"the account's policy, default,default,all, rejected rooted", attestapi.DeviceState{Policy: "default,default,all", PinMode: "pin"}},
		{"the account's policy is another now", "default,default,all", false, "default,allow-root,all", nil, both, "rooted", true,
			"the account's policy, default,default,all, rejected rooted; with the same flags it would pass now", attestapi.DeviceState{Policy: "default,allow-root,all", PinMode: "pin"}},
		{"the device has a policy of its own now", "default,default,all", false, "default,default,all",
			&account.Device{ID: did, Policy: account.Policy{Rules: "default", Rejection: account.RejectWhitelist, Annotation: "all"}, PinMode: account.PinOff, By: "Ann"}, both, "rooted", true,
			"rejected rooted; with the same flags it would pass now", attestapi.DeviceState{Policy: "default,whitelist,all", Own: true, PinMode: "unpin", By: "Ann"}},
		{"the device has pins of its own alone", "default,default,all", false, "default,default,all", &account.Device{ID: did, PinMode: account.PinBlock, By: "Ann"}, []string{"frida"}, "frida", false,
			"rejected frida", attestapi.DeviceState{Policy: "default,default,all", PinMode: "block", By: "Ann"}},
		{"a device that was blacklisted", "default,blacklist,default", true, "default,default,default", nil, nil, "", true,
			"the device's own policy, default,blacklist,default, rejected everything; with the same flags it would pass now", attestapi.DeviceState{Policy: "default,default,default", PinMode: "pin"}},
		{"what passes by this version's matrix", "default,whitelist,all", false, "default,whitelist,all", nil, []string{"debug"}, "", true,
			"rejected what this version of the service accepts", attestapi.DeviceState{Policy: "default,whitelist,all", PinMode: "pin"}},
		{"a policy that is none", "nonsense", false, "default,default,all", nil, []string{"new-did"}, "new-did", true,
			"nonsense, rejected new-did", attestapi.DeviceState{Policy: "default,default,all", PinMode: "pin"}},
	} {
		r := newRig(t)
		policy, err := account.ParsePolicy(row.now)
		if err != nil {
			t.Fatal(err)
		}
		r.store.account.Policy = policy
		if row.device != nil {
			r.store.account.Devices = []account.Device{{ID: "AAAAAAAAAAAAAAAAAAAAAQ==", PinMode: account.PinBlockAll}, *row.device}
		}
		out := explained(r, failed(store.Found{Policy: row.policy, Own: row.own, Flags: row.flags}))
		e := out.Explanations[0]
		var rejected, codes []string
		for _, f := range e.Flags {
			codes = append(codes, f.Code)
			if f.Rejected {
				rejected = append(rejected, f.Code)
			}
		}
		if got := strings.Join(rejected, " "); got != row.rejected || !reflect.DeepEqual(codes, row.flags) {
			t.Errorf("%s: got %q rejected of %q, want %q of %q", row.name, got, codes, row.rejected, row.flags)
		}
		if e.PassesNow != row.passes || !strings.Contains(e.Conclusion, row.conclusion) || e.Policy != row.policy || e.PolicyOwn != row.own {
			t.Errorf("%s: got passes now %v, %q by %s; want %v, %q by %s", row.name, e.PassesNow, e.Conclusion, e.Policy, row.passes, row.conclusion, row.policy)
		}
		if out.Device != row.state || out.DeviceID != did {
			t.Errorf("%s: got device %s, %+v, want %+v", row.name, out.DeviceID, out.Device, row.state)
		}
	}
}

func TestAskingForExplanations(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		f := failed(store.Found{Flags: []string{"debug"}})
		f.Request, f.At = fmt.Sprintf("%016x", 30-i), noon.Add(-time.Duration(i)*time.Minute)
		r.store.failures = append(r.store.failures, f)
	}
	foreign := failed(store.Found{})
	foreign.Account, foreign.Request = "other", "ffffffffffffffff"
	r.store.failures = append(r.store.failures, foreign)
	var out attestapi.Explanations
	r.must(r.dev, "GET", attestapi.PathExplanations+query("did", did), nil, &out)
	if len(out.Explanations) != attestapi.MaxExplanations || out.Explanations[0].Request != "000000000000001e" || len(out.Notes) != 1 {
		t.Errorf("of a device: got %d from %s, notes %q, want the newest %d", len(out.Explanations), out.Explanations[0].Request, out.Notes, attestapi.MaxExplanations)
	}
	for _, row := range []struct {
		name, query string
		status      int
		code, part  string
	}{
		{"nothing is asked for", "", 422, "invalid", "either rid"},
		{"both", "?rid=" + rid + "&did=" + url.QueryEscape(did), 422, "invalid", "either rid"},
		{"what is no request ID", "?rid=ABC", 422, "invalid", "16 digits and letters"},
		{"a request ID in capitals", "?rid=0123456789ABCDEF", 422, "invalid", "16 digits and letters"},
		{"what is no device ID", "?did=x", 422, "invalid", "base64 of 16 bytes"},
		{"a management token", query("did", r.dev), 422, "invalid", "base64 of 16 bytes"},
		{"a request that is not known", "?rid=0000000000000000", 404, "not_found", "it passed, it failed more than 7 days or 5000 failures ago"},
		{"a request of another account", "?rid=ffffffffffffffff", 404, "not_found", "it passed"},
		{"a device that is not known", query("did", "AAAAAAAAAAAAAAAAAAAAAQ=="), 404, "not_found", "one of the account test-account?); the policy that applies to the device now is the account's, default,default,default"},
		{"another parameter", "?rid=" + rid + "&limit=5", 422, "invalid", ""},
	} {
		r.ask(r.admin, "GET", attestapi.PathExplanations+row.query, nil).problem(t, row.name, row.status, row.code, row.part)
	}
}

// What failed a moment ago is written before it is looked for. A database that has gone is said to have gone.
func TestExplanationsOfTheLastMoment(t *testing.T) {
	var r *rig
	var gone error
	r = newRig(t, func(o *manage.Options) {
		o.Keep = func(context.Context) error {
			r.store.failures = []store.Failure{failed(store.Found{Flags: []string{"debug"}})}
			return gone
		}
	})
	r.must(r.dev, "GET", attestapi.PathExplanations+query("rid", rid), nil, nil)
	gone = errors.New("the database has gone")
	r.ask(r.dev, "GET", attestapi.PathExplanations+query("rid", rid), nil).problem(t, "what waits cannot be written", 503, "unavailable", "database")
	gone = nil
	r.store.down = errors.New("the database has gone")
	r.ask(r.dev, "GET", attestapi.PathExplanations+query("rid", rid), nil).problem(t, "it cannot be read", 503, "unavailable", "database")
}
