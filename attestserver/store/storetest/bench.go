package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Bench measures a dialect upon an empty database: nonces from 64 goroutines, changes to an account at its bounds,
// reading ten of those, and keeping failures.
func Bench(b *testing.B, make func(b *testing.B) store.Store) {
	b.Run("Consume", func(b *testing.B) { benchConsume(b, make(b), false) })
	b.Run("ConsumeWhileChanging", func(b *testing.B) { benchConsume(b, make(b), true) })
	b.Run("Change", func(b *testing.B) {
		s := make(b)
		create(b, s, large("acme"))
		b.ResetTimer()
		for b.Loop() {
			change(b, s, "acme", func(a *account.Account) {
				a.Registrations[7].Registered = a.Registrations[7].Registered.Add(time.Second)
			})
		}
	})
	b.Run("Accounts", func(b *testing.B) {
		s := make(b)
		for i := range 10 {
			create(b, s, large(fmt.Sprint(i)))
		}
		b.ResetTimer()
		for b.Loop() {
			if all, _, err := s.Accounts(b.Context()); err != nil || len(all) != 10 {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("KeepFailures", func(b *testing.B) { // 1,000 at once, the most that a server keeps in a second
		s := make(b)
		var some []store.Failure
		for n := range 1000 {
			some = append(some, failure("acme", n, true))
		}
		for b.Loop() {
			keep(b, s, some...)
		}
	})
	b.Run("Generation", func(b *testing.B) {
		s := make(b)
		for b.Loop() {
			generation(b, s)
		}
	})
}

func large(name string) *account.Account {
	a := Small(name)
	full(random{rand.New(rand.NewPCG(1, 2))}, a)
	return a
}

// benchConsume reports p50 and p99 of the calls of 64 goroutines, each with one nonce.
func benchConsume(b *testing.B, s store.Store, changing bool) {
	const goroutines = 64
	create(b, s, large("acme"))
	end := startChanging(b, s, changing)
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var running sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				n := store.Nonce{Until: start}
				for at := 0; at < 16; at += 8 {
					v := rand.Uint64()
					for j := range 8 {
						n.ID[at+j] = byte(v >> (8 * j))
					}
				}
				began := time.Now()
				consume(b, s, n)
				took[i] = time.Since(began)
			}
		})
	}
	running.Wait()
	b.StopTimer()
	end()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "nonces/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// startChanging changes an account again and again until the function it returns is called.
func startChanging(b *testing.B, s store.Store, changing bool) (end func()) {
	if !changing {
		return func() {}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				change(b, s, "acme", func(a *account.Account) { a.ConfigVersion++ })
			}
		}
	})
	return func() { close(done); running.Wait() }
}
