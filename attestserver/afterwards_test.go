package attestserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Who sends the next request on the connection is not kept waiting by what is done about the one before, and a log that
// hangs holds up no more than so many.
func TestWhatIsDoneAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAfterwards()
		hang, done := make(chan struct{}), atomic.Int64{}
		for range maxAfterwards {
			a.do(func() { <-hang; done.Add(1) })
		}
		a.do(func() { done.Add(1) }) // one too many is done at once
		if got := done.Load(); got != 1 {
			t.Errorf("while all hang: got %d done, want the one too many", got)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v from waiting a second, want that it has passed", err)
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if err := a.wait(t.Context()); err != nil || done.Load() != maxAfterwards+1 {
					t.Errorf("after waiting: got %d done, %v, want %d", done.Load(), err, maxAfterwards+1)
				}
			})
		}
		synctest.Wait()
		close(hang)
		waiting.Wait()
		if len(a.places)+len(a.waiting) != 0 {
			t.Errorf("got %d places taken and %d waiting, want none", len(a.places), len(a.waiting))
		}
	})
}
