package attestserver

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// messageSigning gives an account a key for it.
func messageSigning(_ *Options, a *account.Account) {
	if err := a.ChangeMessageKey(account.Actor{Name: "test", Role: account.Admin}, start, nil); err != nil {
		panic(err)
	}
}

// TestMessageKeys: who passes gets the account's key for signing messages, and who fails one that looks like it.
func TestMessageKeys(t *testing.T) {
	r := newRig(t, messageSigning)
	account1, ok := r.Account("acme").MessageKeyOf()
	if !ok {
		t.Fatal("the account has no message signing key, want one")
	}
	want := base64.StdEncoding.EncodeToString(account1.Material.Bytes())
	attest := func(device string, fail bool) *attestapi.MessageKey {
		t.Helper()
		a := r.genuine(r.nonce("acme", device))
		a.request.DeviceID = device
		if fail {
			a.digest = digestOf("repackaged")
		}
		answer := r.send(a)
		good, claims := r.verdict(answer)
		if good == fail {
			t.Fatalf("got good %v, want %v", good, !fail)
		}
		if answer.Message == nil {
			t.Fatal("got no message key, want one")
		}
		if claims["mskid"] != answer.Message.ID {
			t.Errorf("mskid: got %v, want %q", claims["mskid"], answer.Message.ID)
		}
		return answer.Message
	}
	if got := attest(deviceA, false); got.Key != want || got.ID != account1.ID {
		t.Error("a genuine app: got another key than the account's, want that")
	}
	if got := attest(deviceB, false); got.Key != want {
		t.Error("another genuine app: got another key than the account's, want that")
	}
	failed, again, other := attest(deviceA, true), attest(deviceA, true), attest(deviceB, true)
	switch {
	case failed.Key == want || other.Key == want:
		t.Error("an app that fails: got the account's key, want another")
	case *failed != *again:
		t.Error("an app that fails, once more: got another key, want the one of before")
	case failed.Key == other.Key:
		t.Error("apps that fail on two devices: got one key, want two")
	case failed.ID != account1.ID:
		t.Errorf("an app that fails: got the ID %q, want %q", failed.ID, account1.ID)
	}
	r.change(func(a *account.Account) { messageSigning(nil, a) })
	if next := attest(deviceA, true); next.Key == failed.Key || next.ID == failed.ID {
		t.Error("an app that fails, after the account's key was changed: got the key of before, want another as those that pass do")
	}
	if strings.Contains(r.log.String(), want) || strings.Contains(r.log.String(), failed.Key) {
		t.Error("got a key in the log, want none")
	}
	r.change(func(a *account.Account) {
		if err := a.RemoveMessageKey(account.Actor{Name: "test", Role: account.Admin}, start); err != nil {
			t.Fatal(err)
		}
	})
	answer := r.send(r.genuine(r.nonce("acme", deviceA)))
	if _, claims := r.verdict(answer); answer.Message != nil || claims["mskid"] != nil {
		t.Errorf("without message signing: got %v and the claim %v, want neither", answer.Message, claims["mskid"])
	}
}
