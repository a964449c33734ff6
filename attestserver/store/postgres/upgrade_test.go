package postgres_test

import (
	"os"
	"testing"

	"github.com/approovgate/approovgate/attestserver/store/storetest"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// A database of the program before failed attestations were kept, as pg_dump wrote what that program had filled.
func TestADatabaseOfThePreviousProgram(t *testing.T) {
	text, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.Shared(t)
	url := server.Database(t)
	execute(t, url, string(text))
	storetest.Upgraded(t, database(server, url))
}
