//go:build unix

package attestserver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// largest fills an account to its bounds: 250 registrations, 25 domains, of which five are encrypted.
func largest(_ *Options, a *account.Account) {
	a.DemoDomain, a.Domains = "", nil
	for i := range account.MaxDomains {
		d := account.Domain{Name: fmt.Sprintf("api%02d.example.com", i)}
		if i%5 == 0 {
			d.Format = account.JWE
		}
		a.Domains = append(a.Domains, d)
	}
	for i := len(a.Registrations); i < account.MaxRegistrations; i++ {
		a.Registrations = append(a.Registrations, account.Registration{Digest: digestOf(fmt.Sprint(i)), Package: appName, Version: fmt.Sprint(i), Library: libraryA})
	}
}

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// processorTime is what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkAttest measures attestations of an account at its bounds, without the network: go test -bench Attest
// -benchtime 10s ./attestserver. SQLite commits each nonce to disk before it is answered. The processor time, which
// does not depend on what else the machine does, includes that of the client.
func BenchmarkAttest(b *testing.B) {
	for _, row := range []struct {
		name   string
		change func(o *Options, a *account.Account)
		bad    bool
	}{
		{"small", nil, false},
		{"largest", largest, false},
		{"largest-failing", largest, true},
		{"largest-sqlite", func(o *Options, a *account.Account) { largest(o, a); o.Store = sqliteWith(b, a) }, false},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := newRig(b, row.change)
			var sequence atomic.Uint64
			c := r.find("acme")
			template := r.genuine("").request
			key := bytes.Repeat([]byte{'a'}, 16)
			var mu sync.Mutex
			var took []time.Duration
			b.ReportAllocs()
			b.SetParallelism(32) // clients that wait for the store at once
			busy := processorTime(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var own []time.Duration
				for pb.Next() {
					var random [16]byte
					binary.BigEndian.PutUint64(random[:], sequence.Add(1))
					q := template
					q.Nonce = c.nonces.seal(random, deviceA, start, nonceTTL)
					digest := digestOf("app 2")
					if row.bad {
						digest = digestOf("x")
					}
					q.App.Measurement = attestapi.Measurement(q.Nonce, digest)
					body, _ := json.Marshal(q)
					request := httptest.NewRequest(http.MethodPost, attestapi.PathAttest, bytes.NewReader(body))
					request.Header.Set("Content-Type", "application/json")
					request.Header.Set(attestapi.HeaderMAC, attestapi.RequestMAC(key, q.Nonce, deviceA, body))
					w := &discard{header: http.Header{}, status: 200}
					begin := time.Now()
					r.ServeHTTP(w, request)
					own = append(own, time.Since(begin))
					if w.status != 200 {
						b.Errorf("got %d", w.status)
					}
				}
				mu.Lock()
				took = append(took, own...)
				mu.Unlock()
			})
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-busy).Microseconds())/float64(b.N), "cpu-us/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attest/s")
		})
	}
}
