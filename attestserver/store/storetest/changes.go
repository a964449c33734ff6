package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

func testCreate(t *testing.T, db Database) {
	s := open(t, db)
	before := generation(t, s)
	if all, n, err := s.Accounts(t.Context()); err != nil || len(all) != 0 || n != before {
		t.Errorf("got %d accounts of generation %d, %v, want none of %d", len(all), n, err, before)
	}
	fresh := Small("acme")
	fresh.Version = 99 // store's to count
	create(t, s, fresh)
	wantEqual(t, "created", one(t, s, "acme"), Small("acme"))
	after := generation(t, s)
	if after == before {
		t.Error("got the same generation after a creation, want another one")
	}
	if err := s.Create(t.Context(), Small("acme")); !errors.Is(err, store.ErrExists) {
		t.Errorf("got %v, want %v", err, store.ErrExists)
	}
	if got := generation(t, s); got != after {
		t.Errorf("got generation %d after a creation that was refused, want %d", got, after)
	}
	if err := s.Create(t.Context(), Small("")); err == nil {
		t.Error("got an account without a name, want an error")
	}
	create(t, s, Small("Acme"))
	create(t, s, Small("aardvark"))
	all, n, err := s.Accounts(t.Context())
	if err != nil || n == after {
		t.Errorf("got generation %d, %v, want another than %d", n, err, after)
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
	}
	if want := []string{"Acme", "aardvark", "acme"}; !slices.Equal(names, want) {
		t.Errorf("got accounts %q, want %q", names, want)
	}
}

func testChange(t *testing.T, db Database) {
	s := open(t, db)
	other := open(t, db)
	create(t, s, Small("acme"))
	create(t, s, Small("other"))
	before := generation(t, s)
	want := Small("acme")
	edits := []struct {
		name string
		do   func(a *account.Account)
	}{
		{"a field of the account", func(a *account.Account) { a.Grace, a.ConfigVersion = 5, 2 }},
		{"the policy", func(a *account.Account) { a.Policy.Annotation = account.AnnotateNone }},
		{"the network", func(a *account.Account) { a.Network.Failover = []string{"https://f.example"} }},
		{"a domain more", func(a *account.Account) {
			a.Domains = slices.Insert(a.Domains, 1, account.Domain{Name: "b.example", Format: account.None})
		}},
		{"another pin", func(a *account.Account) { a.Domains[0].Pins = []string{"q", "p"} }},
		{"a domain less", func(a *account.Account) { a.Domains = a.Domains[1:] }},
		{"a key more, in front", func(a *account.Account) {
			a.Keys = slices.Insert(a.Keys, 0, account.Key{Purpose: account.NonceKey, Material: account.NewSecret([]byte("n"))})
		}},
		{"a key less", func(a *account.Account) { a.Keys = slices.Delete(a.Keys, 1, 2) }},
		{"another secret", func(a *account.Account) { a.Keys[0].Material = account.NewSecret([]byte("m")) }},
		{"a registration again", func(a *account.Account) { a.Registrations[0].Expires = start }},
		{"a device's policy", func(a *account.Account) { a.Devices[0].Policy = account.Policy{Rules: "default"} }},
		{"another library", func(a *account.Account) {
			a.Libraries[0] = account.Library{ID: "1042", Key: account.NewSecret([]byte("k"))}
		}},
		{"a token less", func(a *account.Account) { a.Tokens = nil }},
		{"control", func(a *account.Account) { a.Controls[0].Version++; a.Controls[0].Routes = nil }},
		{"everything less", func(a *account.Account) {
			*a = account.Account{Name: a.Name, Version: a.Version, Entries: a.Entries}
		}},
	}
	for i, edit := range edits {
		edit.do(want)
		want.Version++
		got := change(t, s, "acme", edit.do)
		wantEqual(t, edit.name+", as returned", got, want)
		wantEqual(t, edit.name+", as read by another", one(t, other, "acme"), want)
		if now := generation(t, other); now == before {
			t.Errorf("%s: got the same generation, want another one", edit.name)
		} else {
			before = now
		}
		if entries, err := s.Audit(t.Context(), "acme", 0, 100); err != nil || len(entries) != i+2 {
			t.Errorf("%s: got %d entries, %v, want %d", edit.name, len(entries), err, i+2)
		}
	}
	wantEqual(t, "the other account", one(t, s, "other"), Small("other"))
}

func testRefused(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	before := generation(t, s)
	refusal := &account.Error{Code: "x", Text: "refused"}
	for name, row := range map[string]struct {
		account string
		change  func(a *account.Account) error
		want    error
		part    string
	}{
		"by the change": {"acme", func(a *account.Account) error {
			a.Domains = nil
			a.Entries = []account.Entry{Note("x")}
			return refusal
		}, refusal, ""},
		"a change not audited":   {"acme", func(a *account.Account) error { a.Domains = nil; return nil }, nil, "audit"},
		"a deep one not audited": {"acme", func(a *account.Account) error { a.Domains[0].Pins[0] = "x"; return nil }, nil, "audit"},
		"another name":           {"acme", func(a *account.Account) error { a.Name = "b"; a.Entries = []account.Entry{Note("x")}; return nil }, nil, "renamed"},
		"two equal domains": {"acme", func(a *account.Account) error {
			a.Domains = append(a.Domains, a.Domains[0])
			a.Entries = []account.Entry{Note("x")}
			return nil
		}, nil, "two entries"},
		"an unknown account": {"none", func(a *account.Account) error { return nil }, store.ErrNotFound, ""},
		"no account":         {"", func(a *account.Account) error { return nil }, store.ErrNotFound, ""},
	} {
		after, err := s.Change(t.Context(), row.account, row.change)
		if row.want != nil && !errors.Is(err, row.want) || row.part != "" && after != nil {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
		wantError(t, name, err, row.part)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Change(t.Context(), "acme", func(a *account.Account) error { a.Domains = nil; panic("a fault in a change") })
	}()
	wantEqual(t, "afterwards", one(t, s, "acme"), Small("acme"))
	if got := generation(t, s); got != before {
		t.Errorf("got generation %d, want %d", got, before)
	}
	if entries, err := s.Audit(t.Context(), "acme", 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("got %d entries, %v, want the first alone", len(entries), err)
	}
	change(t, s, "acme", func(a *account.Account) { a.DemoDomain = "" }) // and nothing is locked
}

func testUnchanged(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	before := generation(t, s)
	for name, same := range map[string]func(a *account.Account){
		"nothing":                   func(a *account.Account) {},
		"an empty list for none":    func(a *account.Account) { a.Network.Failover = []string{} },
		"another order":             func(a *account.Account) { slices.Reverse(a.Domains) },
		"another version":           func(a *account.Account) { a.Version = 77 },
		"a time's last nanoseconds": func(a *account.Account) { a.Created = a.Created.Add(999) },
		"equal key material":        func(a *account.Account) { a.Keys[0].Material = account.NewSecret(a.Keys[0].Material.Bytes()) },
	} {
		after, err := s.Change(t.Context(), "acme", func(a *account.Account) error { same(a); return nil })
		if err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
			continue
		}
		wantEqual(t, name, after, Small("acme"))
	}
	if got := generation(t, s); got != before {
		t.Errorf("got generation %d, want %d", got, before)
	}
	// What only happened, such as a secret shown, is audited all the same.
	after := change(t, s, "acme", func(*account.Account) {})
	wantEqual(t, "an entry alone", after, Small("acme"))
	if entries, err := s.Audit(t.Context(), "acme", 0, 10); err != nil || len(entries) != 2 {
		t.Errorf("got %d entries, %v, want 2", len(entries), err)
	}
	if got := generation(t, s); got != before {
		t.Errorf("got generation %d, want %d", got, before)
	}
}

func testConcurrentChanges(t *testing.T, db Database) {
	const workers, each = 8, 10
	stores := []store.Store{open(t, db), open(t, db)}
	create(t, stores[0], Small("a"))
	create(t, stores[0], Small("b"))
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for i := range each {
				name := []string{"a", "b"}[i%2]
				_, err := stores[worker%2].Change(t.Context(), name, func(a *account.Account) error {
					a.ConfigVersion++
					a.Domains = append(a.Domains, account.Domain{Name: fmt.Sprintf("w%d-%d.example", worker, i)})
					a.Entries = append(a.Entries, Note(fmt.Sprint(a.ConfigVersion)))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	const of = workers * each / 2
	for _, name := range []string{"a", "b"} {
		a := one(t, stores[1], name)
		if a.ConfigVersion != 1+of || a.Version != 1+of || len(a.Domains) != 2+of {
			t.Errorf("got count %d, version %d, %d domains, want %d, %d, %d", a.ConfigVersion, a.Version, len(a.Domains), 1+of, 1+of, 2+of)
		}
		entries, err := stores[0].Audit(t.Context(), name, 0, 1000)
		if err != nil || len(entries) != 1+of {
			t.Fatalf("got %d entries, %v, want %d", len(entries), err, 1+of)
		}
		for i, e := range entries {
			if sequence := int64(len(entries) - i); e.Sequence != sequence || sequence > 1 && e.Action != fmt.Sprint(sequence) {
				t.Errorf("got entry %d %s, want %d %d", e.Sequence, e.Action, sequence, sequence)
			}
		}
	}
}

func testConcurrentCreations(t *testing.T, db Database) {
	stores := []store.Store{open(t, db), open(t, db)}
	var made atomic.Int32
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			err := stores[i%2].Create(t.Context(), Small("acme"))
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, store.ErrExists) {
				t.Errorf("got %v, want %v", err, store.ErrExists)
			}
		})
	}
	running.Wait()
	if made.Load() != 1 {
		t.Errorf("got %d creations, want 1", made.Load())
	}
	wantEqual(t, "created", one(t, stores[0], "acme"), Small("acme"))
}

func testNotShared(t *testing.T, db Database) {
	s := open(t, db)
	mine := Small("acme")
	create(t, s, mine)
	spoil := func(a *account.Account) {
		a.Domains[0].Pins[0] = "spoiled"
		a.Keys[0].ID = "spoiled"
		a.Controls[0].Routes["spoiled"] = "log"
		a.Network.Primary[0] = "spoiled"
	}
	spoil(mine)
	var kept *account.Account
	want := Small("acme")
	want.DemoDomain, want.Version = "changed", 2
	after := change(t, s, "acme", func(a *account.Account) { kept = a; a.DemoDomain = "changed" })
	spoil(kept)
	wantEqual(t, "returned", after, want)
	spoil(after)
	spoil(one(t, s, "acme"))
	wantEqual(t, "read", one(t, s, "acme"), want)
}

// A change writes two lists; who reads meanwhile must never see one without the other.
func testWholeChanges(t *testing.T, db Database) {
	s := open(t, db)
	reader := open(t, db)
	create(t, s, &account.Account{Name: "acme"})
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		for i := range 30 {
			change(t, s, "acme", func(a *account.Account) {
				a.Domains = append(a.Domains, account.Domain{Name: fmt.Sprint(i)})
				a.Devices = append(a.Devices, account.Device{ID: fmt.Sprint(i)})
				a.Keys = append(a.Keys, account.Key{ID: fmt.Sprint(i)})
			})
		}
	})
	last := int64(0)
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
		}
		all, generation, err := reader.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := all[0]
		n := int(a.Version - 1)
		if len(a.Domains) != n || len(a.Devices) != n || len(a.Keys) != n || generation < last {
			t.Fatalf("got %d domains, %d devices, %d keys in version %d, generation %d after %d, want %d of each",
				len(a.Domains), len(a.Devices), len(a.Keys), a.Version, generation, last, n)
		}
		last = generation
	}
	running.Wait()
}

func testAudit(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	create(t, s, Small("other"))
	for i := range 4 {
		_, err := s.Change(t.Context(), "acme", func(a *account.Account) error {
			a.ConfigVersion++
			a.Entries = append(a.Entries, Note(fmt.Sprint(2+2*i)), Note(fmt.Sprint(3+2*i)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, row := range map[string]struct {
		before int64
		limit  int
		want   []int64
	}{
		"all of it":            {0, 100, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
		"the newest":           {0, 2, []int64{9, 8}},
		"those before":         {8, 3, []int64{7, 6, 5}},
		"the last of them":     {3, 3, []int64{2, 1}},
		"before the first":     {1, 3, nil},
		"before what is there": {1 << 62, 1, []int64{9}},
		"none":                 {0, 0, nil},
		"fewer than none":      {0, -1, nil},
	} {
		entries, err := s.Audit(t.Context(), "acme", row.before, row.limit)
		var got []int64
		for _, e := range entries {
			got = append(got, e.Sequence)
			want := Note(fmt.Sprint(e.Sequence))
			if want.Sequence = e.Sequence; e.Sequence > 1 && e != want {
				t.Errorf("%s: got %+v, want %+v", name, e, want)
			}
		}
		if err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, row.want)
		}
	}
	if _, err := s.Audit(t.Context(), "none", 0, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v of an unknown account, want %v", err, store.ErrNotFound)
	}
}
