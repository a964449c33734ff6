// Package sqlite keeps accounts in sqlite: see package store.
package sqlite

import (
	_ "github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"
)
