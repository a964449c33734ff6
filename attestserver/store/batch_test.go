package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/internal/pgtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

func nonce(n byte) store.Nonce { return store.Nonce{ID: [16]byte{n}, Until: time.Unix(int64(n), 0)} }

// gated is a writer that begins a batch when it is let, and remembers what it was given.
type gated struct {
	begun   chan []store.Nonce // receives each batch as it begins
	let     chan error         // what it ends with
	written map[[16]byte]bool
}

func newGated() *gated {
	return &gated{begun: make(chan []store.Nonce), let: make(chan error), written: map[[16]byte]bool{}}
}

func (g *gated) write(_ context.Context, all []store.Nonce) ([]bool, error) {
	g.begun <- slices.Clone(all)
	if err := <-g.let; err != nil {
		return nil, err
	}
	var fresh []bool
	for _, n := range all {
		fresh = append(fresh, !g.written[n.ID])
		g.written[n.ID] = true
	}
	return fresh, nil
}

type answer struct {
	fresh []bool
	err   error
}

// ask calls Consume and returns where the answer will be. With a context of its own it has entered the queue, or
// been refused, when counted says so.
func ask(ctx context.Context, b *store.Batcher, all ...store.Nonce) chan answer {
	to := make(chan answer, 1)
	go func() {
		fresh, err := b.Consume(ctx, all)
		to <- answer{fresh, err}
	}()
	return to
}

func want(t *testing.T, what string, got answer, fresh []bool, err error) {
	t.Helper()
	if !slices.Equal(got.fresh, fresh) || !errors.Is(got.err, err) {
		t.Errorf("%s: got %v, %v, want %v, %v", what, got.fresh, got.err, fresh, err)
	}
}

// blocked is a Batcher that writes nonce 0 until it is let.
func blocked(t *testing.T) (*gated, *store.Batcher, chan answer) {
	g := newGated()
	b := store.NewBatcher(g.write)
	first := ask(t.Context(), b, nonce(0))
	<-g.begun
	return g, b, first
}

// settled waits until n calls wait in the queue.
func settled(t *testing.T, b *store.Batcher, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); b.Waiting() != n; {
		if time.Now().After(end) {
			t.Fatalf("got %d calls that wait, want %d", b.Waiting(), n)
		}
		<-time.After(time.Millisecond)
	}
}

func TestCallsThatWaitShareABatch(t *testing.T) {
	g, b, first := blocked(t)
	defer b.Close()
	one := ask(t.Context(), b, nonce(1), nonce(2))
	settled(t, b, 1)
	two := ask(t.Context(), b, nonce(2), nonce(3), nonce(3), nonce(0))
	settled(t, b, 2)
	late := nonce(1)
	late.Until = time.Unix(99, 0)
	three := ask(t.Context(), b, late)
	settled(t, b, 3)
	g.let <- nil
	want(t, "the first", <-first, []bool{true}, nil)
	got := <-g.begun
	if expected := []store.Nonce{late, nonce(2), nonce(3), nonce(0)}; !slices.Equal(got, expected) {
		t.Errorf("got batch %v, want %v", got, expected)
	}
	g.let <- nil
	want(t, "one", <-one, []bool{true, true}, nil)
	want(t, "two", <-two, []bool{false, true, false, false}, nil)
	want(t, "three", <-three, []bool{false}, nil)
}

func TestACallerThatGivesUp(t *testing.T) {
	g, b, first := blocked(t)
	defer b.Close()
	early, giveUpEarly := context.WithCancel(t.Context())
	lateCtx, giveUpLate := context.WithCancel(t.Context())
	gone := ask(early, b, nonce(1))
	settled(t, b, 1)
	slow := ask(lateCtx, b, nonce(2))
	settled(t, b, 2)
	stays := ask(t.Context(), b, nonce(1), nonce(2), nonce(3))
	settled(t, b, 3)
	giveUpEarly()
	want(t, "while it waits", <-gone, nil, context.Canceled)
	g.let <- nil
	<-first
	if got := <-g.begun; len(got) != 3 {
		t.Errorf("got batch %v, want 3 nonces", got)
	}
	giveUpLate()
	want(t, "while it is written", <-slow, nil, context.Canceled)
	g.let <- nil
	want(t, "who stays", <-stays, []bool{true, false, true}, nil) // nonce 2 went to the one that gave up late
	want(t, "from the start", <-ask(early, b, nonce(4)), nil, context.Canceled)
}

func TestABatchThatFails(t *testing.T) {
	g, b, first := blocked(t)
	defer b.Close()
	one, two := ask(t.Context(), b, nonce(1)), ask(t.Context(), b, nonce(2))
	settled(t, b, 2)
	g.let <- nil
	<-first
	<-g.begun
	fault := errors.New("disk full")
	g.let <- fault
	want(t, "one", <-one, nil, fault)
	want(t, "two", <-two, nil, fault)
	again := ask(t.Context(), b, nonce(1))
	<-g.begun
	g.let <- nil
	want(t, "again", <-again, []bool{true}, nil)
}

func TestClosing(t *testing.T) {
	g, b, first := blocked(t)
	waits := ask(t.Context(), b, nonce(1))
	settled(t, b, 1)
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(b.Close)
	}
	g.let <- nil // Close waits for what is written
	want(t, "the batch that is written", <-first, []bool{true}, nil)
	for open := true; open; { // chance decides whether the loop sees the end or the call first
		select {
		case <-g.begun:
			g.let <- nil
		case got := <-waits:
			open = false
			if got.err == nil && !got.fresh[0] || got.err != nil && !errors.Is(got.err, store.ErrClosed) {
				t.Errorf("got %v, %v, want fresh or %v", got.fresh, got.err, store.ErrClosed)
			}
		}
	}
	closing.Wait()
	want(t, "afterwards", <-ask(t.Context(), b, nonce(2)), nil, store.ErrClosed)
}

func TestAFullQueue(t *testing.T) {
	g, b, first := blocked(t)
	var all []chan answer
	for range store.BatchQueue {
		all = append(all, ask(t.Context(), b, nonce(1)))
	}
	settled(t, b, store.BatchQueue)
	ctx, cancel := context.WithCancel(t.Context())
	over := ask(ctx, b, nonce(2))
	cancel()
	want(t, "who finds it full and gives up", <-over, nil, context.Canceled)
	var batches atomic.Int32
	var serving sync.WaitGroup
	serving.Go(func() {
		for range g.begun {
			batches.Add(1)
			g.let <- nil
		}
	})
	g.let <- nil
	<-first
	fresh := 0
	for _, one := range all {
		if got := <-one; got.err == nil && got.fresh[0] {
			fresh++
		}
	}
	if fresh != 1 || batches.Load() > 2 {
		t.Errorf("got %d fresh in %d batches, want one, in a batch or two", fresh, batches.Load())
	}
	b.Close()
	close(g.begun)
	serving.Wait()
}
