package tables

import (
	"context"

	"github.com/approovgate/approovgate/attestserver/store"
)

// sealedNote is the plain text by which CheckSeal knows the key again; it stands sealed in the table seal.
const sealedNote = "approovgate attestation server"

const (
	insertSeal = `INSERT INTO seal (one, text) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`
	readSeal   = `SELECT text FROM seal WHERE one = 1`
)

// CheckSeal sees to it that a database is used with the sealing key that it was made with: the first one to ask lays
// the key down.
func CheckSeal(ctx context.Context, tx Tx, seal store.Sealer) error {
	text, err := seal.Seal([]byte(sealedNote), "seal")
	if err != nil {
		return err
	}
	if err := tx.Run(ctx, []Statement{{insertSeal, []any{text}}}); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, readSeal)
	if err != nil {
		return err
	}
	if rows.Next() {
		err = rows.Scan(&text)
	}
	if failed := closed(rows); err == nil {
		err = failed
	}
	if err == nil {
		_, err = seal.Open(text, "seal")
	}
	return err
}
