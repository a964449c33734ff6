package sqlite

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
)

func TestSettings(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), storetest.Sealer(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, row := range map[string]struct {
		db   *sql.DB
		want map[string]string
	}{
		"accounts": {s.accounts, map[string]string{"secure_delete": "1", "query_only": "0"}},
		"nonces":   {s.nonces, map[string]string{"query_only": "0"}},
		"failures": {s.failures, map[string]string{"query_only": "0", "synchronous": "1"}}, // may be lost with the machine
		"reads":    {s.reads, map[string]string{"query_only": "1"}},
	} {
		if row.want["synchronous"] == "" {
			row.want["synchronous"] = "2"
		}
		row.want["journal_mode"], row.want["foreign_keys"] = "wal", "1"
		row.want["busy_timeout"], row.want["trusted_schema"] = "5000", "0"
		for pragma, want := range row.want {
			var got string
			if err := row.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s: got %s, %v, want %s", name, pragma, got, err, want)
			}
		}
	}
	if _, err := s.reads.Exec("UPDATE generation SET value = 7"); err == nil {
		t.Error("got a write where only reading is meant, want an error")
	}
	if _, err := s.accounts.Exec("INSERT INTO device VALUES ('none', 'x', '', '', '', '', '')"); err == nil {
		t.Error("got a row of no account, want an error")
	}
}

// A bound on the file's pages stands in for a disk that is full: SQLite answers both alike.
func TestADiskThatIsFull(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), storetest.Sealer(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	bound := func(pages int) {
		t.Helper()
		for _, db := range []*sql.DB{s.accounts, s.nonces} {
			if _, err := db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var many []store.Nonce
	for n := range 10_000 {
		v := store.Nonce{}
		binary.BigEndian.PutUint64(v.ID[:], uint64(n))
		many = append(many, v)
	}
	grow := func(a *account.Account) error {
		a.Domains[0].Pins = []string{strings.Repeat("x", 1<<20)}
		a.Entries = append(a.Entries, storetest.Note("x"))
		return nil
	}
	bound(60)
	if _, err := s.Consume(t.Context(), many); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("Consume: got %v, want an error of the full disk", err)
	}
	if _, err := s.Change(t.Context(), "acme", grow); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("Change: got %v, want an error of the full disk", err)
	}
	if all, _, err := s.Accounts(t.Context()); err != nil || all[0].Version != 1 {
		t.Errorf("Accounts: got %v, want the account as it was", err)
	}
	bound(1 << 20)
	fresh, err := s.Consume(t.Context(), many)
	for n := range fresh {
		if !fresh[n] {
			t.Fatalf("got nonce %d used, want none marked by what failed", n)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := s.Change(t.Context(), "acme", grow); err != nil {
		t.Error(err)
	}
}
