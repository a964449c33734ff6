package attestserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

func TestNonces(t *testing.T) {
	s := newSealer(bytes.Repeat([]byte{1}, 32), "acme")
	random := [16]byte{1, 2, 3}
	midnight := time.Date(2027, 1, 16, 0, 0, 0, 0, time.UTC)
	nonce := s.seal(random, deviceA, start, time.Minute)
	raw, _ := base64.RawURLEncoding.DecodeString(nonce)
	flip := func(at int) string {
		other := bytes.Clone(raw)
		other[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(other)
	}
	for _, row := range []struct {
		name   string
		sealer *sealer
		text   string
		device string
		at     time.Time
		want   bool
	}{
		{"the nonce itself", s, nonce, deviceA, start, true},
		{"by another server of the same account", newSealer(bytes.Repeat([]byte{1}, 32), "acme"), nonce, deviceA, start, true},
		{"in its last second", s, nonce, deviceA, start.Add(59 * time.Second), true},
		{"when it expires", s, nonce, deviceA, start.Add(time.Minute), false},
		{"long before it was made", s, nonce, deviceA, start.Add(-time.Hour), false},
		{"for another device", s, nonce, deviceB, start, false},
		{"for another account with the same key", newSealer(bytes.Repeat([]byte{1}, 32), "acm"), nonce, "e" + deviceA, start, false},
		{"for another account", newSealer(bytes.Repeat([]byte{2}, 32), "acme"), nonce, deviceA, start, false},
		{"with a later expiry", s, flip(7), deviceA, start, false},
		{"with another random part", s, flip(10), deviceA, start, false},
		{"with another seal", s, flip(39), deviceA, start, false},
		{"with padding", s, nonce + "==", deviceA, start, false},
		{"with a line break", s, nonce + "\n", deviceA, start, false},
		{"with a line break in it", s, nonce[:20] + "\n" + nonce[21:], deviceA, start, false},
		{"cut", s, nonce[:len(nonce)-1], deviceA, start, false},
		{"in another alphabet", s, base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 40)), deviceA, start, false},
		{"none", s, "", deviceA, start, false},
		{"after midnight", s, s.seal(random, deviceA, midnight.Add(-time.Second), nextNonceTTL), deviceA, midnight.Add(time.Minute), true},
		{"made ahead of midnight by a server whose clock is slow", s, s.seal(random, deviceA, midnight.Add(time.Second), nextNonceTTL), deviceA, midnight.Add(-time.Second), false},
		{"for longer than any is made for", s, s.seal(random, deviceA, start, time.Hour), deviceA, start, false},
	} {
		n, ok := row.sealer.open(row.text, row.device, row.at)
		if ok != row.want {
			t.Errorf("%s: got %v, want %v", row.name, ok, row.want)
		}
		if ok && n.ID != random {
			t.Errorf("%s: got id %x, want %x", row.name, n.ID, random)
		}
	}
	if n, _ := s.open(nonce, deviceA, start); !n.Until.Equal(start.Add(time.Minute)) {
		t.Errorf("got until %v, want %v", n.Until, start.Add(time.Minute))
	}
}

// FuzzNonce holds that only what was sealed opens.
func FuzzNonce(f *testing.F) {
	s := newSealer(bytes.Repeat([]byte{1}, 32), "acme")
	f.Add(s.seal([16]byte{}, deviceA, start, time.Minute), deviceA, int64(0))
	f.Add(s.seal([16]byte{1}, deviceB, start, nextNonceTTL), deviceA, int64(30))
	f.Add("", "", int64(0))
	f.Fuzz(func(t *testing.T, text, device string, seconds int64) {
		now := start.Add(time.Duration(seconds%1000) * time.Second)
		n, ok := s.open(text, device, now)
		if !ok {
			return
		}
		made := n.Until.Add(-time.Minute) // any time of the same day seals the same
		if again := s.seal(n.ID, device, made, time.Minute); again != text {
			if again = s.seal(n.ID, device, n.Until.Add(-nextNonceTTL), nextNonceTTL); again != text {
				t.Errorf("got %s opened for %q, want only what was sealed", text, device)
			}
		}
	})
}

// However many use a nonce at once, it is fresh for one of them.
func TestANonceIsConsumedOnce(t *testing.T) {
	m := newMemory()
	b := newBatcher(m.Consume)
	const nonces, each = 20, 25
	var group sync.WaitGroup
	var mu sync.Mutex
	fresh := map[byte]int{}
	for i := range nonces * each {
		group.Go(func() {
			id := byte(i % nonces)
			ok, err := b.use(context.Background(), store.Nonce{ID: [16]byte{id}, Until: start})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				fresh[id]++
			}
		})
	}
	group.Wait()
	for id := range byte(nonces) {
		if fresh[id] != 1 {
			t.Errorf("nonce %d: got fresh %d times, want once", id, fresh[id])
		}
	}
}

// Those who wait share a call of the store, and each gets its own answer.
func TestWaitingNoncesShareACall(t *testing.T) {
	var mu sync.Mutex
	var sizes []int
	hold := make(chan struct{})
	var entered atomic.Int64 // nonces that the store was handed
	b := newBatcher(func(_ context.Context, nonces []store.Nonce) ([]bool, error) {
		entered.Add(int64(len(nonces)))
		<-hold
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, len(nonces))
		fresh := make([]bool, len(nonces))
		for i, n := range nonces {
			fresh[i] = n.ID[0]%2 == 0
		}
		return fresh, nil
	})
	const all = 600
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			id := [16]byte{byte(i), byte(i >> 8)}
			if ok, err := b.use(context.Background(), store.Nonce{ID: id}); err != nil || ok != (i%2 == 0) {
				t.Errorf("nonce %d: got %v, %v, want %v", i, ok, err, i%2 == 0)
			}
		})
	}
	for arrived := 0; arrived < all; runtime.Gosched() {
		b.mu.Lock()
		arrived = len(b.waiting) + int(entered.Load())
		b.mu.Unlock()
	}
	close(hold)
	group.Wait()
	total := 0
	for _, n := range sizes {
		total += n
		if n > maxBatch {
			t.Errorf("got a call for %d nonces, want at most %d", n, maxBatch)
		}
	}
	if total != all || len(sizes) > 1+(all+maxBatch-1)/maxBatch {
		t.Errorf("got %d nonces in %d calls, want %d in few", total, len(sizes), all)
	}
}

func TestNoncesThatCannotBeConsumed(t *testing.T) {
	broken := newBatcher(func(context.Context, []store.Nonce) ([]bool, error) { return nil, errGone })
	if ok, err := broken.use(context.Background(), store.Nonce{}); ok || !errors.Is(err, errGone) {
		t.Errorf("a store that fails: got %v, %v, want its error", ok, err)
	}
	short := newBatcher(func(context.Context, []store.Nonce) ([]bool, error) { return []bool{}, nil })
	if ok, err := short.use(context.Background(), store.Nonce{}); ok || err == nil {
		t.Errorf("a store that answers for too few: got %v, %v, want an error", ok, err)
	}
	hold := make(chan struct{})
	defer close(hold)
	slow := newBatcher(func(context.Context, []store.Nonce) ([]bool, error) { <-hold; return []bool{true}, nil })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if ok, err := slow.use(ctx, store.Nonce{}); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has gone: got %v, %v, want its context's error", ok, err)
	}
}
