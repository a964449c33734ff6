package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/approovgate/approovgate/attestserver/account"
)

// ErrNotEmpty is returned by Copy for a target with accounts, ErrMoving for accounts that change while they are read.
var (
	ErrNotEmpty = errors.New("store: there are accounts in the database that should be copied to; use an empty one")
	ErrMoving   = errors.New("store: the accounts were changed while they were copied; stop the servers that use the database, and copy again")
)

// Target is a Store that Copy can fill; both dialects are.
type Target interface {
	// Import has fill write accounts, all or nothing. It returns ErrNotEmpty if there are any.
	Import(ctx context.Context, fill func(context.Context, Writer) error) error
}

// Writer takes accounts as they are, with their versions and their entries' numbers. Audit wants the account first.
type Writer interface {
	Account(ctx context.Context, a *account.Account) error
	Audit(ctx context.Context, name string, entries []account.Entry) error
}

const copyPage = 500 // entries of the audit log

// Copy writes all accounts and their audit logs into an empty database, sealed under its key, and returns how many
// accounts there were. Failed attestations are not copied: what is asked about them is of the last days. Used nonces
// are not either: give the accounts new nonce keys before a server starts on the copy (see account.RenewNonceKey).
func Copy(ctx context.Context, from Store, to Target) (accounts int, err error) {
	err = to.Import(ctx, func(ctx context.Context, w Writer) error {
		all, generation, err := from.Accounts(ctx)
		if err != nil {
			return err
		}
		for _, a := range all {
			if err := w.Account(ctx, a); err != nil {
				return fmt.Errorf("account %s: %w", a.Name, err)
			}
			if err := copyAudit(ctx, from, w, a.Name); err != nil {
				return fmt.Errorf("audit log of account %s: %w", a.Name, err)
			}
		}
		accounts = len(all)
		now, err := from.Generation(ctx)
		if err == nil && now != generation {
			err = ErrMoving
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return accounts, nil
}

func copyAudit(ctx context.Context, from Store, w Writer, name string) error {
	for before := int64(0); ; {
		page, err := from.Audit(ctx, name, before, copyPage)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := w.Audit(ctx, name, page); err != nil {
			return err
		}
		if before = page[len(page)-1].Sequence; before <= 1 {
			return nil
		}
	}
}
