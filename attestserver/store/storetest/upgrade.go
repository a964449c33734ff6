package storetest

import (
	"slices"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Upgraded tests today's program on a database that an older one has made. That older program, under Sealer(t, 1),
// created the accounts acme and other as Small has them, set acme's rejection policy to default, added the domain
// b.example to it, and consumed the nonce {7}. Everything is there afterwards, what is newer works, and it is opened
// once more.
func Upgraded(t *testing.T, db Database) {
	acme := Small("acme")
	acme.Policy.Rejection = account.RejectDefault
	acme.Domains = slices.Insert(acme.Domains, 1, account.Domain{Name: "b.example"}) // they are read in order
	acme.Version = 3
	s := open(t, db)
	wantEqual(t, "an account with changes", one(t, s, "acme"), acme)
	wantEqual(t, "an account without", one(t, s, "other"), Small("other"))
	if got := generation(t, s); got != 4 {
		t.Errorf("got generation %d, want 4", got)
	}
	entries, err := s.Audit(t.Context(), "acme", 0, 10)
	if err != nil || len(entries) != 3 || entries[0].Action != "changed" || entries[2].Action != "account.create" || entries[2].By != "ann" || !entries[2].At.Equal(start) {
		t.Errorf("got the audit log %+v, %v, want its three lines", entries, err)
	}
	if fresh, err := s.Consume(t.Context(), []store.Nonce{{ID: [16]byte{7}, Until: start}, {ID: [16]byte{8}, Until: start}}); err != nil || fresh[0] || !fresh[1] {
		t.Errorf("got %v, %v, want one used nonce and one fresh", fresh, err)
	}
	keep(t, s, failure("acme", 1, true))
	change(t, s, "acme", func(a *account.Account) { a.Devices = nil })
	again := open(t, db)
	if got := one(t, again, "acme"); got == nil || got.Devices != nil || got.Version != 4 {
		t.Errorf("opened again: got %+v, want what was changed", short(got))
	}
	if got := failures(t, again, store.FailureQuery{Account: "acme", Device: failure("acme", 1, true).Device, Limit: 10}); len(got) != 1 {
		t.Errorf("opened again: got %d failures, want the one that was kept", len(got))
	}
}
