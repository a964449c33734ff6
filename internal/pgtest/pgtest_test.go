package pgtest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func query(t testing.TB, url, sql string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	var got string
	if err := c.QueryRow(t.Context(), sql).Scan(&got); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return got
}

func TestDatabase(t *testing.T) {
	s := pgtest.Shared(t)
	one, two := s.Database(t), s.Database(t)
	if pgtest.Shared(t) != s {
		t.Error("got another server, want one for the process")
	}
	query(t, one, "CREATE TABLE things (name TEXT)")
	if got := query(t, two, "SELECT count(*)::text FROM pg_tables WHERE tablename = 'things'"); got != "0" {
		t.Errorf("got %s tables in another database, want none", got)
	}
	for setting, want := range map[string]string{"fsync": "off", "listen_addresses": "", "server_encoding": "UTF8"} {
		if got := query(t, one, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
	query(t, one, "INSERT INTO things VALUES ('found on the disk')")
	if !strings.Contains(string(s.Bytes(t, one)), "found on the disk") {
		t.Error("got no trace of a row on the disk")
	}
}

// What is measured is measured with a disk that is waited for, also where tests have run before.
func TestBenchmarksWaitForTheDisk(t *testing.T) {
	tests, got := pgtest.Shared(t), ""
	testing.Benchmark(func(b *testing.B) {
		if s := pgtest.Shared(b); s != tests {
			got = query(b, s.URL("postgres"), "SELECT current_setting('fsync')")
		}
	})
	if got != "on" {
		t.Errorf("fsync: got %q, want on", got)
	}
}

func TestRestart(t *testing.T) {
	s := pgtest.Own(t)
	url := s.Database(t)
	query(t, url, "CREATE TABLE things (name TEXT)")
	query(t, url, "INSERT INTO things VALUES ('kept')")
	idle, err := pgx.Connect(t.Context(), url) // a process of the server's that lives when it is killed
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close(context.Background())
	s.Kill()
	if c, err := pgx.Connect(t.Context(), url); err == nil {
		c.Close(t.Context())
		t.Error("got a connection to a server that was killed, want an error")
	}
	if err := idle.Ping(t.Context()); err == nil {
		t.Error("got an answer from a server that was killed, want an error")
	}
	s.Kill() // once more does no harm
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, url, "SELECT name FROM things"); got != "kept" {
		t.Errorf("got %q, want what was committed", got)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	var folder string
	t.Run("a server of its own", func(t *testing.T) {
		url := pgtest.Own(t).URL("")
		_, folder, _ = strings.Cut(url, "host=")
		folder = strings.ReplaceAll(folder, "%2F", "/")
		if _, err := os.Stat(folder); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %s removed", err, folder)
	}
}
