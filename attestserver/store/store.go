// Package store says what keeping accounts means, for the packages that do it: store/sqlite and store/postgres.
// It owns the words of it, and storetest the proof: one suite that both must pass. It knows no rules of accounts.
//
// Start reading at Store.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
)

// ErrNotFound is returned for an account that is not there, ErrExists for one that is.
var (
	ErrNotFound = errors.New("store: no such account")
	ErrExists   = errors.New("store: there is such an account already")
)

// Store keeps accounts. It is what the consumers' own small interfaces add up to. What a method has returned without
// an error is kept, also if the process or the machine ends the moment after. All may be called at once from many
// goroutines and from several processes. Once closed a Store returns ErrClosed.
//
// Times are kept to the microsecond below and come back in UTC; lists come back in the order that package account
// gives them, keys in the order they were given, and empty ones as nil. What cannot be kept is an error: a time outside
// the years 1 to 9999, a text that is not UTF-8 or holds a NUL, and a name of more than 500 bytes.
type Store interface {
	// Generation changes whenever any account has changed. Asking is cheap.
	Generation(ctx context.Context) (int64, error)
	// Accounts are all accounts, whole, and the generation they are of.
	Accounts(ctx context.Context) ([]*account.Account, int64, error)
	// Create adds an account with Version 1, and writes its Entries. The account handed in is not changed. It returns
	// ErrExists if there is one of the name.
	Create(ctx context.Context, a *account.Account) error
	// Change reads an account, has change make of it what is wanted, and writes that and its Entries, all or nothing.
	// Nobody else changes the account meanwhile. The account handed to change is its own; it may be called more than
	// once. An error of it is returned as it is. An account that has changed without an entry is an error: every
	// change is audited. One that has not changed is not written, and its version stays; its entries are: they are of
	// what only happened, such as a secret shown. The returned account is the one after the change. change must not
	// use the Store, and should not take long: others wait, and after 5 s some are refused.
	Change(ctx context.Context, name string, change func(*account.Account) error) (*account.Account, error)
	// Audit are the entries of an account with a sequence below before (0: all), the newest first, at most limit.
	Audit(ctx context.Context, name string, before int64, limit int) ([]account.Entry, error)
	// Consume marks nonces as used until the given times, and reports of each whether it was fresh: of equal ones,
	// in one call or in several, at once or not, exactly one is. It answers for all of them or returns an error.
	Consume(ctx context.Context, nonces []Nonce) (fresh []bool, err error)
	// Prune forgets nonces whose time has passed at now, at most PruneBound of them, and reports how many.
	Prune(ctx context.Context, now time.Time) (int, error)
	// KeepFailures keeps failed attestations, all or none. They alone may be lost with the machine, not with the process.
	KeepFailures(ctx context.Context, failures []Failure) error

	// Failures are those that a query asks for, the newest first.
	Failures(ctx context.Context, q FailureQuery) ([]Failure, error)

	// PruneFailures forgets failures that are older than FailureAge at now, and the oldest of more than MaxFailures. It
	// reports how many.
	PruneFailures(ctx context.Context, now time.Time) (int, error)

	// Changed returns a channel that receives something, not necessarily every time, when any process has changed an
	// account; nil if the store cannot tell. It is closed with the Store. Notifications may be lost: see Generation.
	Changed() <-chan struct{}
	Close() error
}

// Nonce is a nonce that is used.
type Nonce struct {
	ID    [16]byte
	Until time.Time // it would not be accepted from then on anyway
}

// Sealer encrypts what must not stand in a database in clear. The context binds the text to its place: a sealed text
// moved elsewhere does not open.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}
