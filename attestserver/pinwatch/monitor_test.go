package pinwatch

import (
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// R209, with real servers and a real receiver: for a key of every kind, a certificate is swapped under the monitor's
// eyes for one with another key, and back, and each time the webhook says so. Nothing is left when it ends.
func TestACertificateIsSwapped(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	root := newAuthority("Root", nil)
	issuing := newAuthority("Issuing", root)
	later := time.Now().AddDate(0, 6, 0)
	r, address := receive(t)
	hook, err := NewWebhook(address, webhookSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &Looker{Roots: root.pool(), Connect: map[string]string{}, Timeout: patience}
	of, registry, said := &accounts{}, prometheus.NewRegistry(), &lockedBuffer{}
	servers := map[string]*server{}
	var domains []account.Domain
	for kind, key := range keys() {
		name := strings.ToLower(kind) + ".example"
		servers[name] = serveTLS(t, issuing.certify(name, key, later))
		l.Connect[name] = servers[name].address
		domains = append(domains, pinned(name, newAuthority("backup", nil).pin(), pinOf(servers[name].certificate.Load())))
	}
	l.Connect["hang.example"] = serve(t, hang) // holds up nobody
	acme := of.set("acme", append(domains, pinned("hang.example"))...)
	w, stop := watch(t, Options{Accounts: of.now, Look: l.Chain, Every: 20 * time.Millisecond, Webhook: hook, Metrics: registry, Log: said.logger()})
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for _, s := range servers {
		for s.shakes.Load() < 2 { // it has been found in order
			<-look.C
		}
	}
	for _, d := range domains {
		s := servers[d.Name]
		good := s.certificate.Load()
		bad := issuing.certify(d.Name, newKey(), later)
		s.certificate.Store(bad)
		got := r.next(t).message
		if got.Event != "problem" || got.Account != "acme" || got.Domain != d.Name || got.State != "mismatched" || got.Previous != "matched" ||
			got.Leaf != pinOf(bad) || got.Before != pinOf(good) || fmt.Sprint(got.Pins) != fmt.Sprint(d.Pins) || !strings.Contains(got.Text, pinOf(bad)) || got.ID == "" {
			t.Errorf("%s: got %+v, want that no pin matches any more", d.Name, got)
		}
		if state := stateOf(w, acme, d.Name); state.State != "mismatched" || state.Leaf != pinOf(bad) {
			t.Errorf("%s: got the status %+v", d.Name, state)
		}
		s.certificate.Store(good)
		if got := r.next(t).message; got.Event != "recovered" || got.Domain != d.Name || got.State != "matched" || got.Previous != "mismatched" {
			t.Errorf("%s: got %+v, want that it is in order again", d.Name, got)
		}
	}
	stop()
	if got, want := strings.Count(said.String(), "state=mismatched previous=matched"), len(domains); got != want {
		t.Errorf("got %d lines of changes for the worse, want %d: %s", got, want, said)
	}
	if strings.Contains(said.String(), "xoxb") || strings.Contains(said.String(), string(webhookSecret)) {
		t.Errorf("got the log %s, want no secret in it", said)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	delivered := 0.0
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "attestserver_pin_webhooks_total" && m.Label[0].GetValue() == "delivered" {
				delivered = m.GetCounter().GetValue()
			}
		}
	}
	if want := float64(2*len(domains) - 1); delivered < want { // the end may have come before the last was counted
		t.Errorf("got %.0f messages delivered, want %.0f", delivered, want)
	}
}

func stateOf(w *Watcher, a *account.Account, domain string) attestapi.PinStatus {
	for _, d := range w.Statuses(a).Domains {
		if d.Domain == domain {
			return d
		}
	}
	return attestapi.PinStatus{}
}

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // what net/http's test servers say of handshakes that are meant to fail
	m.Run()
}
