package storetest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

// failure is the failure of a number, one a second.
func failure(name string, n int, proven bool) store.Failure {
	return store.Failure{
		Account: name, Request: fmt.Sprintf("%016x", n), At: start.Add(time.Duration(n) * time.Second),
		Device: "h4gubfCFzJu81j/U2BJsdg==", Proven: proven, Found: store.Found{Policy: "default,default,default", App: "registered"},
	}
}

func keep(t testing.TB, s store.Store, failures ...store.Failure) {
	t.Helper()
	if err := s.KeepFailures(t.Context(), failures); err != nil {
		t.Fatal(err)
	}
}

func failures(t testing.TB, s store.Store, q store.FailureQuery) []store.Failure {
	t.Helper()
	all, err := s.Failures(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func requests(all []store.Failure) (ids []string) {
	for _, f := range all {
		ids = append(ids, strings.TrimLeft(f.Request, "0"))
	}
	return ids
}

func testFailures(t *testing.T, db Database) {
	s, other := open(t, db), open(t, db)
	const device = "h4gubfCFzJu81j/U2BJsdg=="
	full := store.Failure{
		Account: "acme", Request: "00000000000000ff", At: start.Add(255*time.Second + 999), Device: "AAAAAAAAAAAAAAAAAAAAAQ==", Proven: true,
		Found: store.Found{
			Package: "com.example\x00\"é", Version: "2.0[3]", Library: "1041", Platform: "Go", SDK: "1.0.0", Flags: []string{"debug", "rooted"},
			Policy: "default,allow-root,all", Own: true, Evidence: "hardware", Nonce: "nonce-used", MAC: "mac-wrong", App: "expired",
			Registered: 3, Last: start, Near: "com.example-1.0-1041", Expired: start.Add(time.Hour),
		},
	}
	keep(t, s)
	keep(t, s, failure("acme", 2, false), failure("acme", 1, true), failure("other", 2, true), full)
	keep(t, other, failure("acme", 3, true))
	for _, row := range []struct {
		name string
		q    store.FailureQuery
		want []string
	}{
		{"of a device, the newest first", store.FailureQuery{Account: "acme", Device: device, Limit: 10}, []string{"3", "2", "1"}},
		{"the newest of a device", store.FailureQuery{Account: "acme", Device: device, Limit: 2}, []string{"3", "2"}},
		{"none wanted", store.FailureQuery{Account: "acme", Device: device}, nil},
		{"of a request", store.FailureQuery{Account: "acme", Request: "0000000000000002", Limit: 10}, []string{"2"}},
		{"of a request, whatever the device", store.FailureQuery{Account: "acme", Request: "0000000000000001", Device: "x", Limit: 10}, []string{"1"}},
		{"of a request of another account", store.FailureQuery{Account: "other", Request: "0000000000000001", Limit: 10}, nil},
		{"of an account that is not there", store.FailureQuery{Account: "nobody", Device: device, Limit: 10}, nil},
		{"of nothing", store.FailureQuery{Account: "acme", Limit: 10}, nil},
		{"of a part of a device", store.FailureQuery{Account: "acme", Device: "%", Limit: 10}, nil},
	} {
		for _, at := range []store.Store{s, other} {
			if got := requests(failures(t, at, row.q)); !reflect.DeepEqual(got, row.want) {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
		}
	}
	want := full
	want.At = store.Moment(full.At)
	if got := failures(t, s, store.FailureQuery{Account: "acme", Device: full.Device, Limit: 1}); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("every field: got %+v, want %+v", got, want)
	}
	// Who makes requests up for a device cannot hide what its genuine app has met.
	for n := 10; n < 20; n++ {
		keep(t, s, failure("acme", n, false))
	}
	if got, want := requests(failures(t, s, store.FailureQuery{Account: "acme", Device: device, Limit: 3})), []string{"13", "3", "1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("of a device, many made up: got %q, want half of them proven: %q", got, want)
	}
	if got, want := requests(failures(t, s, store.FailureQuery{Account: "acme", Device: device, Limit: 8})), "13 12 11 10 f e 3 1"; strings.Join(got, " ") != want {
		t.Errorf("of a device, few proven: got %q, want %s", got, want)
	}
	if err := s.KeepFailures(t.Context(), []store.Failure{failure("acme", 8, true), {Account: "a\x00", At: start}}); err == nil {
		t.Error("a name with a NUL: got no error, want one")
	}
	if got := failures(t, s, store.FailureQuery{Account: "acme", Request: "0000000000000008", Limit: 1}); got != nil {
		t.Errorf("the one beside it: got %+v, want none kept", got)
	}
}

// What is too old goes, and the oldest of too many: of each account and kind by itself.
func testPruneFailures(t *testing.T, db Database) {
	s := open(t, db)
	const more = store.FailureStep + 3 // than MaxFailures, so that it takes two steps
	for from := 0; from < store.MaxFailures+more; from += 1000 {
		var some []store.Failure
		for n := from; n < min(from+1000, store.MaxFailures+more); n++ {
			some = append(some, failure("flooded", n, false))
		}
		keep(t, s, some...)
	}
	keep(t, s, failure("flooded", 0, true), failure("flooded", 5, true), failure("calm", 0, false), failure("calm", 7, true))
	last := start.Add(store.FailureAge + 5*time.Second) // what was at 5 s is not too old yet
	for _, row := range []struct {
		name string
		now  time.Time
		want int
	}{
		{"nothing is old, one account has too many", start.Add(time.Hour), more},
		{"it again", start.Add(time.Hour), 0},
		{"some are old", last, 2}, // the flood's are newer: n ≥ more
		{"it again", last, 0},
	} {
		if got, err := s.PruneFailures(t.Context(), row.now); err != nil || got != row.want {
			t.Errorf("%s: got %d forgotten, %v, want %d", row.name, got, err, row.want)
		}
	}
	for _, row := range []struct {
		name, account string
		want          int
		newest        string
	}{
		{"the flooded account", "flooded", store.MaxFailures + 1, fmt.Sprintf("%x", store.MaxFailures+more-1)},
		{"the other one", "calm", 1, "7"},
	} {
		got := requests(failures(t, s, store.FailureQuery{Account: row.account, Device: "h4gubfCFzJu81j/U2BJsdg==", Limit: 100_000}))
		if len(got) != row.want || got[0] != row.newest {
			t.Errorf("%s: got %d left from %q, want %d from %q", row.name, len(got), got[:1], row.want, row.newest)
		}
	}
}

// What was noted while the clock was far ahead does not stand before all else for as long.
func testFailuresOfAWrongClock(t *testing.T, db Database) {
	s := open(t, db)
	ahead := failure("acme", 3, true)
	ahead.At = start.AddDate(1, 0, 0)
	other := failure("acme", 4, false)
	other.At = start.Add(store.FailureAge + time.Second)
	little := failure("acme", 5, true)
	little.At = start.Add(store.FailureAge)
	keep(t, s, failure("acme", 1, true), ahead, other, little)
	if got, err := s.PruneFailures(t.Context(), start); err != nil || got != 2 {
		t.Errorf("got %d forgotten, %v, want the 2 of more than %v ahead", got, err, store.FailureAge)
	}
	if got, want := requests(failures(t, s, store.FailureQuery{Account: "acme", Device: ahead.Device, Limit: 9})), []string{"5", "1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q left, want %q", got, want)
	}
}
