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
