package manage_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/manage"
	"github.com/approovgate/approovgate/attestserver/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memory keeps one account, for tests that judge HTTP. What real stores keep is proven with them.
type memory struct {
	mu      sync.Mutex // guards the fields below
	account *account.Account
	audit   []account.Entry
	down    error
}

func (m *memory) Change(_ context.Context, name string, change func(*account.Account) error) (*account.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	if m.account == nil || m.account.Name != name {
		return nil, store.ErrNotFound
	}
	after := m.account.Clone()
	if err := change(after); err != nil {
		return nil, err
	}
	entries := after.Entries
	after.Entries = nil
	if len(entries) == 0 {
		if !reflect.DeepEqual(after, m.account) {
			return nil, errors.New("the account has changed without an entry")
		}
		return after, nil
	}
	after.Version++
	for _, e := range entries {
		e.Sequence = int64(len(m.audit) + 1)
		m.audit = append(m.audit, e)
	}
	m.account = after
	return after.Clone(), nil
}

func (m *memory) Audit(_ context.Context, _ string, before int64, limit int) (page []account.Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.audit) - 1; i >= 0 && len(page) < limit; i-- {
		if before == 0 || m.audit[i].Sequence < before {
			page = append(page, m.audit[i])
		}
	}
	return page, m.down
}

// Account and Ready are what the server offers of its snapshot.
func (m *memory) Account(name string) *account.Account {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.account == nil || m.account.Name != name {
		return nil
	}
	return m.account
}

func (m *memory) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

func (m *memory) now() *account.Account { return m.Account("test-account").Clone() }

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rig is an API over one account, with tokens for all roles.
type rig struct {
	t                   testing.TB
	store               *memory
	api                 http.Handler
	admin, dev, gateway string
	log                 *lockedBuffer
	at                  time.Time
	problems            *lockedBuffer // every problem that was answered
}

func newRig(t testing.TB, change ...func(*manage.Options)) *rig {
	t.Helper()
	acc, tokens, err := account.New("test-account", nil, noon, account.Network{Primary: []string{"https://attest.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	acc.Version = 1
	by, err := acc.Verify(tokens.Admin(), noon)
	if err != nil {
		t.Fatal(err)
	}
	_, gateway, err := acc.AddToken(by, noon, nil, account.NewToken{Name: "edge", Role: account.Gateway, Lifetime: "1y"})
	if err != nil {
		t.Fatal(err)
	}
	acc.Entries = nil
	r := &rig{t: t, store: &memory{account: acc}, admin: tokens.Admin(), dev: tokens.Dev(), gateway: gateway, log: &lockedBuffer{}, problems: &lockedBuffer{}, at: noon}
	o := manage.Options{
		Store: r.store, Accounts: r.store, Now: func() time.Time { return r.at }, Version: "1.2.3",
		Log:   slog.New(slog.NewTextHandler(r.log, nil)),
		Rates: manage.Rates{Token: 1e6, TokenBurst: 1e6, Address: 1e6, AddressBurst: 1e6, Look: 1e6, LookBurst: 1e6},
		Served: func(_ context.Context, domain string) (attestapi.ServedPins, error) {
			return attestapi.ServedPins{Domain: domain, Certificates: []attestapi.ServedCertificate{{Pin: thePin, Expires: noon, Subject: "CN=" + domain}}}, nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	r.api = manage.New(o)
	t.Cleanup(func() { r.noSecrets(tokens.Admin(), tokens.Dev(), gateway) })
	return r
}

// noSecrets sees to it that neither the log nor a problem holds a secret of the account or a management token, in
// whatever form.
func (r *rig) noSecrets(texts ...string) {
	acc := r.store.now()
	for _, k := range acc.Keys {
		raw := k.Material.Bytes()
		texts = append(texts, string(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw))
	}
	for _, l := range acc.Libraries {
		texts = append(texts, base64.StdEncoding.EncodeToString(l.Key.Bytes()), hex.EncodeToString(l.Key.Bytes()))
	}
	texts = append(texts, "eyJ", importedSecret) // every token begins so
	for name, said := range map[string]string{"log": r.log.String(), "problems": r.problems.String()} {
		for _, text := range texts {
			if strings.Contains(said, text) {
				r.t.Errorf("the %s: it holds a secret: %.20s…", name, text)
			}
		}
	}
}

// importedSecret is a token secret that tests import: 64 bytes.
const importedSecret = "bW92ZWQgICBtb3ZlZCAgIG1vdmVkICAgbW92ZWQgICBtb3ZlZCAgIG1vdmVkICAgbW92ZWQgICBtb3ZlZCAgIA=="

// unchanged does something and sees to it that the account is as before.
func (r *rig) unchanged(name string, do func()) {
	r.t.Helper()
	before := r.store.now()
	do()
	if after := r.store.now(); !reflect.DeepEqual(after, before) {
		r.t.Errorf("%s: the account has changed:\n%+v\n%+v", name, before, after)
	}
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with a token; body is text as it is, or anything else as JSON.
func (r *rig) ask(token, method, target string, body any, header ...string) got {
	r.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	q := httptest.NewRequest(method, target, reader)
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, q)
	if w.Code >= 400 {
		fmt.Fprintln(r.problems, w.Body.String())
	}
	return got{w.Code, w.Header(), w.Body.String()}
}

// must asks and wants 200; the answer is read into out.
func (r *rig) must(token, method, target string, body, out any, header ...string) got {
	r.t.Helper()
	g := r.ask(token, method, target, body, header...)
	if g.status != http.StatusOK {
		r.t.Fatalf("%s %s: got %d %s, want 200", method, target, g.status, g.body)
	}
	if out != nil {
		reflect.ValueOf(out).Elem().SetZero()
		decoder := json.NewDecoder(strings.NewReader(g.body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(out); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, target, err, g.body)
		}
	}
	return g
}

// problem checks that an answer is a problem of a status and a code, with a part of its text.
func (g got) problem(t testing.TB, name string, status int, code, part string) {
	t.Helper()
	var p attestapi.Problem
	decoder := json.NewDecoder(strings.NewReader(g.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Errorf("%s: got %d %s, which is no problem: %v", name, g.status, g.body, err)
		return
	}
	if g.status != status || p.Status != status || p.Code != code || !strings.Contains(p.Detail, part) {
		t.Errorf("%s: got %d %s, want %d %s and %q in its detail", name, g.status, g.body, status, code, part)
	}
	if p.Title != http.StatusText(status) || p.Request == "" || p.Request != g.header.Get("Request-Id") || g.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: got title %q, rid %q and type %q", name, p.Title, p.Request, g.header.Get("Content-Type"))
	}
}
