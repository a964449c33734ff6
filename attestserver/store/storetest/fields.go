package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
)

// testEveryField finds fields that were added to an account and have no column: all fields there are get a value.
func testEveryField(t *testing.T, db Database) {
	s := open(t, db)
	n := 0
	a := &account.Account{}
	fillIn(t, reflect.ValueOf(a).Elem(), &n)
	if a.Version = 1; a.Entries == nil || len(a.Controls) != 1 || a.Keys[0].Material.Len() == 0 {
		t.Fatal("got an account with fields left empty")
	}
	if err := s.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	entry := a.Entries[0]
	entry.Sequence = 1
	if entries, err := s.Audit(t.Context(), a.Name, 0, 10); err != nil || len(entries) != 1 || entries[0] != entry {
		t.Errorf("got entries %+v, %v, want %+v", entries, err, entry)
	}
	want := a.Clone()
	want.Entries = nil
	wantEqual(t, "created", one(t, s, a.Name), want)

	name := a.Name
	fillIn(t, reflect.ValueOf(want).Elem(), &n) // other values
	want.Name, want.Version, want.Entries = name, 2, nil
	change(t, s, name, func(a *account.Account) { entries := a.Entries; *a = *want.Clone(); a.Entries = entries })
	wantEqual(t, "changed", one(t, s, name), want)
}

// fillIn gives every field a value that no other has.
func fillIn(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch place := v.Addr().Interface().(type) {
	case *time.Time:
		*place = start.Add(time.Duration(*n) * time.Microsecond)
		return
	case *account.Secret:
		*place = account.NewSecret(fmt.Appendf(nil, "secret %d", *n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Struct:
		for i := range v.NumField() {
			fillIn(t, v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fillIn(t, v.Index(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(t, v.Index(0), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillIn(t, key, n)
		fillIn(t, value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		t.Fatalf("got a field of type %v, which this test and perhaps the tables do not know", v.Type())
	}
}
