package tables

import (
	"context"
	"fmt"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

const (
	insertAccount = `
INSERT INTO account (name, version, created, config_version, policy_rules, policy_rejection, policy_annotation,
	ip_tracking, grace_nanoseconds, demo_domain, network_primary, network_failover, network_pins)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (name) DO NOTHING
RETURNING name`

	updateAccount = `
UPDATE account SET version = $2, created = $3, config_version = $4, policy_rules = $5, policy_rejection = $6,
	policy_annotation = $7, ip_tracking = $8, grace_nanoseconds = $9, demo_domain = $10, network_primary = $11,
	network_failover = $12, network_pins = $13
WHERE name = $1`

	readAccounts = `
SELECT name, version, created, config_version, policy_rules, policy_rejection, policy_annotation, ip_tracking,
	grace_nanoseconds, demo_domain, network_primary, network_failover, network_pins
FROM account`

	// ReadGeneration is what Generation asks.
	ReadGeneration = `SELECT value FROM generation`
	nextGeneration = `UPDATE generation SET value = value + 1`
)

// accountRow is the row of the account itself, without name and version.
func accountRow(a *account.Account) row {
	p := a.Policy
	return row{a.Created, a.ConfigVersion, p.Rules, string(p.Rejection), string(p.Annotation), string(a.IPTracking),
		int64(a.Grace), a.DemoDomain, a.Network.Primary, a.Network.Failover, a.Network.Pins}
}

func accountArguments(a *account.Account) ([]any, error) {
	args := []any{a.Name, a.Version}
	for _, value := range append(row{a.Name}, accountRow(a)...) {
		encoded, err := encode(value)
		if err != nil {
			return nil, fmt.Errorf("store: account %.60q: %w", a.Name, err)
		}
		args = append(args, encoded)
	}
	return append(args[:2], args[3:]...), nil // the name was there to be checked
}

// Accounts are all accounts and the generation they are of, if the transaction sees one state of the database.
func Accounts(ctx context.Context, tx Tx, seal store.Sealer) ([]*account.Account, int64, error) {
	generation, err := Generation(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	all, err := load(ctx, tx, seal, "")
	return all, generation, err
}

// Generation is the number of changes to accounts.
func Generation(ctx context.Context, tx Tx) (int64, error) {
	generation, _, err := number(ctx, tx, ReadGeneration)
	return generation, err
}

// read is one account.
func read(ctx context.Context, tx Tx, seal store.Sealer, name string) (*account.Account, error) {
	if name == "" {
		return nil, store.ErrNotFound
	}
	all, err := load(ctx, tx, seal, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, store.ErrNotFound
	}
	return all[0], nil
}

// load reads the account of a name, or all if it is empty.
func load(ctx context.Context, tx Tx, seal store.Sealer, name string) ([]*account.Account, error) {
	all, err := loadAccounts(ctx, tx, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	byName := map[string]*account.Account{}
	for _, a := range all {
		byName[a.Name] = a
	}
	for _, t := range lists {
		if err := t.load(ctx, tx, seal, name, byName); err != nil {
			return nil, err
		}
	}
	by(all, func(a *account.Account) string { return a.Name })
	for _, a := range all {
		normal(a)
	}
	return all, nil
}

func loadAccounts(ctx context.Context, tx Tx, name string) ([]*account.Account, error) {
	sql, args := readAccounts, []any(nil)
	if name != "" {
		sql, args = sql+` WHERE name = $1`, []any{name}
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var all []*account.Account
	for rows.Next() {
		a := &account.Account{}
		p, n, grace := &a.Policy, &a.Network, int64(0)
		err := rows.Scan(&a.Name, &a.Version, moment{&a.Created}, &a.ConfigVersion, &p.Rules, &p.Rejection, &p.Annotation,
			&a.IPTracking, &grace, &a.DemoDomain, object{&n.Primary}, object{&n.Failover}, object{&n.Pins})
		if err != nil {
			rows.Close()
			return nil, fmt.Errorf("store: table account: %w", err)
		}
		a.Grace = time.Duration(grace)
		all = append(all, a)
	}
	return all, closed(rows)
}
