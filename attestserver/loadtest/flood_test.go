//go:build unix

package loadtest

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/store"
)

// A flood of attestations that fail is answered like any other. What is kept of it is bounded by the second, whatever
// comes in, and so is memory; attestations that pass meanwhile are not held up by it, but for the processor's time.
func TestAFloodOfFailures(t *testing.T) {
	flood := 20_000
	if os.Getenv("APPROOVGATE_ATTEST") == "long" {
		flood = 100_000
	}
	s := newService(t)
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	before := heap()
	quiet := s.passing(50, nil)
	began := time.Now()
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			body, mac := s.request("made up")
			for range flood / 4 {
				if w := s.post(attestapi.PathAttest, mac, body); w.Code != http.StatusOK {
					t.Errorf("got %d, want 200", w.Code)
				}
			}
		})
	}
	go func() { group.Wait(); close(done) }()
	busy := s.passing(1<<30, done)
	seconds := int(time.Since(began)/time.Second) + 2
	end()
	running.Wait()
	kept, err := s.db.Failures(t.Context(), store.FailureQuery{Account: "acme", Device: device, Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	const aSecond = 50 // that are not proven
	if len(kept) == 0 || len(kept) > seconds*aSecond {
		t.Errorf("got %d kept of %d in %d s, want some, and at most %d a second", len(kept), flood, seconds, aSecond)
	}
	const most = 16 << 20 // bytes
	if grown := heap() - before; grown > most {
		t.Errorf("got %d bytes more in use, want at most %d", grown, most)
	}
	t.Logf("%d failures in %v, %d kept; passing ones took %v (p50) before and %v while it lasted", flood, time.Since(began).Round(time.Millisecond), len(kept), quiet, busy)
}

// passing does attestations that pass, until there are enough or it is told to end, and returns the median of their time. A
// disk that others keep busy may hold one up for longer than the server waits for its store, which answers 503 then.
func (s *service) passing(most int, end <-chan struct{}) time.Duration {
	var took []time.Duration
	late := 0
	for len(took) < most {
		body, mac := s.request(s.nonce())
		began := time.Now()
		w := s.post(attestapi.PathAttest, mac, body)
		if w.Code == http.StatusServiceUnavailable {
			late++
		} else if w.Code != http.StatusOK {
			s.t.Errorf("one that passes: got %d, want 200", w.Code)
		}
		took = append(took, time.Since(began))
		select {
		case <-end:
			most = 0
		default:
		}
	}
	if late > 1+len(took)/50 {
		s.t.Errorf("of %d that pass: got %d times 503, want almost none", len(took), late)
	}
	slices.Sort(took)
	return took[len(took)/2].Round(time.Microsecond)
}

// heap is the memory in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
