package attestd

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
)

// backup is the command backup.
func backup(ctx context.Context, o options, c *console) error {
	st, err := o.open(ctx, false, c)
	if err != nil {
		return err
	}
	if err := st.(*sqlite.Store).Backup(ctx, o.file); err != nil {
		return errors.Join(err, st.Close())
	}
	c.say("written to %s; the sealing key (%s) is not in it: keep both, apart from each other", o.file, o.key)
	return st.Close()
}

// copyTo is the command copy.
func copyTo(ctx context.Context, o options, c *console) error {
	from, err := o.open(ctx, false, c)
	if err != nil {
		return err
	}
	reference := o.key
	if o.toKey != "" {
		reference = o.toKey
	}
	key, err := o.readKey(reference, c)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	to, err := postgres.Open(ctx, o.to, seal.New(key))
	if err != nil {
		return errors.Join(err, from.Close())
	}
	copied, err := store.Copy(ctx, from, to)
	if err == nil {
		err = renewNonceKeys(ctx, to)
	}
	if err == nil {
		c.say("accounts copied: %d; start the service with --db from now on, and --key %s", copied, reference)
	}
	return errors.Join(err, to.Close(), from.Close())
}

// renewNonceKeys makes all nonces void that were handed out before: a copy does not know which of them are spent.
func renewNonceKeys(ctx context.Context, st store.Store) error {
	all, _, err := st.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if _, err := st.Change(ctx, a.Name, func(a *account.Account) error { return a.RenewNonceKey(time.Now(), rand.Reader) }); err != nil {
			return err
		}
	}
	return nil
}
