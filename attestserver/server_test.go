package attestserver

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func TestOptionsThatAreNone(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no store: got a server, want an error")
	}
	if _, err := New(Options{Store: newMemory(), Rand: failing{}}); err == nil {
		t.Error("no randomness: got a server, want an error")
	}
	r := newRig(t, nil)
	r.o.Rand = failing{}
	if w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: "acme", DeviceID: deviceA}); w.Code != http.StatusInternalServerError {
		t.Errorf("randomness that has run out: got %d %s, want 500", w.Code, w.Body)
	}
}

func TestBeforeTheAccountsAreRead(t *testing.T) {
	s, err := New(Options{Store: newMemory(testAccount(t, "acme"))})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Server: s, t: t}
	if s.Ready() == nil || s.Accounts() != nil {
		t.Errorf("got ready %v and accounts %v, want neither", s.Ready(), s.Accounts())
	}
	for _, path := range []string{attestapi.PathChallenge, attestapi.PathAttest, attestapi.PathConfig} {
		w := r.post(path, map[string]any{"v": 1, "account": "acme", "did": deviceA})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got %d %v, want 503 and when to come again", path, w.Code, w.Header())
		}
	}
	if w := r.ask(http.MethodGet, attestapi.PathHealth, nil, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("health: got %d, want 503", w.Code)
	}
}

// A database that is away for hours is a line in the log each minute, whatever is asked meanwhile.
func TestADatabaseThatHasGoneInTheLog(t *testing.T) {
	r := newRig(t, nil)
	attempt := r.genuine(r.nonce("acme", deviceA))
	for minute := 1; minute <= 3; minute++ {
		for second := range 20 {
			r.store.breakDown(fmt.Errorf("port %d: %w", 50000+second, errGone)) // other words each time
			r.send(attempt)
			r.poll(t.Context(), false)
			r.pass(time.Second)
			attempt = r.genuine(r.nonce("acme", deviceA))
		}
		for _, text := range []string{"attestations are answered 503", "the accounts could not be read"} {
			if got := strings.Count(r.log.String(), text); got != minute {
				t.Errorf("minute %d: got %d lines with %q, want %d\n%s", minute, got, text, minute, r.log)
			}
		}
		r.pass(time.Minute)
	}
}

func TestADatabaseThatHasGone(t *testing.T) {
	r := newRig(t, nil)
	a := r.genuine(r.nonce("acme", deviceA))
	r.store.breakDown(errGone)
	answer := r.send(a)
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "1" || answer.Header().Get(attestapi.HeaderMAC) != "" {
		t.Errorf("an attestation: got %d %v, want 503 and when to come again", answer.Code, answer.Header())
	}
	if p := problem(t, "an attestation", 503, answer.Header(), answer.Body.Bytes()); p.Code != attestapi.CodeUnavailable || strings.Contains(p.Detail, "database") {
		t.Errorf("got %+v, want no word of what is behind", p)
	}
	if err := r.Refresh(context.Background()); err == nil {
		t.Error("reading the accounts: got no error")
	}
	if len(r.Accounts()) != 2 {
		t.Errorf("got %d accounts, want the two that were read before", len(r.Accounts()))
	}
	if r.Account("acme") == nil || r.Ready() == nil {
		t.Errorf("got account %v and ready %v, want what was read before, and not ready", r.Account("acme"), r.Ready())
	}
	if w := r.ask(http.MethodGet, attestapi.PathHealth, nil, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("health: got %d, want 503", w.Code)
	}
	a.request.Nonce = r.nonce("acme", deviceA) // does not need the store
	a.request.Nonce = "forged"
	if good, _ := r.verdict(r.send(a)); good {
		t.Error("a forged nonce: got good tokens, want none, and no need of the store")
	}
	if w := r.post(attestapi.PathConfig, attestapi.ConfigRequest{Account: "acme", Version: 1}); w.Code != 200 {
		t.Errorf("a configuration: got %d, want 200", w.Code)
	}
	r.store.breakDown(nil)
	r.poll(context.Background(), false)
	if err := r.Ready(); err != nil {
		t.Errorf("when the database is back: got %v, want ready", err)
	}
	if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
		t.Error("when the database is back: got tokens that do not verify, want good ones")
	}
}

func TestTooManyAtOnce(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, func(o *Options, _ *account.Account) { o.MaxConcurrent = 2 })
	r.store.hold = hold
	done := make(chan int)
	for range 2 {
		a := r.genuine(r.nonce("acme", deviceA))
		go func() { done <- r.send(a).Code }()
	}
	for len(r.places) < 2 {
		runtime.Gosched() // until both are being worked on
	}
	w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: "acme", DeviceID: deviceA})
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("the third: got %d, want 503 and when to come again", w.Code)
	}
	close(hold)
	for range 2 {
		if code := <-done; code != 200 {
			t.Errorf("the first two: got %d, want 200", code)
		}
	}
	if w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: "acme", DeviceID: deviceA}); w.Code != 200 {
		t.Errorf("afterwards: got %d, want 200", w.Code)
	}
}

// A change is in force as soon as it is read: by Refresh, or because the generation is another.
func TestChangesComeIntoForce(t *testing.T) {
	r := newRig(t, annotateAll)
	if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
		t.Fatal("got tokens that do not verify, want good ones")
	}
	before := r.find("other")
	remove := func(a *account.Account) { a.Registrations = nil }
	r.store.change("acme", remove)
	if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
		t.Error("before it is read: got the change in force")
	}
	reads := r.store.reads
	r.poll(context.Background(), false)
	if good, claims := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); good || anno(claims) != "app-not-registered" {
		t.Errorf("a removed registration: got good %v and %q, want rejected as not registered", good, anno(claims))
	}
	r.poll(context.Background(), false)
	if got := r.store.reads - reads; got != 1 {
		t.Errorf("got the accounts read %d times, want once: nothing has changed since", got)
	}
	if r.find("other") != before {
		t.Error("got an account compiled anew that has not changed")
	}

	r.change(func(a *account.Account) { a.Libraries = a.Libraries[1:] })
	if _, claims := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !strings.Contains(anno(claims), "bad-hmac") {
		t.Errorf("a removed library: got %q, want bad-hmac", anno(claims))
	}

	r.store.mu.Lock()
	delete(r.store.accounts, "acme")
	r.store.generation++
	r.store.mu.Unlock()
	r.refresh()
	if w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: "acme", DeviceID: deviceA}); w.Code != 403 || r.Account("acme") != nil {
		t.Errorf("a removed account: got %d, want 403", w.Code)
	}
}

func TestAnAccountThatCannotBeUsedStaysAsItWas(t *testing.T) {
	r := newRig(t, nil)
	r.store.change("acme", func(a *account.Account) { a.Keys[0].Material = account.NewSecret(nil); a.Keys = a.Keys[1:] })
	r.store.change("other", func(a *account.Account) { a.Policy.Rejection = account.RejectAllowRoot })
	err := r.Refresh(context.Background())
	if err == nil || !strings.Contains(err.Error(), "acme") {
		t.Errorf("got %v, want an error that names the account", err)
	}
	if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
		t.Error("got tokens that do not verify, want those of the account as it was")
	}
	if got := r.Account("other").Policy.Rejection; got != account.RejectAllowRoot {
		t.Errorf("another account: got %s, want the change in force", got)
	}
	if r.Ready() != nil {
		t.Errorf("got %v, want ready: the store answers", r.Ready())
	}
}

// Run reads the accounts at once, and again whenever the store tells of a change.
func TestRunFollowsTheStore(t *testing.T) {
	m := newMemory(testAccount(t, "acme"))
	s, err := New(Options{Store: m})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-m.read:
		case <-time.After(time.Minute):
			t.Fatalf("%s: got the accounts not read, want read", what)
		}
	}
	wait("at once")
	m.change("acme", func(a *account.Account) { a.Policy.Rejection = account.RejectBlacklist })
	m.changed <- struct{}{}
	wait("told of a change")
	m.change("acme", func(a *account.Account) { a.Policy.Rejection = account.RejectAllowRoot })
	wait("not told of a change, but asking every two seconds")
	close(m.changed)
	cancel()
	<-ended
}

// Attestations go on while accounts change, and each is judged by one state of its account.
func TestAttestationsWhileAccountsChange(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			r.store.change("acme", func(a *account.Account) { a.Policy.Rejection = account.RejectAllowRoot; a.ConfigVersion++ })
			if err := r.Refresh(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
					t.Error("got tokens that do not verify, want good ones")
				}
			}
		})
	}
	group.Wait()
	cancel()
	<-ended
}
