//go:build unix

package loadtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
)

const (
	device  = "h4gubfCFzJu81j/U2BJsdg=="
	appName = "com.example.app"
)

var digest = sha256.Sum256([]byte("the app"))

// service is a server over a SQLite database with one account at its bounds: 250 registrations and 25 domains, of
// which five are encrypted.
type service struct {
	*attestserver.Server
	db          *sqlite.Store
	t           testing.TB
	key         []byte // of the account's library
	library     string
	fingerprint string
}

func newService(t testing.TB) *service {
	t.Helper()
	sealing, err := seal.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), t.TempDir(), seal.New(sealing))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	a, _, err := account.New("acme", nil, time.Now(), account.Network{Primary: []string{"https://attest.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range account.MaxDomains {
		d := account.Domain{Name: fmt.Sprintf("api%02d.example.com", i)}
		if i%5 == 0 {
			d.Format = account.JWE
		}
		a.Domains = append(a.Domains, d)
	}
	library := a.Libraries[0]
	for i := range account.MaxRegistrations {
		r := account.Registration{Digest: sha256.Sum256(fmt.Append(nil, i)), Package: appName, Version: fmt.Sprint(i), Library: library.ID}
		if i == account.MaxRegistrations/2 {
			r.Digest = digest
		}
		a.Registrations = append(a.Registrations, r)
	}
	if err := db.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, db: db, key: library.Key.Bytes(), library: library.ID}
	if s.fingerprint, err = issue.KeyFingerprint(a); err != nil {
		t.Fatal(err)
	}
	if s.Server, err = attestserver.New(attestserver.Options{Store: db}); err != nil {
		t.Fatal(err)
	}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) post(path, mac string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(attestapi.HeaderMAC, mac)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request)
	return w
}

func (s *service) nonce() string {
	body, _ := json.Marshal(attestapi.ChallengeRequest{Account: "acme", Library: s.library, DeviceID: device})
	var answer attestapi.ChallengeResponse
	if err := json.Unmarshal(s.post(attestapi.PathChallenge, "", body).Body.Bytes(), &answer); err != nil {
		s.t.Error(err)
	}
	return answer.Nonce
}

// request is what the registered app sends.
func (s *service) request(nonce string) (body []byte, mac string) {
	body, err := json.Marshal(attestapi.AttestRequest{
		Version: 1, Account: "acme", Nonce: nonce, ConfigKey: s.fingerprint, ConfigVersion: s.Account("acme").ConfigVersion, RulesVersion: 1,
		Library: attestapi.LibraryRef{ID: s.library}, DeviceID: device,
		App: attestapi.App{Package: appName, Version: "1", Measurement: attestapi.Measurement(nonce, digest)},
	})
	if err != nil {
		s.t.Error(err)
	}
	return body, attestapi.RequestMAC(s.key, nonce, device, body)
}

// However many use a nonce at once, it brings good tokens to one of them.
func TestANonceIsConsumedOnce(t *testing.T) {
	s := newService(t)
	const nonces, each = 8, 25
	var mu sync.Mutex
	good := map[int]int{}
	var group sync.WaitGroup
	for i := range nonces {
		body, mac := s.request(s.nonce())
		for range each {
			group.Go(func() {
				w := s.post(attestapi.PathAttest, mac, body)
				var answer attestapi.AttestResponse
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || len(answer.Tokens) != account.MaxDomains {
					t.Errorf("got %d with %d tokens, %v, want 200 with one for each domain", w.Code, len(answer.Tokens), err)
				}
				valid := 0
				for _, token := range answer.Tokens {
					if issue.Check(s.Account("acme"), token.Text, time.Now()).Valid {
						valid++
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if valid == account.MaxDomains {
					good[i]++
				} else if valid > 0 {
					t.Errorf("got %d good tokens and %d others, want all the same", valid, len(answer.Tokens)-valid)
				}
			})
		}
	}
	group.Wait()
	for i := range nonces {
		if good[i] != 1 {
			t.Errorf("nonce %d: got good tokens %d times, want once", i, good[i])
		}
	}
}

// processorTime is what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkAttest measures attestations of an account at its bounds, without the network: go test -run '^$' -bench
// Attest -benchtime 10s ./attestserver/loadtest. Each nonce is committed to disk before it is answered. The processor
// time, which does not depend on what else the machine does, includes that of the clients.
func BenchmarkAttest(b *testing.B) {
	for _, clients := range []int{8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := newService(b)
			var mu sync.Mutex
			var took []time.Duration
			b.ReportAllocs()
			busy := processorTime(b)
			b.ResetTimer()
			var group sync.WaitGroup
			for client := range clients {
				group.Go(func() {
					own := make([]time.Duration, 0, b.N/clients+1)
					for i := client; i < b.N; i += clients {
						body, mac := s.request(s.nonce())
						begin := time.Now()
						w := s.post(attestapi.PathAttest, mac, body)
						own = append(own, time.Since(begin))
						if w.Code != 200 {
							b.Errorf("got %d", w.Code)
						}
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, own...)
				})
			}
			group.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64((processorTime(b)-busy).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attest/s")
		})
	}
}
