// Package schema brings a database to the schema that the program knows, and refuses one that is newer. Migrations
// only ever go up: the way back is a backup.
package schema

import (
	"context"
	"fmt"

	"github.com/pressly/goose/v3"
)

// Up applies the migrations that are missing.
func Up(ctx context.Context, migrations *goose.Provider) error {
	current, known, err := migrations.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if current > known {
		return &NewerError{Found: current, Known: known}
	}
	if _, err := migrations.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema from version %d to %d: %w", current, known, err)
	}
	return nil
}

// NewerError says that the database was made by a newer version of the program.
type NewerError struct{ Found, Known int64 }

func (e *NewerError) Error() string {
	return fmt.Sprintf("its schema has version %d, and this program knows versions up to %d: start the newer program that has made it, or restore the backup from before", e.Found, e.Known)
}
