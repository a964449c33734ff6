package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

func nonce(n int) store.Nonce {
	v := store.Nonce{Until: start.Add(time.Duration(n) * time.Second)}
	binary.BigEndian.PutUint64(v.ID[8:], uint64(n))
	return v
}

func nonces(from, to int) (all []store.Nonce) {
	for n := from; n < to; n++ {
		all = append(all, nonce(n))
	}
	return all
}

func consume(t testing.TB, s store.Store, all ...store.Nonce) []bool {
	t.Helper()
	fresh, err := s.Consume(t.Context(), all)
	if err != nil {
		t.Error(err)
		return make([]bool, len(all))
	}
	return fresh
}

func testNonces(t *testing.T, db Database) {
	s := open(t, db)
	other := open(t, db)
	zero, last := store.Nonce{Until: start}, store.Nonce{Until: start}
	for i := range last.ID {
		last.ID[i] = 0xff
	}
	for _, row := range []struct {
		name   string
		at     store.Store
		nonces []store.Nonce
		want   []bool
	}{
		{"no nonce", s, nil, nil},
		{"one", s, []store.Nonce{nonce(1)}, []bool{true}},
		{"it again", s, []store.Nonce{nonce(1)}, []bool{false}},
		{"it again elsewhere", other, []store.Nonce{nonce(1)}, []bool{false}},
		{"it again with another time", s, []store.Nonce{{ID: nonce(1).ID, Until: start.Add(time.Hour)}}, []bool{false}},
		{"two, one of them used", s, []store.Nonce{nonce(1), nonce(2)}, []bool{false, true}},
		{"equal ones in one call", s, []store.Nonce{nonce(4), nonce(3), nonce(4), nonce(4)}, []bool{true, true, false, false}},
		{"the first and the last", s, []store.Nonce{zero, last}, []bool{true, true}},
		{"those again", other, []store.Nonce{last, zero}, []bool{false, false}},
		{"a time that has passed", s, []store.Nonce{{ID: [16]byte{9}, Until: time.Unix(1, 0)}, {ID: [16]byte{9}}}, []bool{true, false}},
	} {
		if got := consume(t, row.at, row.nonces...); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
	if got := consume(t, s, nonces(1000, 4000)...); slices.Contains(got, false) || len(got) != 3000 {
		t.Errorf("got %d answers, some not fresh, want 3000 fresh ones", len(got))
	}
	if _, err := s.Consume(t.Context(), []store.Nonce{nonce(5), {Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}); err == nil {
		t.Error("got a nonce of the year 10000, want an error")
	}
	if got := consume(t, s, nonce(5)); !got[0] {
		t.Error("got the nonce beside it used, want it fresh")
	}
}

// 64 goroutines, through two Stores on the same database, want the same nonces, in different orders and companies.
func testNonceRace(t *testing.T, db Database) {
	const goroutines, each = 64, 40
	stores := []store.Store{open(t, db), open(t, db)}
	var wins [each]atomic.Int32
	begin := make(chan struct{})
	var running sync.WaitGroup
	for g := range goroutines {
		running.Go(func() {
			<-begin
			for i := range each {
				n := (i + g%3) % each
				own := nonce(1_000_000 + g*each + i)
				fresh := consume(t, stores[g%2], nonce(n), own)
				if fresh[0] {
					wins[n].Add(1)
				}
				if !fresh[1] {
					t.Errorf("got goroutine %d's own nonce used", g)
				}
			}
		})
	}
	close(begin)
	running.Wait()
	for n := range wins {
		if got := wins[n].Load(); got != 1 {
			t.Errorf("got nonce %d fresh %d times, want once", n, got)
		}
	}
}

func testNonceGivesUp(t *testing.T, db Database) {
	s := open(t, db)
	var running sync.WaitGroup
	for g := range 32 {
		running.Go(func() {
			for i := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				var both sync.WaitGroup
				if g%2 == 0 {
					both.Go(cancel) // some time before, while or after it is answered
				}
				fresh, err := s.Consume(ctx, []store.Nonce{nonce(g*100 + i)})
				both.Wait()
				cancel()
				if err != nil && (g%2 != 0 || !errors.Is(err, context.Canceled)) || err == nil && !fresh[0] {
					t.Errorf("goroutine %d: got %v, %v, want fresh, or its own context's end", g, fresh, err)
				}
			}
		})
	}
	running.Wait()
}

func testPrune(t *testing.T, db Database) {
	s := open(t, db)
	consume(t, s, nonces(0, 100)...)
	prune := func(now time.Time, want int) {
		t.Helper()
		if got, err := s.Prune(t.Context(), now); err != nil || got != want {
			t.Errorf("got %d forgotten, %v, want %d", got, err, want)
		}
	}
	prune(start.Add(-time.Second), 0)
	prune(start.Add(9*time.Second), 10)
	prune(start.Add(9*time.Second), 0)
	if got := consume(t, s, nonce(9), nonce(10)); !got[0] || got[1] {
		t.Errorf("got %v, want the forgotten one fresh and the next one used", got)
	}
	prune(start.Add(time.Hour), 91)
	const many = store.PruneBound + 10
	for from := 0; from < many; from += 5000 {
		var all []store.Nonce
		for _, n := range nonces(from, min(from+5000, many)) {
			n.Until = start
			all = append(all, n)
		}
		consume(t, s, all...)
	}
	prune(start, store.PruneBound)
	prune(start, 10)
}
