package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/approovgate/approovgate/attestserver/store/storetest"
)

// A folder of the program before failed attestations were kept, as that program has filled it.
func TestAFolderOfThePreviousProgram(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"accounts", "nonces"} {
		text, err := os.ReadFile("testdata/schema1/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(folder, name+".db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Upgraded(t, database(folder))
}

// Failed attestations may be deleted while no process uses them.
func TestAFolderWithoutFailures(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s := open(t, folder)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "failures.db")); err != nil {
		t.Fatal(err)
	}
	if all, _, err := open(t, folder).Accounts(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("got %d accounts, %v, want 1", len(all), err)
	}
}
