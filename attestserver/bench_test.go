package attestserver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

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

// BenchmarkAttest measures answering alone: without the network, and without a disk, for which see package loadtest.
func BenchmarkAttest(b *testing.B) {
	for _, row := range []struct {
		name   string
		change func(o *Options, a *account.Account)
		bad    bool
	}{
		{"small", nil, false},
		{"largest", largest, false},
		{"largest-failing", largest, true},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := newRig(b, row.change)
			var sequence atomic.Uint64
			c := r.find("acme")
			template := r.genuine("").request
			key := bytes.Repeat([]byte{'a'}, 16)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
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
					r.ServeHTTP(w, request)
					if w.status != 200 {
						b.Errorf("got %d", w.status)
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attest/s")
		})
	}
}
