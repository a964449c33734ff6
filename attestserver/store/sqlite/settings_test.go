package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"

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
		"reads":    {s.reads, map[string]string{"query_only": "1"}},
	} {
		row.want["journal_mode"], row.want["synchronous"], row.want["foreign_keys"] = "wal", "2", "1"
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
