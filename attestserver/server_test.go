package attestserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
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
	if s.Ready() == nil {
		t.Error("got ready, want not")
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

func TestDescription(t *testing.T) {
	r := newRig(t, nil)
	w := r.ask(http.MethodGet, attestapi.PathWellKnown, nil, nil)
	var d attestapi.Description
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("got %d %s, %v", w.Code, w.Body, err)
	}
	if d.Server != "test" || !slices.Equal(d.Versions, []int{1}) || d.MaxBody != attestapi.MaxRequest || d.Evidence == nil {
		t.Errorf("got %+v, want what the server speaks", d)
	}
	if w := r.ask(http.MethodGet, attestapi.PathHealth, nil, nil); w.Code != 200 {
		t.Errorf("health: got %d, want 200", w.Code)
	}
	if w := r.ask(http.MethodHead, attestapi.PathHealth, nil, nil); w.Code != 200 {
		t.Errorf("health by HEAD: got %d, want 200", w.Code)
	}
}

func TestDocumentsForGates(t *testing.T) {
	admin := account.Actor{Name: "A N Other", Role: account.Admin, Expires: start.Add(100 * 24 * time.Hour)}
	texts := map[account.Role]string{}
	r := newRig(t, func(_ *Options, a *account.Account) {
		for _, role := range []account.Role{account.Dev, account.Admin, account.Gateway} {
			_, text, err := a.AddToken(admin, start, nil, account.NewToken{Email: "a@example.com", Name: "A N Other", Lifetime: "1d", Role: role})
			if err != nil {
				t.Fatal(err)
			}
			texts[role] = text
		}
	})
	ask := func(path, token, tag string) (int, string, http.Header) {
		w := r.ask(http.MethodGet, path, nil, func(q *http.Request) {
			q.Header.Set("Authorization", token)
			q.Header.Set("If-None-Match", tag)
		})
		return w.Code, w.Body.String(), w.Header()
	}
	for _, row := range []struct {
		name, query, token string
		status             int
	}{
		{"a gate's token", "?gate=edge", "Bearer " + texts[account.Gateway], 200},
		{"an administrator's token", "?gate=edge", "Bearer " + texts[account.Admin], 200},
		{"a developer's token", "?gate=edge", "Bearer " + texts[account.Dev], 403},
		{"no token", "?gate=edge", "", 401},
		{"a token of another scheme", "?gate=edge", "Basic " + texts[account.Gateway], 401},
		{"a token that was changed", "?gate=edge", "Bearer " + texts[account.Gateway][:len(texts[account.Gateway])-2] + "AA", 401},
		{"no token but a word", "?gate=edge", "Bearer x", 401},
		{"a very long token", "?gate=edge", "Bearer " + strings.Repeat("x.", 10000), 401},
		{"no gate", "", "Bearer " + texts[account.Gateway], 400},
		{"an empty gate", "?gate=", "Bearer " + texts[account.Gateway], 400},
		{"a gate with a space at its end", "?gate=edge%20", "Bearer " + texts[account.Gateway], 400},
		{"a gate with a line break", "?gate=ed%0age", "Bearer " + texts[account.Gateway], 400},
		{"a very long gate", "?gate=" + strings.Repeat("x", 1000), "Bearer " + texts[account.Gateway], 400},
	} {
		for _, path := range []string{attestapi.PathControl, attestapi.PathKeys} {
			if code, body, _ := ask(path+row.query, row.token, ""); code != row.status {
				t.Errorf("%s, %s: got %d %s, want %d", path, row.name, code, body, row.status)
			}
		}
	}

	token := "Bearer " + texts[account.Gateway]
	_, envelope, header := ask(attestapi.PathControl+"?gate=edge", token, "")
	ring := controlRing(t, r.Account("acme"))
	if c, err := gate.OpenControl(envelope, ring, "edge", start); err != nil || !c.Empty() {
		t.Errorf("got %+v, %v, want a document without an override", c, err)
	}
	if code, body, _ := ask(attestapi.PathControl+"?gate=edge", token, header.Get("ETag")); code != 304 || body != "" {
		t.Errorf("the same document again: got %d, want 304", code)
	}
	if code, _, _ := ask(attestapi.PathControl+"?gate=back", token, header.Get("ETag")); code != 200 {
		t.Errorf("another gate's document: got %d, want 200", code)
	}
	r.change(func(a *account.Account) {
		if err := a.SetControl(admin, start, []string{"edge"}, account.Override{Mode: "bypass", For: "15m"}); err != nil {
			t.Fatal(err)
		}
	})
	code, envelope, _ := ask(attestapi.PathControl+"?gate=edge", token, header.Get("ETag"))
	if c, err := gate.OpenControl(envelope, ring, "edge", start); code != 200 || err != nil || c.Mode != "bypass" || c.Version != 2 {
		t.Errorf("after a switch: got %d, %+v, %v, want bypass in version 2", code, c, err)
	}
	_, envelope, header = ask(attestapi.PathKeys+"?gate=edge", token, "")
	if keys, err := gate.OpenRing(envelope, ring, "edge", start); err != nil || len(keys.Keys) != 2 {
		t.Errorf("got %d keys, %v, want the account secret and a public key", len(keys.Keys), err)
	}
	r.change(func(a *account.Account) {
		if err := a.UpdateSecret(admin, start, nil); err != nil {
			t.Fatal(err)
		}
	})
	code, envelope, header = ask(attestapi.PathKeys+"?gate=edge", token, header.Get("ETag"))
	if keys, err := gate.OpenRing(envelope, ring, "edge", start); code != 200 || err != nil || len(keys.Keys) != 3 {
		t.Errorf("after a new secret: got %d, %d keys, %v, want the one before too", code, len(keys.Keys), err)
	}
	r.pass(time.Hour)
	code, envelope, _ = ask(attestapi.PathKeys+"?gate=edge", token, header.Get("ETag"))
	if keys, err := gate.OpenRing(envelope, ring, "edge", start.Add(time.Hour)); code != 200 || err != nil || len(keys.Keys) != 2 {
		t.Errorf("when the one before is over: got %d, %d keys, %v, want it gone", code, len(keys.Keys), err)
	}
	r.change(func(a *account.Account) { a.Tokens = nil })
	if code, _, _ := ask(attestapi.PathKeys+"?gate=edge", token, ""); code != 401 {
		t.Errorf("a revoked token: got %d, want 401", code)
	}
}

// controlRing is what a gate pins.
func controlRing(t testing.TB, a *account.Account) *jose.Ring {
	t.Helper()
	text, err := a.GatewayKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.NewPublic("control", "ES256", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestMetrics(t *testing.T) {
	r := newRig(t, nil)
	r.send(r.genuine(r.nonce("acme", deviceA)))
	calls := r.genuine(r.nonce("acme", deviceA))
	calls.request.Calls = attestapi.Calls{"calls-fetch-sync": 3, "result-success": 2, "made-up": 5, "result-no-network": maxCallCount}
	r.send(calls)
	r.send(calls) // a replay: its calls do not count again
	bad := r.genuine(r.nonce("acme", deviceA))
	bad.request.Flags, bad.key, bad.request.Calls = []string{"frida-hook", "made-up"}, []byte("x"), attestapi.Calls{"calls-fetch-sync": 100}
	r.send(bad)
	r.ask(http.MethodPost, attestapi.PathAttest, []byte("{"), nil)
	r.post(attestapi.PathAttest, attestapi.AttestRequest{Version: 1, Account: "made-up", DeviceID: deviceA})
	r.ask(http.MethodPost, attestapi.PathAttest, make([]byte, attestapi.MaxRequest+1), nil)
	lost := r.genuine(r.nonce("acme", deviceA))
	r.store.breakDown(errGone)
	r.send(lost)
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"attestserver_attestations_total acme pass":                2,
		"attestserver_attestations_total acme fail":                2,
		"attestserver_attestations_total acme error":               1,
		"attestserver_attestations_total  error":                   3,
		"attestserver_flags_total acme bad-nonce fail":             1,
		"attestserver_flags_total acme bad-hmac fail":              1,
		"attestserver_flags_total acme frida fail":                 1,
		"attestserver_flags_total acme frida-hook fail":            1,
		"attestserver_apps_total acme com.example.app pass 2.0[3]": 2,
		"attestserver_apps_total acme com.example.app fail 2.0[3]": 2,
		"attestserver_sdk_calls_total acme calls-fetch-sync":       3,
		"attestserver_sdk_calls_total acme result-success":         2,
		"attestserver_sdk_calls_total acme result-no-network":      maxCallsCounted,
		"attestserver_nonce_store_errors_total":                    1,
		"attestserver_refresh_errors_total":                        0,
		"attestserver_overload_total":                              0,
		"attestserver_attest_seconds":                              7,
		"attestserver_snapshot_generation":                         0,
		"attestserver_snapshot_age_seconds":                        0,
		"attestserver_snapshot_accounts":                           2,
		"attestserver_ready":                                       0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %v, want %v", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("got besides %v, want no more", got)
	}
}

// What is logged tells an operator why an attestation failed, and nobody how to make one.
func TestLogLines(t *testing.T) {
	r := newRig(t, func(o *Options, _ *account.Account) { o.LogLines = 3 })
	var secrets []string
	for i := range 20 {
		a := r.genuine(r.nonce("acme", deviceA))
		a.digest = digestOf("x")
		a.request.App.Version = strings.Repeat("v", 120)
		a.request.Pay = "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="
		a.request.App.Package = fmt.Sprint("evil\n{}", i)
		answer := r.send(a)
		secrets = append(secrets, a.request.Nonce, answer.Nonce, answer.mac, answer.Header().Get(attestapi.HeaderMAC), a.request.Pay, deviceA, "192.0.2.7")
		for _, token := range answer.Tokens {
			secrets = append(secrets, token.Text)
		}
		if i == 0 && !strings.Contains(r.log.String(), answer.Request) {
			t.Errorf("got %s, want the request's id", r.log)
		}
	}
	r.send(r.genuine(r.nonce("acme", deviceA)))
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	if len(lines) != 3 {
		t.Errorf("got %d lines, want 3 of a flood, and none for what passes", len(lines))
	}
	for _, line := range lines {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if fields["account"] != "acme" || fmt.Sprint(fields["flags"]) != "[app-not-registered]" || len(fmt.Sprint(fields["device"])) != 16 || len(fmt.Sprint(fields["app_version"])) > 110 {
			t.Errorf("got %s, want account, flags and the device's hash", line)
		}
	}
	r.tellSkipped()
	if !strings.Contains(r.log.String(), `"attestations":17`) {
		t.Errorf("got %s, want the 17 that are not listed counted", r.log)
	}
	for _, secret := range secrets {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("got %s in the log, want nothing of the kind", secret)
		}
	}
}
