// Package postgres keeps accounts in postgres: see package store.
package postgres

import (
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/pressly/goose/v3"
)
