package attestserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

func (m *memory) KeepFailures(_ context.Context, failures []store.Failure) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.fail, m.refused); err != nil {
		return err
	}
	m.failures = append(m.failures, failures...)
	return nil
}

func (m *memory) PruneFailures(context.Context, time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 0, m.fail
}

// kept are the failures that have been written, once what waits has been.
func (r *rig) kept() []store.Failure {
	r.t.Helper()
	if err := r.KeepFailures(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	all := r.store.failures
	r.store.failures = nil
	return all
}

// What is kept of an attestation that failed is what its account said at that moment.
func TestWhatIsKeptOfAFailure(t *testing.T) {
	ours := func(change func(*store.Found)) *store.Found {
		f := &store.Found{Package: appName, Version: "2.0[3]", Library: libraryA, Platform: "Go", SDK: "1.0.0",
			Policy: "default,default,default", App: attestapi.AppRegistered, Registered: 2, Last: start.Add(-time.Hour)}
		change(f)
		return f
	}
	for _, row := range []struct {
		name   string
		edit   func(r *rig, a *attempt)
		proven bool
		want   *store.Found // nil: nothing is kept
	}{
		{"one that passes", func(*rig, *attempt) {}, true, nil},
		{"one that passes with a flag", func(_ *rig, a *attempt) { a.request.ConfigVersion = 4 }, true, nil},
		{"flags that the policy rejects, and one that it does not", func(_ *rig, a *attempt) {
			a.request.Flags, a.request.ConfigVersion = []string{"rooted", "debug", "made-up"}, 4
		}, true, ours(func(f *store.Found) { f.Flags = []string{"debug", "rooted", "init-config-outdated"} })},
		{"a digest that is not registered", func(_ *rig, a *attempt) { a.digest = digestOf("x") }, true, ours(func(f *store.Found) {
			f.Flags, f.App = []string{"app-not-registered"}, attestapi.AppDigestUnknown
		})},
		{"a package that is not registered", func(_ *rig, a *attempt) {
			a.digest, a.request.App.Package = digestOf("x"), "com.example.new"
		}, true, ours(func(f *store.Found) {
			f.Package, f.Registered, f.Last = "com.example.new", 0, time.Time{}
			f.Flags, f.App = []string{"app-not-registered"}, attestapi.AppPackageUnknown
		})},
		{"a digest registered under another package", func(_ *rig, a *attempt) { a.digest = digestOf("other") }, true, ours(func(f *store.Found) {
			f.Flags, f.App, f.Near = []string{"app-not-registered"}, attestapi.AppOtherPackage, otherApp+"-1.0-"+libraryB
		})},
		{"a digest registered with another library", func(_ *rig, a *attempt) {
			a.request.Library.ID, a.key = libraryB, []byte(strings.Repeat("b", 16))
		}, true, ours(func(f *store.Found) {
			f.Library, f.Flags, f.App, f.Near = libraryB, []string{"app-not-registered"}, attestapi.AppOtherLibrary, appName+"-2.0[3]-"+libraryA
		})},
		{"a registration that has expired", func(r *rig, a *attempt) {
			a.digest = digestOf("app 1")
			r.pass(2 * time.Hour)
			a.request.Nonce = r.nonce("acme", deviceA)
		}, true, ours(func(f *store.Found) {
			f.Registered, f.Flags, f.App, f.Near = 1, []string{"app-not-registered"}, attestapi.AppExpired, appName+"-1.0-"+libraryA
			f.Expired = start.Add(time.Hour)
		})},
		{"a measurement that is none", func(_ *rig, a *attempt) { a.request.App.Measurement = "?" }, true, ours(func(f *store.Found) {
			f.Flags, f.App = []string{"app-not-registered"}, attestapi.AppDigestUnknown
		})},
		{"another key", func(_ *rig, a *attempt) { a.key = []byte("x") }, false, ours(func(f *store.Found) {
			f.Flags, f.MAC = []string{"bad-hmac"}, attestapi.LibraryKnown
		})},
		{"a library that is not there", func(_ *rig, a *attempt) { a.request.Library.ID = "9" }, false, ours(func(f *store.Found) {
			f.Library, f.MAC, f.Flags = "9", attestapi.LibraryUnknown, []string{"bad-hmac", "app-not-registered"}
			f.App, f.Near = attestapi.AppOtherLibrary, appName+"-2.0[3]-"+libraryA
		})},
		{"a replay", func(r *rig, a *attempt) { r.send(*a) }, false, ours(func(f *store.Found) {
			f.Flags, f.Nonce = []string{"bad-nonce"}, attestapi.NonceUsed
		})},
		{"a nonce that has expired", func(r *rig, _ *attempt) { r.pass(time.Minute) }, false, ours(func(f *store.Found) {
			f.Flags, f.Nonce = []string{"bad-nonce"}, attestapi.NonceExpired
		})},
		{"a nonce of another device", func(r *rig, a *attempt) { a.request.DeviceID = deviceB }, false, ours(func(f *store.Found) {
			f.Flags, f.Nonce = []string{"bad-nonce"}, attestapi.NonceForeign
		})},
		{"a nonce that was made up", func(r *rig, a *attempt) { a.request.Nonce = "x" }, false, ours(func(f *store.Found) {
			f.Flags, f.Nonce = []string{"bad-nonce"}, attestapi.NonceForeign
		})},
		{"a device that is blacklisted", func(r *rig, _ *attempt) {
			r.change(func(a *account.Account) {
				a.Devices = []account.Device{{ID: deviceA, Policy: account.Policy{Rules: "default", Rejection: account.RejectBlacklist, Annotation: "default"}}}
			})
		}, true, ours(func(f *store.Found) { f.Policy, f.Own = "default,blacklist,default", true })},
		{"a device with a pin mode only", func(r *rig, a *attempt) {
			r.change(func(a *account.Account) { a.Devices = []account.Device{{ID: deviceA, PinMode: account.PinNormal}} })
			a.request.Flags = []string{"rooted"}
		}, true, ours(func(f *store.Found) { f.Flags = []string{"rooted"} })},
		{"what an app says at length", func(_ *rig, a *attempt) {
			a.request.App.Package, a.request.App.Version, a.request.Flags = strings.Repeat("p", 500), strings.Repeat("v", 120), []string{"frida"}
		}, true, ours(func(f *store.Found) {
			f.Package, f.Version, f.Registered, f.Last = strings.Repeat("p", 100)+"…", strings.Repeat("v", 100)+"…", 0, time.Time{}
			f.Flags = []string{"app-not-registered", "frida"}
			f.App, f.Near = attestapi.AppOtherPackage, appName+"-2.0[3]-"+libraryA
		})},
	} {
		r := newRig(t, func(_ *Options, a *account.Account) {
			a.Registrations[0].Registered, a.Registrations[1].Registered = start.Add(-time.Hour), start.Add(-2*time.Hour)
		})
		a := r.genuine(r.nonce("acme", deviceA))
		row.edit(r, &a)
		answer := r.send(a)
		all := r.kept()
		if row.want == nil || len(all) != 1 {
			if row.want != nil || len(all) != 0 {
				t.Errorf("%s: got %+v kept, want %+v", row.name, all, row.want)
			}
			continue
		}
		want := store.Failure{Account: "acme", Request: answer.Request, At: r.clock(), Device: a.request.DeviceID, Proven: row.proven, Found: *row.want}
		if !reflect.DeepEqual(all[0], want) {
			t.Errorf("%s: got %+v, want %+v", row.name, all[0], want)
		}
	}
}

// flushed is a response that does something when it has been sent.
type flushed struct {
	*httptest.ResponseRecorder
	then func()
}

func (f flushed) Flush() { f.ResponseRecorder.Flush(); f.then() }

// The answer to an attestation that fails is on its way before anything is done that only failures have done.
func TestAFailureIsAnsweredFirst(t *testing.T) {
	r := newRig(t, nil)
	q := r.genuine(r.nonce("acme", deviceA)).request
	q.App.Measurement = "none"
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, attestapi.PathAttest, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	sent := 0
	r.ServeHTTP(flushed{httptest.NewRecorder(), func() {
		sent++
		if len(r.failures.taken) != 0 || r.log.Len() != 0 {
			t.Error("got the failure noted or logged before the answer was sent")
		}
	}}, request)
	if err := r.afterwards.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.failures.waiting) != 1 || sent != 1 {
		t.Errorf("got %d noted and %d answers sent, want one of each", len(r.failures.waiting), sent)
	}
}

// Nothing that an app could be impersonated with, and nobody's address, is kept.
func TestNothingSecretIsKept(t *testing.T) {
	r := newRig(t, nil)
	a := r.genuine(r.nonce("acme", deviceA))
	a.digest, a.request.Pay = digestOf("x"), "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="
	answer := r.send(a)
	text := fmt.Sprintf("%+v", r.kept())
	if !strings.Contains(text, deviceA) {
		t.Errorf("got %s, want the device in it", text)
	}
	secrets := []string{a.request.Nonce, answer.Nonce, answer.mac, a.request.Pay, attestapi.Measurement(a.request.Nonce, a.digest), "192.0.2.7"}
	for _, token := range answer.Tokens {
		secrets = append(secrets, token.Text)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("got %s kept, want nothing of the kind", secret)
		}
	}
}

// A flood takes bounded memory and few writes; what of it is made up leaves room for what is proven, and for others.
func TestAFloodOfFailures(t *testing.T) {
	r := newRig(t, nil)
	c := r.find("acme")
	q := r.genuine("").request
	fail := func(genuine bool, device string) {
		q.DeviceID = device
		f := &finding{genuine: genuine, flags: []string{"rooted"}, sameDigest: -1}
		r.keepFailed(c, &q, f, f.flags, "0123456789abcdef", start)
	}
	const flood = 100_000
	for range flood {
		fail(false, deviceB)
	}
	for range flood {
		fail(true, deviceA)
	}
	if got := len(r.failures.waiting); got != maxMadeUp+maxProven {
		t.Errorf("got %d waiting, want %d", got, maxMadeUp+maxProven)
	}
	if got, want := testutil.ToFloat64(r.metrics.failuresDropped), float64(2*flood-maxMadeUp-maxProven); got != want {
		t.Errorf("got %v dropped, want %v", got, want)
	}
	if got := testing.AllocsPerRun(100, func() { fail(true, deviceA) }); got > 2 { // which the test makes: a finding and its flags
		t.Errorf("one too many: got %v allocations, want none of ours", got)
	}
	if got := len(r.kept()); got != maxMadeUp+maxProven {
		t.Errorf("got %d kept, want %d", got, maxMadeUp+maxProven)
	}
	fail(false, deviceA)
	if got := len(r.kept()); got != 0 {
		t.Errorf("in the same second, when somebody has asked: got %d kept, want 0", got)
	}
	for i := range 100 {
		for range maxProven {
			if r.failures.reserve(fmt.Sprint("account ", i), true) {
				r.failures.note(noted{account: c})
			}
		}
	}
	if got := len(r.failures.waiting); got != maxWaiting {
		t.Errorf("many accounts: got %d waiting, want %d", got, maxWaiting)
	}
	r.kept()
	for i := range 100 {
		for range maxMadeUp {
			if r.failures.reserve(fmt.Sprint("another ", i), false) {
				r.failures.note(noted{account: c})
			}
		}
	}
	if got := len(r.failures.waiting); got != maxWaiting/2 {
		t.Errorf("made up of many accounts: got %d waiting, want %d", got, maxWaiting/2)
	}
	if !r.failures.reserve("one more", true) {
		t.Error("a proven one besides: got no place, want one")
	}
	r.kept()
	if !r.failures.reserve("one more", false) {
		t.Error("when they are written: got no place, want one")
	}
}

// A store that takes no failures changes no answer. What it did not take is tried again for a while, and newer ones
// after that; memory is bounded all the time.
func TestFailuresThatCannotBeWritten(t *testing.T) {
	r := newRig(t, nil)
	r.store.refused = errors.New("the disk is full")
	fail := func() {
		a := r.genuine(r.nonce("acme", deviceA))
		a.digest = digestOf("x")
		if answer := r.send(a); answer.Code != 200 {
			t.Fatalf("got %d, want 200", answer.Code)
		}
	}
	fail()
	for range keepTries - 1 {
		if err := r.KeepFailures(t.Context()); err == nil {
			t.Fatal("somebody asks: got no error, want the store's")
		}
		r.failures.tick(t.Context())
		fail()
	}
	if got := len(r.failures.batch) + len(r.failures.waiting); got != keepTries {
		t.Errorf("got %d in memory, want %d", got, keepTries)
	}
	if strings.Contains(r.log.String(), "could not be kept") {
		t.Errorf("got the log %s, want nothing given up yet", r.log)
	}
	r.failures.tick(t.Context())
	if !strings.Contains(r.log.String(), "could not be kept") {
		t.Errorf("the last try: got the log %s, want a line", r.log)
	}
	if got := testutil.ToFloat64(r.metrics.failuresDropped); got != 1 {
		t.Errorf("got %v dropped, want the first one", got)
	}
	for range 3 * keepTries { // the disk stays full
		fail()
		r.failures.tick(t.Context())
	}
	if got := strings.Count(r.log.String(), "could not be kept"); got != 1 {
		t.Errorf("the disk stays full: got %d lines, want 1", got)
	}
	dropped := testutil.ToFloat64(r.metrics.failuresDropped)
	r.store.refused = nil
	r.failures.tick(t.Context())
	if want := fmt.Sprintf(`"msg":"failed attestations are kept again","lost":%v`, dropped); !strings.Contains(r.log.String(), want) {
		t.Errorf("once the store is back: got the log %s, want %s", r.log, want)
	}
	if got, want := float64(len(r.kept())), float64(1+keepTries-1+3*keepTries)-dropped; got != want {
		t.Errorf("once the store is back: got %v kept, want the newer %v", got, want)
	}
	fail()
	r.failures.tick(t.Context())
	if got := strings.Count(r.log.String(), "are kept again\",\"lost"); got != 1 {
		t.Errorf("while all is well: got %d lines that it is, want 1", got)
	}
}

// What was left and what came after it are written in one go.
func TestFailuresThatWereLeft(t *testing.T) {
	r := newRig(t, nil)
	for _, store := range []error{errors.New("the disk is full"), nil} {
		r.store.refused = store
		a := r.genuine(r.nonce("acme", deviceA))
		a.digest = digestOf("x")
		r.send(a)
		if err := r.KeepFailures(t.Context()); !errors.Is(err, store) {
			t.Errorf("got %v, want %v", err, store)
		}
	}
	if got := len(r.kept()); got != 2 {
		t.Errorf("got %d kept, want 2", got)
	}
}

// Who asks while the store hangs waits no longer than they want to.
func TestAskingWhileTheStoreHangs(t *testing.T) {
	r := newRig(t, nil)
	r.failures.writing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.KeepFailures(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// Run writes once a second, and what is left when it ends.
func TestRunKeepsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		count := func() int {
			synctest.Wait()
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			return len(r.store.failures)
		}
		note := func() {
			if !r.failures.reserve("acme", true) {
				t.Error("got no room")
			}
			r.failures.note(noted{failure: store.Failure{Account: "acme"}, account: r.find("acme")})
		}
		note()
		if got := count(); got != 0 {
			t.Errorf("at once: got %d kept, want 0", got)
		}
		time.Sleep(keepEvery + time.Millisecond)
		if got := count(); got != 1 {
			t.Errorf("after a second: got %d kept, want 1", got)
		}
		for range maxProven { // the first second's is not counted any more
			note()
		}
		end()
		<-ended
		if got := count(); got != 1+maxProven {
			t.Errorf("at the end: got %d kept, want %d", got, 1+maxProven)
		}
	})
}

// Under every policy, the account's or the device's, what fails is kept with the flags and the policy it failed by, and
// what passes is not.
func TestEveryPolicyAndFlagThatIsKept(t *testing.T) {
	r := newRig(t, nil)
	failed := 0
	for _, rejection := range []account.Rejection{account.RejectDefault, account.RejectAllowXposed, account.RejectAllowRoot, account.RejectAllowRootAndJailbreak, account.RejectWhitelist, account.RejectBlacklist} {
		for _, own := range []bool{false, true} {
			policy := account.Policy{Rules: "default", Rejection: rejection, Annotation: account.AnnotateNone}
			r.change(func(a *account.Account) {
				a.Policy, a.Devices = policy, nil
				if own {
					a.Policy.Rejection, a.Devices = account.RejectAllowRoot, []account.Device{{ID: deviceA, Policy: policy}}
				}
			})
			for _, flag := range attestapi.ReportedFlags() {
				a := r.genuine(r.nonce("acme", deviceA))
				a.request.Flags = []string{flag}
				good, _ := r.verdict(r.send(a))
				all := r.kept()
				r.failures.taken = nil // it would be another second
				name := fmt.Sprintf("%s under %s, own %v", flag, rejection, own)
				if good != (len(all) == 0) {
					t.Errorf("%s: got good %v and %d kept, want what fails kept", name, good, len(all))
				} else if !good && (all[0].Found.Policy != policy.String() || all[0].Found.Own != own || !slices.Contains(all[0].Found.Flags, flag)) {
					t.Errorf("%s: got %+v kept", name, all[0].Found)
				} else if !good {
					failed++
				}
			}
		}
	}
	if failed < 50 {
		t.Errorf("got %d that failed, want most of them", failed)
	}
}
