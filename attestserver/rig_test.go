package attestserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/attestserver/store"
)

var start = time.Unix(1_800_000_000, 0)

const (
	deviceA  = "h4gubfCFzJu81j/U2BJsdg=="
	deviceB  = "AAAAAAAAAAAAAAAAAAAAAQ=="
	appName  = "com.example.app"
	otherApp = "com.example.other"
	libraryA = "1041"
	libraryB = "1042"
)

// memory is a store that forgets everything with its process.
type memory struct {
	mu         sync.Mutex // guards the fields below
	accounts   map[string]*account.Account
	generation int64
	used       map[[16]byte]bool
	consumed   int           // nonces that Consume was asked about
	reads      int           // calls of Accounts
	fail       error         // of every method
	hold       chan struct{} // Consume waits until it is closed; nil: it does not
	changed    chan struct{}
	read       chan struct{} // told of each call of Accounts
	pruned     int
	failures   []store.Failure
	refused    error // of KeepFailures alone
}

func newMemory(accounts ...*account.Account) *memory {
	m := &memory{accounts: map[string]*account.Account{}, used: map[[16]byte]bool{}, changed: make(chan struct{}, 1), read: make(chan struct{}, 100)}
	for _, a := range accounts {
		m.accounts[a.Name] = a
	}
	return m
}

func (m *memory) Generation(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.generation, m.fail
}

func (m *memory) Accounts(context.Context) ([]*account.Account, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	select {
	case m.read <- struct{}{}:
	default:
	}
	if m.fail != nil {
		return nil, 0, m.fail
	}
	var all []*account.Account
	for _, a := range m.accounts {
		all = append(all, a.Clone())
	}
	return all, m.generation, nil
}

func (m *memory) Consume(ctx context.Context, nonces []store.Nonce) ([]bool, error) {
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	fresh := make([]bool, len(nonces))
	for i, n := range nonces {
		fresh[i] = !m.used[n.ID]
		m.used[n.ID] = true
	}
	m.consumed += len(nonces)
	return fresh, nil
}

func (m *memory) Prune(context.Context, time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pruned++
	return 0, m.fail
}

func (m *memory) Changed() <-chan struct{} { return m.changed }

// change changes an account as a store does.
func (m *memory) change(name string, change func(a *account.Account)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[name].Clone()
	change(a)
	a.Version++
	m.accounts[name] = a
	m.generation++
}

func (m *memory) breakDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.consumed
}

func material(b byte, n int) account.Secret { return account.NewSecret(bytes.Repeat([]byte{b}, n)) }

func ecKey(t testing.TB) account.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return account.NewSecret(der)
}

func digestOf(name string) [32]byte { return sha256.Sum256([]byte(name)) }

// testAccount is an account with an app, a library and a domain of each format.
func testAccount(t testing.TB, name string) *account.Account {
	return &account.Account{
		Name: name, Created: start, Version: 1, ConfigVersion: 5,
		Policy:     account.Policy{Rules: "default", Rejection: account.RejectDefault, Annotation: account.AnnotateNone},
		DemoDomain: "demo.example.com",
		Network:    account.Network{Primary: []string{"https://attest.example.com"}},
		Keys: []account.Key{
			{Purpose: account.TokenKey, Alg: "HS256", Material: material('n', 64), Created: start},
			{Purpose: account.DemoKey, Alg: "HS256", Material: material('D', 64)},
			{Purpose: account.DecoyKey, Alg: "HS256", Material: material('y', 64)},
			{Purpose: account.KeysetKey, ID: "e1", Alg: "ES256", Material: ecKey(t)},
			{Purpose: account.KeysetDecoy, ID: "e1", Alg: "ES256", Material: ecKey(t)},
			{Purpose: account.ConfigKey, Alg: "ES256", Material: ecKey(t)},
			{Purpose: account.ControlKey, Alg: "ES256", Material: ecKey(t)},
			{Purpose: account.NonceKey, Material: material(name[0], 32)},
			{Purpose: account.ManagementKey, Alg: "HS256", Material: material('m', 64)},
		},
		Domains: []account.Domain{
			{Name: "api.example.com", Pins: []string{"pin-a"}},
			{Name: "demo.example.com"},
			{Name: "ec.example.com", KeyID: "e1"},
			{Name: "open.example.com", Format: account.None},
			{Name: "secret.example.com", Format: account.JWE},
		},
		Registrations: []account.Registration{
			{Digest: digestOf("app 2"), Package: appName, Version: "2.0[3]", Library: libraryA},
			{Digest: digestOf("app 1"), Package: appName, Version: "1.0", Library: libraryA, Expires: start.Add(time.Hour)},
			{Digest: digestOf("other"), Package: otherApp, Version: "1.0", Library: libraryB},
		},
		Libraries: []account.Library{
			{ID: libraryA, Platform: "Go", Version: "1.0.0", Key: material('a', 16)},
			{ID: libraryB, Platform: "Go", Version: "1.0.0", Key: material('b', 16)},
		},
	}
}

// rig is a server over a store in memory, with a clock that stands still.
type rig struct {
	*Server
	t        testing.TB
	store    *memory
	log      *bytes.Buffer
	registry *prometheus.Registry
	mu       sync.Mutex // guards now
	now      time.Time
}

func newRig(t testing.TB, change func(o *Options, a *account.Account)) *rig {
	t.Helper()
	a := testAccount(t, "acme")
	r := &rig{t: t, log: &bytes.Buffer{}, registry: prometheus.NewRegistry(), now: start}
	o := Options{Now: r.clock, Log: slog.New(slog.NewJSONHandler(r.log, nil)), Metrics: r.registry, Version: "test"}
	if change != nil {
		change(&o, a)
	}
	if o.Store == nil {
		r.store = newMemory(a, testAccount(t, "other"))
		o.Store = r.store
	}
	var err error
	if r.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	r.refresh()
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) refresh() {
	r.t.Helper()
	if err := r.Refresh(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// change changes the account, and has the server see it.
func (r *rig) change(change func(a *account.Account)) {
	r.t.Helper()
	r.store.change("acme", change)
	r.refresh()
}

// ask sends a request to the server.
func (r *rig) ask(method, path string, body []byte, change func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, bytes.NewReader(body))
	request.RemoteAddr = "192.0.2.7:4711"
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(request)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	if err := r.afterwards.wait(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	return w
}

func (r *rig) post(path string, message any) *httptest.ResponseRecorder {
	r.t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.ask(http.MethodPost, path, body, nil)
}

// nonce asks for one.
func (r *rig) nonce(accountName, did string) string {
	r.t.Helper()
	w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: accountName, Library: libraryA, DeviceID: did})
	if w.Code != http.StatusOK {
		r.t.Fatalf("challenge: got %d %s, want 200", w.Code, w.Body)
	}
	var answer attestapi.ChallengeResponse
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Nonce
}

// attempt is an attestation as an app makes it, and what a test spoils of it.
type attempt struct {
	request attestapi.AttestRequest
	digest  [32]byte
	key     []byte                   // of the library
	edit    func(body []byte) []byte // after the MAC was made
	header  func(h http.Header)
}

// genuine is what the registered app sends.
func (r *rig) genuine(nonce string) attempt {
	fingerprint, err := issue.KeyFingerprint(r.Account("acme"))
	if err != nil {
		r.t.Fatal(err)
	}
	return attempt{
		request: attestapi.AttestRequest{
			Version: 1, Account: "acme", Nonce: nonce, ConfigKey: fingerprint, ConfigVersion: 5, RulesVersion: 1,
			Library: attestapi.LibraryRef{ID: libraryA, Platform: "Go", Version: "1.0.0"},
			App:     attestapi.App{Package: appName, Version: "2.0[3]"}, DeviceID: deviceA,
		},
		digest: digestOf("app 2"), key: bytes.Repeat([]byte{'a'}, 16),
	}
}

// answered is an answer, taken apart.
type answered struct {
	*httptest.ResponseRecorder
	attestapi.AttestResponse
	mac string // of the request
}

func (r *rig) send(a attempt) answered {
	r.t.Helper()
	if a.request.App.Measurement == "" {
		a.request.App.Measurement = attestapi.Measurement(a.request.Nonce, a.digest)
	}
	body, err := json.Marshal(a.request)
	if err != nil {
		r.t.Fatal(err)
	}
	mac := attestapi.RequestMAC(a.key, a.request.Nonce, a.request.DeviceID, body)
	if a.edit != nil {
		body = a.edit(body)
	}
	w := r.ask(http.MethodPost, attestapi.PathAttest, body, func(request *http.Request) {
		request.Header.Set(attestapi.HeaderMAC, mac)
		if a.header != nil {
			a.header(request.Header)
		}
	})
	out := answered{ResponseRecorder: w, mac: mac}
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &out.AttestResponse); err != nil {
			r.t.Fatal(err)
		}
	}
	return out
}

// verdict says whether an answer's tokens are good, all or none, and what the one for the API says.
func (r *rig) verdict(a answered) (good bool, claims map[string]any) {
	r.t.Helper()
	if a.Code != http.StatusOK {
		r.t.Fatalf("got %d %s, want 200", a.Code, a.Body)
	}
	if len(a.Tokens) != 4 {
		r.t.Errorf("got %d tokens, want one for each of 4 domains", len(a.Tokens))
	}
	account := r.Account("acme")
	for domain, token := range a.Tokens {
		checked := issue.Check(account, token.Text, r.clock())
		if domain == "api.example.com" {
			good = checked.Valid
			if err := json.Unmarshal([]byte(checked.Claims), &claims); err != nil {
				r.t.Fatalf("claims %q: %v", checked.Claims, err)
			}
		}
	}
	for domain, token := range a.Tokens {
		if got := issue.Check(account, token.Text, r.clock()).Valid; got != good {
			r.t.Errorf("%s: got valid %v, want %v like the others", domain, got, good)
		}
	}
	return good, claims
}

// anno are the annotations of an answer's tokens, in their order.
func anno(claims map[string]any) string {
	list, _ := claims["anno"].([]any)
	var all []string
	for _, one := range list {
		all = append(all, one.(string))
	}
	return strings.Join(all, " ")
}

var errGone = errors.New("the database has gone")

// failing is randomness that has run out.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
