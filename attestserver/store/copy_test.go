package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// both is what Copy reads and writes.
type both interface {
	store.Store
	store.Target
}

func openSQLite(t *testing.T, folder string, key byte) both {
	t.Helper()
	s, err := sqlite.Open(t.Context(), folder, storetest.Sealer(t, key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openPostgres(t *testing.T, url string, key byte) both {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, storetest.Sealer(t, key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestCopy goes from SQLite to PostgreSQL and back, each under a key of its own.
func TestCopy(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	first, last := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "last")
	from := openSQLite(t, first, 1)
	fill(t, from)
	middle := openPostgres(t, url, 2)
	to := openSQLite(t, last, 3)
	copyAll(t, from, middle)
	copyAll(t, middle, to)
	wantSame(t, "in the middle", middle, from)
	wantSame(t, "at the end", to, from)

	if n, err := store.Copy(t.Context(), from, middle); n != 0 || !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("got %d, %v of a target with accounts, want %v", n, err, store.ErrNotEmpty)
	}
	if n, err := store.Copy(t.Context(), middle, to); n != 0 || !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("got %d, %v of a target with accounts, want %v", n, err, store.ErrNotEmpty)
	}
	// It is sealed under the target's key, and goes on there as accounts do.
	to.Close()
	if _, err := sqlite.Open(t.Context(), last, storetest.Sealer(t, 1)); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("got %v with the source's key, want %v", err, seal.ErrWrongKey)
	}
	again := openSQLite(t, last, 3)
	after, err := again.Change(t.Context(), "acme", touch("x"))
	if err != nil || after.Version != 1202 {
		t.Fatalf("got version %d, %v, want 1202", after.Version, err)
	}
	if entries, err := again.Audit(t.Context(), "acme", 0, 1); err != nil || entries[0].Sequence != 1202 {
		t.Errorf("got entry %d, %v, want 1202", entries[0].Sequence, err)
	}
}

func touch(action string) func(*account.Account) error {
	return func(a *account.Account) error {
		a.ConfigVersion++
		a.Entries = append(a.Entries, storetest.Note(action))
		return nil
	}
}

// fill makes accounts with a history of several pages.
func fill(t *testing.T, s both) {
	t.Helper()
	for _, name := range []string{"acme", "other"} {
		a := storetest.Small(name)
		a.Entries = []account.Entry{storetest.Note("create")}
		if err := s.Create(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1200 {
		if _, err := s.Change(t.Context(), "acme", touch(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func copyAll(t *testing.T, from, to both) {
	t.Helper()
	if n, err := store.Copy(t.Context(), from, to); err != nil || n != 2 {
		t.Fatalf("got %d accounts, %v, want 2", n, err)
	}
}

func wantSame(t *testing.T, where string, got, want store.Store) {
	t.Helper()
	g, _, gErr := got.Accounts(t.Context())
	w, _, wErr := want.Accounts(t.Context())
	if gErr != nil || wErr != nil || len(w) != 2 || !reflect.DeepEqual(g, w) {
		t.Errorf("%s: got %d accounts, %v, want those of the source, %v", where, len(g), gErr, wErr)
	}
	for _, a := range w {
		g, gErr := got.Audit(t.Context(), a.Name, 0, 10_000)
		w, wErr := want.Audit(t.Context(), a.Name, 0, 10_000)
		if gErr != nil || wErr != nil || len(w) != int(a.Version) || !reflect.DeepEqual(g, w) {
			t.Errorf("%s: got %d entries of %s, %v, want %d, %v", where, len(g), a.Name, gErr, len(w), wErr)
		}
	}
}

// moving changes an account whenever its audit log is read.
type moving struct{ both }

func (m moving) Audit(ctx context.Context, name string, before int64, limit int) ([]account.Entry, error) {
	if _, err := m.Change(ctx, name, touch("moved")); err != nil {
		return nil, err
	}
	return m.both.Audit(ctx, name, before, limit)
}

func TestACopyOfWhatMoves(t *testing.T) {
	from := openSQLite(t, filepath.Join(t.TempDir(), "from"), 1)
	if err := from.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]both{
		"SQLite":     openSQLite(t, filepath.Join(t.TempDir(), "to"), 1),
		"PostgreSQL": openPostgres(t, pgtest.Shared(t).Database(t), 1),
	} {
		if _, err := store.Copy(t.Context(), moving{from}, to); !errors.Is(err, store.ErrMoving) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrMoving)
		}
		if all, _, err := to.Accounts(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%s: got %d accounts, %v, want none of a copy that failed", name, len(all), err)
		}
		if n, err := store.Copy(t.Context(), from, to); err != nil || n != 1 {
			t.Errorf("%s: got %d accounts, %v, want 1 when nothing moves", name, n, err)
		}
	}
}
