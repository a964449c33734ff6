package tables

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// encode makes a value one that both drivers take. PostgreSQL keeps no NUL and nothing but UTF-8 in a text, so
// neither dialect does: what one of them keeps the other can take over.
func encode(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, checkText(v)
	case time.Time:
		if v.IsZero() {
			return nil, nil
		}
		return v, store.CheckTime(v)
	case []string:
		for _, text := range v {
			if err := checkText(text); err != nil {
				return nil, err
			}
		}
		return toJSON(slices.Concat([]string{}, v)) // [] for nil
	case map[string]string:
		for key, text := range v {
			if err := errors.Join(checkText(key), checkText(text)); err != nil {
				return nil, err
			}
		}
		if v == nil {
			return "{}", nil
		}
		return toJSON(v)
	}
	return value, nil
}

func checkText(text string) error {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("the text %.60q cannot be kept: it is not UTF-8, or holds a NUL", text)
	}
	return nil
}

// maxName bounds a text by which a row is found, in bytes: PostgreSQL's indexes hold 2700 bytes for a row, and the
// longest has four of them.
const maxName = 500

func checkName(text string) error {
	if len(text) > maxName {
		return fmt.Errorf("the name %.60q… has %d bytes, at most %d can be kept", text, len(text), maxName)
	}
	return nil
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// Places to Scan into, of either dialect.
type (
	moment struct{ to *time.Time }
	object struct{ to any } // JSON
	digest struct{ to *[32]byte }
)

func (m moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*m.to = time.Time{}
	case int64: // SQLite: microseconds
		*m.to = time.UnixMicro(v).UTC()
	case time.Time:
		*m.to = store.Moment(v)
	default:
		return fmt.Errorf("a time is kept as %T", value)
	}
	return nil
}

func (o object) Scan(value any) error {
	switch v := value.(type) {
	case string:
		return json.Unmarshal([]byte(v), o.to)
	case []byte:
		return json.Unmarshal(v, o.to)
	}
	return fmt.Errorf("JSON is kept as %T", value)
}

func (d digest) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(d.to) {
		return fmt.Errorf("a digest is kept as %T of %d bytes", value, len(b))
	}
	copy(d.to[:], b)
	return nil
}

// normal makes an account what reading it back gives: times as they are kept, lists in their order, no list that is
// empty but not nil. It changes the account, and takes its entries away.
func normal(a *account.Account) *account.Account {
	a.Entries = nil
	a.Created = store.Moment(a.Created)
	a.Network = account.Network{Primary: some(a.Network.Primary), Failover: some(a.Network.Failover), Pins: some(a.Network.Pins)}
	a.Keys, a.Domains, a.Registrations, a.Devices = some(a.Keys), some(a.Domains), some(a.Registrations), some(a.Devices)
	a.Libraries, a.Tokens, a.Controls = some(a.Libraries), some(a.Tokens), some(a.Controls)
	for i := range a.Keys {
		k := &a.Keys[i]
		k.Created, k.NotAfter, k.Material = store.Moment(k.Created), store.Moment(k.NotAfter), someSecret(k.Material)
	}
	for i := range a.Domains {
		a.Domains[i].Pins = some(a.Domains[i].Pins)
	}
	for i := range a.Registrations {
		r := &a.Registrations[i]
		r.Registered, r.Expires = store.Moment(r.Registered), store.Moment(r.Expires)
	}
	for i := range a.Libraries {
		l := &a.Libraries[i]
		l.Created, l.Key = store.Moment(l.Created), someSecret(l.Key)
	}
	for i := range a.Tokens {
		t := &a.Tokens[i]
		t.Issued, t.Expires = store.Moment(t.Issued), store.Moment(t.Expires)
	}
	for i := range a.Controls {
		c := &a.Controls[i]
		c.Until = store.Moment(c.Until)
		if len(c.Routes) == 0 {
			c.Routes = nil
		}
	}
	order(a)
	return a
}

func some[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func someSecret(s account.Secret) account.Secret {
	if s.Len() == 0 {
		return account.Secret{}
	}
	return s
}

// order sorts the lists as package account has them. Databases sort by rules of their own. Keys have the order they
// were given.
func order(a *account.Account) {
	by(a.Domains, func(d account.Domain) string { return d.Name })
	by(a.Registrations, account.Registration.Signature)
	by(a.Devices, func(d account.Device) string { return d.ID })
	by(a.Tokens, func(t account.ManagementToken) string { return t.ID })
	by(a.Controls, func(c account.Control) string { return c.Gate })
	slices.SortStableFunc(a.Libraries, func(x, y account.Library) int { // as numbers, of any size
		if len(x.ID) != len(y.ID) {
			return len(x.ID) - len(y.ID)
		}
		return strings.Compare(x.ID, y.ID)
	})
}

func by[T any](list []T, name func(T) string) {
	slices.SortStableFunc(list, func(x, y T) int { return strings.Compare(name(x), name(y)) })
}
