package tables

import (
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// table is a table with rows of accounts.
type table interface {
	// changes are the statements that make before's rows into after's; before is nil for a new account.
	changes(seal store.Sealer, before, after *account.Account) ([]Statement, error)
	// load adds the rows of the account of a name, or of all if it is empty, to the accounts.
	load(ctx context.Context, tx Tx, seal store.Sealer, name string, accounts map[string]*account.Account) error
}

// list is the table of one of an account's lists. The first column is always the account's name, $1 in put and remove.
type list[T any] struct {
	name   string
	key    int    // how many of a row's values, the first ones, tell it from the account's others
	put    string // adds or replaces a row: $2… are its values
	remove string // $2… are the values that tell it
	read   string // of all accounts: the columns in the order of into, then the sealed one
	sort   string // the order to read in, if the list has one of its own
	of     func(a *account.Account) *[]T
	row    func(at int, item *T) row             // at is its index in the list
	into   func(item *T) []any                   // where its columns go, which may be thrown away
	secret func(item *T) (place *account.Secret) // nil: there is none
}

// row is a row's values, without the account's name: strings, integers, booleans, []byte, time.Time, []string and
// map[string]string. A secret is the last one, and sealed on its way into the database.
type row []any

// id tells the row from others in the same table of the same account.
func (l *list[T]) id(r row) string {
	var parts []string
	for _, value := range r[:l.key] {
		switch v := value.(type) {
		case string:
			parts = append(parts, strconv.Quote(v))
		case []byte:
			parts = append(parts, hex.EncodeToString(v))
		default:
			parts = append(parts, fmt.Sprint(v))
		}
	}
	return strings.Join(parts, " ")
}

func (l *list[T]) changes(seal store.Sealer, before, after *account.Account) ([]Statement, error) {
	old := map[string]row{}
	if before != nil {
		for i := range *l.of(before) {
			r := l.row(i, &(*l.of(before))[i])
			old[l.id(r)] = r
		}
	}
	var puts, removals []Statement
	seen := map[string]bool{}
	for i := range *l.of(after) {
		r := l.row(i, &(*l.of(after))[i])
		id := l.id(r)
		if seen[id] {
			return nil, fmt.Errorf("store: account %s has two entries %s in %s", after.Name, id, l.name)
		}
		seen[id] = true
		was, there := old[id]
		delete(old, id)
		if there && reflect.DeepEqual(was, r) {
			continue
		}
		args, err := l.arguments(seal, after.Name, r)
		if err != nil {
			return nil, err
		}
		puts = append(puts, Statement{l.put, args})
	}
	for _, r := range old {
		args, err := l.arguments(seal, after.Name, r[:l.key])
		if err != nil {
			return nil, err
		}
		removals = append(removals, Statement{l.remove, args})
	}
	return append(removals, puts...), nil
}

// arguments are the account's name and a row's values as they stand in the database.
func (l *list[T]) arguments(seal store.Sealer, name string, r row) ([]any, error) {
	args := make([]any, 0, 1+len(r))
	args = append(args, name)
	for i, value := range r {
		encoded, err := encode(value)
		if text, ok := value.(string); ok && err == nil && i < l.key {
			err = checkName(text)
		}
		if secret, ok := value.(account.Secret); ok {
			encoded, err = seal.Seal(secret.Bytes(), l.place(name, r))
		}
		if err != nil {
			return nil, fmt.Errorf("store: table %s, account %s: %w", l.name, name, err)
		}
		args = append(args, encoded)
	}
	return args, nil
}

// place is the context a row's secret is sealed in. An account's name holds no NUL: see encode.
func (l *list[T]) place(name string, r row) string {
	return strings.Join([]string{name, l.name, l.id(r)}, "\x00")
}

func (l *list[T]) load(ctx context.Context, tx Tx, seal store.Sealer, name string, accounts map[string]*account.Account) error {
	sql, args := l.read, []any(nil)
	if name != "" {
		sql, args = sql+` WHERE account = $1`, []any{name}
	}
	rows, err := tx.Query(ctx, sql+l.sort, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := l.add(rows, seal, accounts); err != nil {
			rows.Close()
			return fmt.Errorf("store: table %s: %w", l.name, err)
		}
	}
	return closed(rows)
}

// add reads a row and appends it to its account's list.
func (l *list[T]) add(rows Rows, seal store.Sealer, accounts map[string]*account.Account) error {
	var name string
	var sealed []byte
	item := new(T)
	places := append([]any{&name}, l.into(item)...)
	if l.secret != nil {
		places = append(places, &sealed)
	}
	if err := rows.Scan(places...); err != nil {
		return err
	}
	a := accounts[name]
	if a == nil {
		return fmt.Errorf("a row of account %q, which is not there", name)
	}
	to := l.of(a)
	if l.secret != nil {
		plain, err := seal.Open(sealed, l.place(name, l.row(len(*to), item)))
		if err != nil {
			return err
		}
		*l.secret(item) = account.NewSecret(plain)
	}
	*to = append(*to, *item)
	return nil
}
