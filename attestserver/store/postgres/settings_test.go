package postgres_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"github.com/approovgate/approovgate/internal/pgtest"
)

func TestChangesAreNotified(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	one, two := open(t, url), open(t, url)
	hear := func(what string, s *postgres.Store) {
		t.Helper()
		select {
		case <-s.Changed():
		case <-time.After(outageTime):
			t.Fatalf("%s: got no notification within %v", what, outageTime)
		}
	}
	hear("connected", one) // something may have been missed before
	hear("connected", two)
	if err := one.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	hear("created elsewhere", two)
	hear("created here", one)
	if err := change(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	hear("changed elsewhere", one)
	hear("changed here", two)
	if err := two.Close(); err != nil {
		t.Error(err)
	}
	if _, open := <-two.Changed(); open {
		t.Error("got a notification of a store that is closed, want the channel closed")
	}
}

func TestWhatOpenRefuses(t *testing.T) {
	server := pgtest.Shared(t)
	newer := server.Database(t)
	open(t, newer).Close()
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
	for name, row := range map[string]struct{ url, part string }{
		"a newer database":             {newer, "its schema has version 99, and this program knows versions up to 2"},
		"what is no URL":               {"postgres://u:pass-word-1@host:port/x", "cannot parse"},
		"words that are no connection": {"host=x password=pass-word-1 port=y", "cannot parse"},
		"a database that is not there": {server.URL("none"), `database "none" does not exist`},
		"a host that is not there":     {"postgres://u:pass-word-1@127.0.0.1:1/x?connect_timeout=100", "refused"},
		"another key than was used":    {server.Database(t), ""},
	} {
		began := time.Now()
		if row.part == "" {
			open(t, row.url).Close()
			row.part = "another key"
		}
		s, err := postgres.Open(t.Context(), row.url, storetest.Sealer(t, 2))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), row.part) || strings.Contains(err.Error(), "pass-word-1") {
			t.Errorf("%s: got %v, want an error with %q and without the password", name, err, row.part)
		}
		if took := time.Since(began); took > outageTime {
			t.Errorf("%s: got an error after %v, want it soon", name, took)
		}
	}
}

func TestAFreshDatabaseOpenedByManyAtOnce(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			s, err := postgres.Open(t.Context(), url, storetest.Sealer(t, 1))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Generation(t.Context()); err != nil {
				t.Error(err)
			}
			s.Close()
		})
	}
	running.Wait()
}

// A database whose owner has chosen the strictest isolation and the laxest durability keeps accounts all the same.
func TestADatabaseWithSettingsOfItsOwn(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	name := url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")]
	for _, setting := range []string{"default_transaction_isolation = 'serializable'", "synchronous_commit = off", "standard_conforming_strings = off", "timezone = 'Asia/Kathmandu'", "datestyle = 'German'", "bytea_output = 'escape'"} {
		execute(t, url, "ALTER DATABASE "+name+" SET "+setting)
	}
	stores := []*postgres.Store{open(t, url), open(t, url)}
	if err := stores[0].Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	wins := map[byte]int{}
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			for i := range 10 {
				if err := change(t.Context(), stores[g%2]); err != nil {
					t.Error(err)
				}
				both := []store.Nonce{{ID: [16]byte{byte(i)}, Until: time.Unix(1, 0)}, {ID: [16]byte{byte(i + 10)}, Until: time.Unix(1, 0)}}
				if g%4 < 2 {
					slices.Reverse(both)
				}
				fresh, err := stores[g%2].Consume(t.Context(), both)
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				for n := range both {
					if fresh[n] {
						wins[both[n].ID[0]]++
					}
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	for n := range byte(20) {
		if wins[n] != 1 {
			t.Errorf("got nonce %d fresh %d times, want once", n, wins[n])
		}
	}
	all, _, err := stores[0].Accounts(t.Context())
	if err != nil || all[0].ConfigVersion != 81 || !all[0].Created.Equal(storetest.Small("").Created) {
		t.Errorf("got count %d, created %v, %v, want 81, %v", all[0].ConfigVersion, all[0].Created, err, storetest.Small("").Created)
	}
}
