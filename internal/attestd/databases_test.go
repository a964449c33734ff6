package attestd_test

import (
	"path/filepath"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// database is one that the service can run on.
type database struct {
	name    string
	prepare func(testing.TB) (data string, flags []string) // an empty one
}

func databases() []database {
	return []database{
		{"SQLite", func(t testing.TB) (string, []string) { return t.TempDir(), nil }},
		{"PostgreSQL", func(t testing.TB) (string, []string) {
			return t.TempDir(), []string{"--db", pgtest.Shared(t).Database(t)}
		}},
	}
}

// change changes the account demo in the database of a service that does not run.
func (db database) change(t testing.TB, data string, flags []string, change func(*account.Account)) {
	t.Helper()
	key, _, err := seal.ReadKey("file:" + filepath.Join(data, "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	var st store.Store
	if len(flags) == 0 {
		st, err = sqlite.Open(t.Context(), data, seal.New(key))
	} else {
		st, err = postgres.Open(t.Context(), flags[1], seal.New(key))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Change(t.Context(), "demo", func(a *account.Account) error { change(a); return nil }); err != nil {
		t.Fatal(err)
	}
}
