package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(filepath.Join(t.TempDir(), "data")) })
}

// database is a folder as storetest wants it.
func database(folder string) storetest.Database {
	return storetest.Database{
		Open: func(ctx context.Context, seal store.Sealer) (store.Store, error) {
			s, err := sqlite.Open(ctx, folder, seal)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Bytes: func(t *testing.T) []byte {
			files, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			var all []byte
			for _, file := range files {
				text, err := os.ReadFile(filepath.Join(folder, file.Name()))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text...)
			}
			return all
		},
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Store { return open(b, filepath.Join(b.TempDir(), "data")) })
}
