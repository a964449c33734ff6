package manage

import (
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/attestserver/store"
)

// deviceState is what applies to a device.
func deviceState(acc *account.Account, did string) attestapi.DeviceState {
	state := attestapi.DeviceState{Policy: acc.Policy.String(), PinMode: string(account.PinNormal)}
	for _, d := range acc.Devices {
		if d.ID != did {
			continue
		}
		state.By = d.By
		if d.PinMode != "" {
			state.PinMode = string(d.PinMode)
		}
		if d.Policy != (account.Policy{}) {
			state.Policy, state.Own = d.Policy.String(), true
		}
	}
	return state
}

// explanation says of a failed attestation why it failed: by the account as it was, and what would become of it by the
// account as it is.
func explanation(acc *account.Account, f store.Failure, now time.Time) attestapi.Explanation {
	e := attestapi.Explanation{
		Request: f.Request, At: f.At, DeviceID: f.Device, Genuine: f.Proven,
		Package: f.Found.Package, Version: f.Found.Version, Library: f.Found.Library, Platform: f.Found.Platform, SDKVersion: f.Found.SDK,
		Evidence: f.Found.Evidence, Policy: f.Found.Policy, PolicyOwn: f.Found.Own, Flags: []attestapi.ExplainedFlag{},
		App: attestapi.AppState{Code: f.Found.App, Registered: f.Found.Registered, Last: f.Found.Last, Near: f.Found.Near, Expired: f.Found.Expired},
	}
	policy, err := account.ParsePolicy(f.Found.Policy)
	for _, flag := range f.Found.Flags {
		pass, _ := issue.Judge(policy, []string{flag})
		one := attestapi.ExplainedFlag{Code: flag, Rejected: err != nil || !pass, Text: flagTexts[flag]}
		switch flag {
		case attestapi.FlagBadNonce:
			one.Detail, one.Text = f.Found.Nonce, nonceText(f.Found.Nonce)
		case attestapi.FlagBadHMAC:
			one.Detail, one.Text = f.Found.MAC, macText(f.Found.MAC, f.Found.Library)
		case attestapi.FlagAppNotRegistered:
			one.Detail, one.Text = f.Found.App, appText(acc, f, now)
		}
		if one.Text == "" { // of another version of the program
			one.Text = "this version of the service does not know the flag"
		}
		e.Flags = append(e.Flags, one)
	}
	if present, err := account.ParsePolicy(deviceState(acc, f.Device).Policy); err == nil {
		e.PassesNow, _ = issue.Judge(present, f.Found.Flags)
	}
	e.Conclusion = conclusion(e)
	return e
}

// conclusion is the explanation in a sentence.
func conclusion(e attestapi.Explanation) string {
	whose := "the account's policy"
	if e.PolicyOwn {
		whose = "the device's own policy"
	}
	var rejected []string
	for _, f := range e.Flags {
		if f.Rejected {
			rejected = append(rejected, f.Code)
		}
	}
	reason := strings.Join(rejected, ", ")
	if policy, err := account.ParsePolicy(e.Policy); err == nil && policy.Rejection == account.RejectBlacklist {
		reason = "everything"
	}
	if reason == "" { // another version of the service judged
		reason = "what this version of the service accepts"
	}
	text := fmt.Sprintf("%s, %s, rejected %s", whose, e.Policy, reason)
	if e.PassesNow {
		text += "; with the same flags it would pass now"
	}
	return text
}

// appText says why no registration fitted, and what has been registered since.
func appText(acc *account.Account, f store.Failure, now time.Time) string {
	var text string
	switch found := f.Found; found.App {
	case attestapi.AppDigestUnknown:
		those := fmt.Sprintf("none of the %d registered for %s, of which the last was registered", found.Registered, found.Package)
		if found.Registered == 1 {
			those = "not the one registered for " + found.Package
		}
		text = fmt.Sprintf("the digest was %s at %s: the file was changed, signed or built anew after it was registered, or that was never done; "+
			"register the very file that is delivered: approov registration -add FILE", those, found.Last.Format(time.RFC3339))
	case attestapi.AppPackageUnknown:
		text = fmt.Sprintf("no app %s was registered; register the file that is delivered: approov registration -add FILE", quoted(found.Package))
	case attestapi.AppOtherLibrary:
		text = fmt.Sprintf("the app was registered as %s, and the request came with the SDK library %s; register the app as it is built now: approov registration -add FILE",
			found.Near, quoted(found.Library))
	case attestapi.AppOtherPackage:
		text = fmt.Sprintf("the app was registered as %s, and called itself %s; give the SDK the package that it is registered with, or register it anew", found.Near, quoted(found.Package))
	case attestapi.AppExpired:
		text = fmt.Sprintf("the registration %s expired at %s; register the app again, for good or for longer: approov registration -add FILE", found.Near, found.Expired.Format(time.RFC3339))
	default:
		text = flagTexts[attestapi.FlagAppNotRegistered]
	}
	since := 0
	for _, r := range acc.LiveRegistrations(now) {
		if r.Package == f.Found.Package && r.Registered.After(f.At) {
			since++
		}
	}
	switch since {
	case 0:
		return text
	case 1:
		return text + "; since then 1 app of the package was registered: if it is this one, it passes now"
	}
	return fmt.Sprintf("%s; since then %d apps of the package were registered: if it is one of them, it passes now", text, since)
}

// quoted is what an app said, so that it cannot be taken for a sentence of ours.
func quoted(said string) string {
	if said == "" {
		return "without a name"
	}
	return fmt.Sprintf("%q", said)
}
