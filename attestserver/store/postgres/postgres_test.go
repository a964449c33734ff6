package postgres_test

import (
	"context"
	"testing"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"github.com/approovgate/approovgate/internal/pgtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

func TestStore(t *testing.T) {
	server := pgtest.Shared(t)
	storetest.Run(t, func(t *testing.T) storetest.Database {
		return database(server, server.Database(t))
	})
}

// database is the database at a URL as storetest wants it.
func database(server *pgtest.Server, url string) storetest.Database {
	return storetest.Database{
		Open: func(ctx context.Context, seal store.Sealer) (store.Store, error) {
			s, err := postgres.Open(ctx, url, seal)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Bytes: func(t *testing.T) []byte { return server.Bytes(t, url) },
	}
}
