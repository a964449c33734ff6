package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Exists reports whether a folder holds a database, or one that cannot be looked at. Open makes one that is missing.
func Exists(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, accountsFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// Backup writes all accounts and their audit logs, as they are at one moment, into a database file that is not there
// yet, readable by its owner alone; servers go on meanwhile. To use it, put it into an empty folder as accounts.db.
// Keys stay sealed in it: keep the sealing key as well, elsewhere. Used nonces are not in it, because they have
// expired when a backup is used.
func (s *Store) Backup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	defer f.Close()
	_, err = s.accounts.ExecContext(ctx, `VACUUM INTO $1`, path)
	if err == nil {
		err = f.Sync() // the same file: SQLite fills one that is empty
	}
	if err != nil {
		_ = os.Remove(path) // half a backup is none
		return fmt.Errorf("sqlite: backup to %s: %w", path, err)
	}
	return nil
}
