package manage_test

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/manage"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
)

// snapshot are the accounts of a real store, as a node of the service keeps them.
type snapshot struct {
	store *sqlite.Store

	mu  sync.Mutex // guards the field below
	all map[string]*account.Account
}

func (s *snapshot) refresh(ctx context.Context) error {
	accounts, _, err := s.store.Accounts(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = map[string]*account.Account{}
	for _, a := range accounts {
		s.all[a.Name] = a
	}
	return nil
}

func (s *snapshot) Account(name string) *account.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[name]
}

func (s *snapshot) Ready() error { return nil }

// onSQLite puts a rig's account into a SQLite database and the rig on top of it.
func onSQLite(t *testing.T) (*rig, *snapshot) {
	t.Helper()
	r := newRig(t)
	key, err := seal.NewKey(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(t.Context(), t.TempDir(), seal.New(key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := st.Create(t.Context(), r.store.now()); err != nil {
		t.Fatal(err)
	}
	s := &snapshot{store: st}
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.api = manage.New(manage.Options{
		Store: st, Accounts: s, Refresh: s.refresh, Now: func() time.Time { return r.at }, Version: "1.2.3",
		Rates: manage.Rates{Token: 1e6, TokenBurst: 1e6, Address: 1e6, AddressBurst: 1e6},
	})
	return r, s
}

var _ http.Handler = (*manage.API)(nil)
