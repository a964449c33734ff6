package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"github.com/approovgate/approovgate/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, storetest.Sealer(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func execute(t testing.TB, url, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// change makes a change that anyone may make again.
func change(ctx context.Context, s store.Store) error {
	_, err := s.Change(ctx, "acme", func(a *account.Account) error {
		a.ConfigVersion++
		a.Entries = append(a.Entries, storetest.Note("x"))
		return nil
	})
	return err
}

// asks are all that a server asks of its store.
func asks(s store.Store, nonce byte) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Generation": func(ctx context.Context) error { _, err := s.Generation(ctx); return err },
		"Accounts":   func(ctx context.Context) error { _, _, err := s.Accounts(ctx); return err },
		"Audit":      func(ctx context.Context) error { _, err := s.Audit(ctx, "acme", 0, 10); return err },
		"Create":     func(ctx context.Context) error { return s.Create(ctx, storetest.Small("other"+string(nonce))) },
		"Change":     func(ctx context.Context) error { return change(ctx, s) },
		"Consume": func(ctx context.Context) error {
			_, err := s.Consume(ctx, []store.Nonce{{ID: [16]byte{nonce}, Until: time.Unix(1, 0)}})
			return err
		},
		"Prune": func(ctx context.Context) error { _, err := s.Prune(ctx, time.Unix(0, 0)); return err },
	}
}

// outageTime is the longest that a machine which does other things may take to tell of an outage. It takes 2 s by itself.
const outageTime = 20 * time.Second

// wantOutage wants an error of everything, all asked at once, before the caller loses patience.
func wantOutage(t *testing.T, s store.Store) {
	t.Helper()
	var asking sync.WaitGroup
	for name, ask := range asks(s, 'o') {
		asking.Go(func() {
			began := time.Now()
			err := ask(t.Context())
			if took := time.Since(began); err == nil || took > outageTime || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v after %v, want an error of the database within %v", name, err, took, outageTime)
			}
		})
	}
	asking.Wait()
}

// wantRecovery wants that everything works again soon, by itself.
func wantRecovery(t *testing.T, s store.Store) {
	t.Helper()
	for name, ask := range asks(s, 'r') {
		tries := 0
		for err := ask(t.Context()); err != nil; err = ask(t.Context()) {
			if tries++; tries == 20 {
				t.Fatalf("%s: got %v twenty times, want it to work again", name, err)
			}
		}
		if tries > 3 {
			t.Errorf("%s: got %d errors before it worked again, want few", name, tries)
		}
	}
}

func TestADatabaseThatIsKilledAndComesBack(t *testing.T) {
	server := pgtest.Own(t)
	url := server.Database(t)
	s := open(t, url)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	used := []store.Nonce{{ID: [16]byte{1}, Until: time.Now().Add(time.Hour)}}
	if fresh, err := s.Consume(t.Context(), used); err != nil || !fresh[0] {
		t.Fatalf("got %v, %v, want a fresh nonce", fresh, err)
	}
	drain(s)
	server.Kill()
	wantOutage(t, s)
	if _, err := postgres.Open(t.Context(), url, storetest.Sealer(t, 1)); err == nil {
		t.Error("got a store upon a database that is gone, want an error")
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	wantRecovery(t, s)
	if fresh, err := s.Consume(t.Context(), used); err != nil || fresh[0] {
		t.Errorf("got %v, %v after a crash, want a used nonce", fresh, err)
	}
	// The listener has connected again: it hears of changes that another server makes.
	<-s.Changed()
	other := open(t, url)
	for heard := false; !heard; {
		drain(s)
		if err := change(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Changed():
			heard = true
		case <-time.After(outageTime):
			t.Fatalf("got no notification within %v, want one", outageTime)
		}
	}
}

func TestADatabaseThatHangs(t *testing.T) {
	server := pgtest.Own(t)
	s := open(t, server.Database(t))
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	wantOutage(t, s)
	server.Resume()
	wantRecovery(t, s)
	all, _, err := s.Accounts(t.Context())
	if err != nil || len(all) < 2 {
		t.Errorf("got %d accounts, %v, want those from before and after", len(all), err)
	}
}

// Who holds a lock for long makes others fail in time, and they leave nothing behind.
func TestAnAccountThatIsLocked(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	s := open(t, url)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	holding, free, held := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, err := s.Change(context.Background(), "acme", func(a *account.Account) error {
			close(holding)
			<-free
			a.ConfigVersion++
			a.Entries = append(a.Entries, storetest.Note("x"))
			return nil
		})
		held <- err
	}()
	<-holding
	began := time.Now()
	if err := change(t.Context(), s); err == nil || !strings.Contains(err.Error(), "lock timeout") || time.Since(began) < 5*time.Second || time.Since(began) > 2*outageTime {
		t.Errorf("got %v after %v, want patience, and an error of the database within %v", err, time.Since(began), 2*outageTime)
	}
	if fresh, err := s.Consume(t.Context(), []store.Nonce{{}}); err != nil || !fresh[0] {
		t.Errorf("got %v, %v meanwhile, want a fresh nonce", fresh, err)
	}
	if all, _, err := s.Accounts(t.Context()); err != nil || all[0].ConfigVersion != 1 {
		t.Errorf("got %v meanwhile, want the account as it was", err)
	}
	close(free)
	if err := <-held; err != nil {
		t.Error(err)
	}
	if err := change(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func drain(s store.Store) {
	select {
	case <-s.Changed():
	default:
	}
}
