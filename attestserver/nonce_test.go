package attestserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
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

func TestNoncesThatCannotBeConsumed(t *testing.T) {
	short := &memory{}
	s := &Server{o: Options{Store: answersFor{short, 0}}}
	if ok, err := s.use(context.Background(), store.Nonce{}); ok || err == nil {
		t.Errorf("a store that answers for too few: got %v, %v, want an error", ok, err)
	}
	s = &Server{o: Options{Store: answersFor{short, 2}}}
	if ok, err := s.use(context.Background(), store.Nonce{}); ok || err == nil {
		t.Errorf("a store that answers for too many: got %v, %v, want an error", ok, err)
	}
	r := newRig(t, nil)
	r.store.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if ok, err := r.use(ctx, store.Nonce{}); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has gone: got %v, %v, want its context's error", ok, err)
	}
}

// answersFor is a store that says of any nonces that n were fresh.
type answersFor struct {
	*memory
	n int
}

func (a answersFor) Consume(context.Context, []store.Nonce) ([]bool, error) {
	return []bool{true, true, true}[:a.n], nil
}

// Forgetting goes on while there may be more, and comes to an end.
func TestPruning(t *testing.T) {
	m := &prunes{memory: newMemory(), left: []int{store.PruneBound, store.PruneBound, 5, 7}}
	s, err := New(Options{Store: m})
	if err != nil {
		t.Fatal(err)
	}
	s.prune(context.Background())
	if len(m.left) != 1 {
		t.Errorf("got %v left to forget, want it asked until there is no more", m.left)
	}
	m.breakDown(errGone)
	s.prune(context.Background())
}

type prunes struct {
	*memory
	left []int
}

func (p *prunes) Prune(ctx context.Context, now time.Time) (int, error) {
	if _, err := p.memory.Prune(ctx, now); err != nil {
		return 0, err
	}
	n := p.left[0]
	p.left = p.left[1:]
	return n, nil
}
