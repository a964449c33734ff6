package attestd_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// long reports whether the figures to publish are wanted.
func long() bool { return os.Getenv("APPROOVGATE_ATTEST") == "long" }

// restartTime is how long the service may take to serve again after it was killed.
const restartTime = 2 * time.Second

// The service is killed again and again while apps are registered and attest. What it has acknowledged is there
// afterwards: registrations, and nonces that are spent. SIGKILL takes the process only: the machine's own memory of
// files survives it, so this says nothing about power cuts, for which SQLite syncs every commit.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 8
	if long() {
		rounds = 500
	}
	killRounds(t, rounds)
}

// spent is an attestation that was answered, to be tried again.
type spent struct {
	client *lean
	sent   sent
}

func killRounds(t *testing.T, rounds int) {
	data := t.TempDir()
	s := startService(t, data)
	apps := newApps(t, s)
	registered := map[string]bool{}
	slowest := time.Duration(0)
	for round := range rounds {
		work := startWork(t, s, apps, round)
		work.until(3 + round%5) // acknowledged registrations, then the kill
		s.kill()
		work.wait()
		began := time.Now()
		var err error
		if s, err = launch(t, data); err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, s.log)
		}
		slowest = max(slowest, time.Since(began))
		for _, signature := range work.registered {
			registered[signature] = true
		}
		checkRegistered(t, s, round, registered, work.doubtful)
		checkSpent(t, s, round, work.spent)
		clearRegistrations(t, s, registered)
	}
	t.Logf("%d kills; slowest start %v", rounds, slowest)
	if slowest > restartTime && long() {
		t.Errorf("the slowest start took %v, want at most %v", slowest, restartTime)
	}
}

// apps is what attests during the work.
type apps struct {
	library attestapi.Library
	key     string
	config  int64
}

// domain is the API domain of the tests.
const domain = "api.example.com"

// attesting is the app that attests in these tests, and its digest.
const attesting = "com.example.attesting"

var attestingDigest = [attestapi.DigestSize]byte{1}

// newApps prepares an account: a domain, the app that attests, its library.
func newApps(t testing.TB, s *service) apps {
	t.Helper()
	s.manage(t, http.MethodPost, attestapi.PathDomains, attestapi.APIDomain{Domain: domain, Format: "jws"}, nil)
	var library attestapi.SDKLibrary
	s.manage(t, http.MethodGet, attestapi.PathSDKLibrary+"?platform=Go", nil, &library)
	parsed, err := attestapi.ParseLibrary(library.File)
	if err != nil {
		t.Fatal(err)
	}
	var text attestapi.ConfigResponse
	s.manage(t, http.MethodGet, attestapi.PathSDKConfig, nil, &text)
	config, err := attestapi.OpenInitialConfig(text.Config)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err := config.Key.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	s.manage(t, http.MethodPost, attestapi.PathRegistrations, attestapi.NewRegistration{
		Digest: base64.StdEncoding.EncodeToString(attestingDigest[:]), Package: attesting, Version: "1.0", Library: parsed.ID}, nil)
	return apps{library: parsed, key: fingerprint, config: config.Version}
}

// client is the n-th device with the app.
func (a apps) client(s *service, n int) *lean {
	return &lean{base: s.url(), client: &http.Client{Timeout: patience}, library: a.library, pkg: attesting, digest: attestingDigest,
		did: newDevice(n), key: a.key, config: a.config}
}

// work is what goes on while the service is killed.
type work struct {
	t       testing.TB
	s       *service
	running sync.WaitGroup
	stop    context.CancelFunc
	done    chan struct{} // one for every registration acknowledged

	mu         sync.Mutex // guards what follows
	registered []string
	doubtful   map[string]bool // asked for, and no answer came
	spent      []spent
}

func startWork(t testing.TB, s *service, a apps, round int) *work {
	ctx, stop := context.WithCancel(t.Context())
	w := &work{t: t, s: s, stop: stop, done: make(chan struct{}, 1000), doubtful: map[string]bool{}}
	for i := range 2 {
		w.running.Add(2)
		go func() { defer w.running.Done(); w.register(ctx, a) }()           // ends with the service
		go func() { defer w.running.Done(); w.attest(ctx, a, 10*round+i) }() // likewise
	}
	return w
}

// until waits for some registrations.
func (w *work) until(n int) {
	for range n {
		select {
		case <-w.done:
		case <-time.After(patience):
			w.t.Error("nothing was registered")
			return
		}
	}
}

func (w *work) wait() {
	w.stop()
	w.running.Wait()
}

// register registers apps, and removes every third, until the service is gone.
func (w *work) register(ctx context.Context, a apps) {
	for n := 0; ctx.Err() == nil && n < 60; n++ {
		var digest [attestapi.DigestSize]byte
		_, _ = rand.Read(digest[:]) // never fails, by its documentation
		text := base64.StdEncoding.EncodeToString(digest[:])
		signature := text + "com.example.app-1.0-" + a.library.ID
		status, _ := w.s.tryManage(w.t, http.MethodPost, attestapi.PathRegistrations,
			attestapi.NewRegistration{Digest: text, Package: "com.example.app", Version: "1.0", Library: a.library.ID}, nil)
		w.mu.Lock()
		switch status {
		case http.StatusOK, http.StatusCreated:
			w.registered = append(w.registered, signature)
		default:
			w.doubtful[signature] = true
		}
		w.mu.Unlock()
		if status/100 == 2 {
			w.done <- struct{}{}
		}
	}
}

// attest attests until the service is gone, and remembers what was answered.
func (w *work) attest(ctx context.Context, a apps, n int) {
	client := a.client(w.s, n)
	for ctx.Err() == nil {
		if _, err := client.attest(); err != nil {
			return
		}
		w.mu.Lock()
		w.spent = append(w.spent, spent{client: client, sent: client.last})
		w.mu.Unlock()
	}
}

// checkRegistered compares what is registered with what was acknowledged.
func checkRegistered(t testing.TB, s *service, round int, want, doubtful map[string]bool) {
	t.Helper()
	var list attestapi.Registrations
	s.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list)
	there := map[string]bool{}
	for _, r := range list.Registrations {
		there[r.Signature] = true
		if doubtful[r.Signature] {
			want[r.Signature] = true // it had come to that before the kill, and must stay
		}
		if r.Package != attesting && !want[r.Signature] {
			t.Errorf("round %d: %s is registered, and nobody asked for it", round, r.Signature)
		}
	}
	for signature := range want {
		if !there[signature] {
			t.Errorf("round %d: %s was acknowledged and is lost", round, signature)
		}
	}
}

// checkSpent sends attestations again that were answered before the kill. Their tokens must not verify; those of a
// new attestation must.
func checkSpent(t testing.TB, s *service, round int, all []spent) {
	t.Helper()
	for _, one := range all[max(0, len(all)-5):] {
		var request attestapi.AttestRequest
		mustUnmarshal(t, one.sent.body, &request)
		one.client.base = s.url()
		answer, err := one.client.send(one.sent, request.Nonce)
		if err != nil {
			t.Errorf("round %d: an attestation sent again: %v", round, err)
			continue
		}
		if s.isValid(t, answer) {
			t.Errorf("round %d: a nonce that was spent before the kill gave a valid token again", round)
		}
		one.client.nonce = ""
		if answer, err = one.client.attest(); err != nil || !s.isValid(t, answer) {
			t.Errorf("round %d: a new attestation: got no valid token, %v", round, err)
		}
	}
}

// isValid asks the service whether it takes the token of the tests' domain for genuine.
func (s *service) isValid(t testing.TB, answer attestapi.AttestResponse) bool {
	t.Helper()
	var checked attestapi.CheckedToken
	s.manage(t, http.MethodPost, attestapi.PathCheckToken, attestapi.CheckToken{Token: answer.Tokens[domain].Text}, &checked)
	return checked.Valid
}

// clearRegistrations makes room: an account has at most 250.
func clearRegistrations(t testing.TB, s *service, registered map[string]bool) {
	t.Helper()
	var list attestapi.Registrations
	s.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list)
	if len(list.Registrations) < 100 {
		return
	}
	s.manage(t, http.MethodDelete, attestapi.PathRegistrations+"?package=com.example.app&older_than=0s", nil, nil)
	s.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list)
	if len(list.Registrations) != 1 { // the app that attests
		t.Fatalf("got %d registrations after removing those of the work, want 1", len(list.Registrations))
	}
	clear(registered)
}

// raw sends the attestation of a new device, after a challenge that needs no database, and returns the answer as it came.
func (a apps) raw(s *service, n int) (*http.Response, error) {
	client := a.client(s, n)
	var seen *http.Response
	client.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && r.URL.Path == attestapi.PathAttest {
			seen = response
		}
		return response, err
	})
	if _, err := client.attest(); seen == nil {
		return nil, err
	}
	return seen, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
