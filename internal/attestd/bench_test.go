package attestd_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
)

// A full account, asked by devices that are warm: one request an attestation, of which each brings tokens for all
// domains. Clients and service share the machine's cores.
func BenchmarkWarmAttestation(b *testing.B) {
	for _, db := range databases() {
		b.Run(db.name, func(b *testing.B) {
			s, a := fullService(b, db)
			clients := warm(b, s, a)
			b.ResetTimer()
			f := load(b, clients, b.N)
			b.StopTimer()
			b.ReportMetric(f.rate, "attestations/s")
			b.ReportMetric(float64(f.p99.Microseconds())/1000, "p99-ms")
		})
	}
}

// devices is how many attest at once.
const devices = 16

// warm makes devices that have a nonce for the next attestation.
func warm(tb testing.TB, s *service, a apps) []*lean {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: devices}
	tb.Cleanup(transport.CloseIdleConnections)
	clients := make([]*lean, devices)
	for i := range clients {
		clients[i] = a.client(s, i)
		clients[i].client = &http.Client{Transport: transport, Timeout: patience}
		if _, err := clients[i].attest(); err != nil {
			tb.Fatal(err)
		}
	}
	return clients
}

// figures are what a load saw.
type figures struct {
	rate float64 // attestations a second
	p99  time.Duration
}

// load makes n attestations.
func load(tb testing.TB, clients []*lean, n int) figures {
	tb.Helper()
	var next atomic.Int64
	times := make([][]time.Duration, len(clients))
	var running sync.WaitGroup
	began := time.Now()
	for i, client := range clients {
		running.Add(1)
		go func() { // ends when enough attestations are made
			defer running.Done()
			for next.Add(1) <= int64(n) {
				start := time.Now()
				if _, err := client.attest(); err != nil {
					tb.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		}()
	}
	running.Wait()
	took := time.Since(began)
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) == 0 {
		tb.Fatal("no attestation was answered")
	}
	return figures{rate: float64(len(all)) / took.Seconds(), p99: all[len(all)*99/100]}
}

// memory is the service's resident memory in MB.
func (s *service) memory(tb testing.TB) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		tb.Skip("the memory of a process is read from /proc, which is not there")
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	tb.Fatal("no VmRSS in /proc")
	return 0
}

// fullService serves an account with as many registrations and domains as it may have.
func fullService(tb testing.TB, db database) (*service, apps) {
	tb.Helper()
	data, flags := db.prepare(tb)
	s := startService(tb, data, flags...)
	a := newApps(tb, s)
	s.kill() // the management API would take its time: it is limited
	db.change(tb, data, flags, func(acc *account.Account) {
		by, now := account.Actor{Name: "test", Role: account.Admin}, time.Now()
		for len(acc.Domains) < account.MaxDomains {
			if err := acc.AddDomain(by, now, account.Domain{Name: fmt.Sprintf("api-%d.example.com", len(acc.Domains)), Format: account.JWS}); err != nil {
				tb.Fatal(err)
			}
		}
		for len(acc.Registrations) < account.MaxRegistrations {
			r := account.Registration{Package: attesting, Version: "1.0", Library: a.library.ID}
			_, _ = rand.Read(r.Digest[:]) // never fails, by its documentation
			if _, err := acc.AddRegistration(by, now, r, ""); err != nil {
				tb.Fatal(err)
			}
		}
		a.config = acc.ConfigVersion
	})
	return startService(tb, data, flags...), a
}

// Memory stays flat over a million attestations: the service keeps nothing of them but spent nonces, for minutes.
func TestMemoryIsFlat(t *testing.T) {
	if !long() {
		t.Skip("makes a million attestations; make attest-long runs it")
	}
	s, a := fullService(t, databases()[0])
	clients := warm(t, s, a)
	load(t, clients, 100_000) // until everything has been allocated once
	before := s.memory(t)
	f := load(t, clients, 1_000_000)
	after := s.memory(t)
	t.Logf("%.0f attestations/s; %.0f MB before, %.0f MB after", f.rate, before, after)
	if after > before*1.2+8 {
		t.Errorf("got %.0f MB after a million attestations, want what there was before: %.0f", after, before)
	}
}
