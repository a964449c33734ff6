package tables

import (
	"context"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Import is what Import of a dialect does within a transaction, in which nobody else adds accounts.
func Import(ctx context.Context, tx Tx, seal store.Sealer, fill func(context.Context, store.Writer) error) error {
	_, there, err := number(ctx, tx, readAny)
	if err != nil {
		return err
	}
	if there {
		return store.ErrNotEmpty
	}
	if err := fill(ctx, writer{tx, seal}); err != nil {
		return err
	}
	return tx.Run(ctx, []Statement{{SQL: nextGeneration}})
}

type writer struct {
	tx   Tx
	seal store.Sealer
}

func (w writer) Account(ctx context.Context, a *account.Account) error {
	return insert(ctx, w.tx, w.seal, normal(a.Clone()))
}

func (w writer) Audit(ctx context.Context, name string, entries []account.Entry) error {
	var all []Statement
	for _, e := range entries {
		s, err := entry(name, e)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	return w.tx.Run(ctx, all)
}

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
