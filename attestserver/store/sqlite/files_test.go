package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
)

func open(t testing.TB, folder string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), folder, storetest.Sealer(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "some", "data")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "accounts.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Consume(t.Context(), []store.Nonce{{}}); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, file.Name())
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, want 0600", file.Name(), info.Mode())
		}
	}
	if want := []string{"accounts.db", "accounts.db-shm", "accounts.db-wal", "failures.db", "failures.db-shm", "failures.db-wal", "nonces.db", "nonces.db-shm", "nonces.db-wal"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got files %q, want %q", names, want)
	}
	made := filepath.Join(t.TempDir(), "a", "b")
	open(t, made)
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got folder mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestFoldersOfAnyName(t *testing.T) {
	for _, name := range []string{"with space", "q?mode=memory&x=y", "per%20cent", "ha#sh", "ünïcode", "a'b\"c"} {
		folder := filepath.Join(t.TempDir(), name)
		s := open(t, folder)
		if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(filepath.Join(folder, "accounts.db")); err != nil || info.Size() == 0 && name == "" {
			t.Errorf("%s: got %v, want the database in it", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if all, _, err := open(t, folder).Accounts(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%s: got %d accounts, %v, want 1", name, len(all), err)
		}
	}
}

func TestWhatOpenRefuses(t *testing.T) {
	root := t.TempDir()
	folder := func(name string, prepare func(path string) error) string {
		path := filepath.Join(root, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := func(file string) func(string) error {
		return func(path string) error {
			open(t, path).Close()
			db, err := sql.Open("sqlite", filepath.Join(path, file))
			if err != nil {
				return err
			}
			defer db.Close()
			_, err = db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
			return err
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		ctx          context.Context
		folder, part string
	}{
		"a newer database":             {t.Context(), folder("newer", newer("accounts.db")), "accounts.db: its schema has version 99, and this program knows versions up to 1: start the newer program"},
		"newer nonces":                 {t.Context(), folder("nonces", newer("nonces.db")), "nonces.db: its schema has version 99"},
		"newer failures":               {t.Context(), folder("failures", newer("failures.db")), "failures.db: its schema has version 99, and this program knows versions up to 1: start the newer program that has made it, or restore the backup from before; the file may be deleted"},
		"a folder others may write to": {t.Context(), folder("open", func(path string) error { return os.Chmod(path, 0o770) }), "chmod 700"},
		"what is no folder": {t.Context(), folder("file", func(path string) error {
			return os.WriteFile(filepath.Join(path, "x"), nil, 0o600)
		}) + "/x", "cannot be made"},
		"a context that has ended": {ended, folder("ended", func(string) error { return nil }), "context canceled"},
	} {
		s, err := sqlite.Open(row.ctx, row.folder, storetest.Sealer(t, 1))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), row.part) {
			t.Errorf("%s: got %v, want an error with %q", name, err, row.part)
		}
	}
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "accounts.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), folder, storetest.Sealer(t, 1)); err == nil || !strings.Contains(err.Error(), "not a database") {
		if err == nil {
			s.Close()
		}
		t.Errorf("got %v, want an error", err)
	}
}

func TestAFreshFolderOpenedByManyAtOnce(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			s, err := sqlite.Open(t.Context(), folder, storetest.Sealer(t, 1))
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

func TestBackup(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s := open(t, folder)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if err := os.Mkdir(restored, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(restored, "accounts.db")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	if text, err := os.ReadFile(file); err != nil || bytes.Contains(text, []byte("token secret")) || !bytes.Contains(text, []byte("com.example")) {
		t.Errorf("got a backup of %d bytes, %v, want accounts in it and no secrets in clear", len(text), err)
	}
	if err := s.Backup(t.Context(), file); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("got %v over a file that is there, want an error", err)
	}
	if err := s.Backup(t.Context(), filepath.Join(folder, "accounts.db")); err == nil {
		t.Error("got a backup over the database itself, want an error")
	}
	want, generation, err := s.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := open(t, restored)
	if got, n, err := from.Accounts(t.Context()); err != nil || n != generation || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d accounts of generation %d, %v, want those of the backup", len(got), n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), filepath.Join(restored, "none.db")); err == nil {
		t.Error("got a backup of a store that is closed, want an error")
	}
	if _, err := os.Stat(filepath.Join(restored, "none.db")); err == nil {
		t.Error("got a file left of a backup that failed, want none")
	}
}
