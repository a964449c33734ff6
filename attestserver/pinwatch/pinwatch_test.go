package pinwatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/pins"
)

// fleet answers looks as it is told, and writes down when they were.
type fleet struct {
	mu     sync.Mutex                 // guards the fields below
	chains map[string]pins.Chain      // of a domain
	hangs  map[string]bool            // a look at it ends with its time
	looks  map[string][]time.Duration // since the beginning
	began  time.Time
	under  int
	most   int
}

func newFleet() *fleet {
	return &fleet{chains: map[string]pins.Chain{}, hangs: map[string]bool{}, looks: map[string][]time.Duration{}, began: time.Now()}
}

func (f *fleet) look(ctx context.Context, domain string) (pins.Chain, error) {
	f.mu.Lock()
	f.looks[domain] = append(f.looks[domain], time.Since(f.began).Round(time.Second))
	f.under++
	f.most = max(f.most, f.under)
	hangs := f.hangs[domain]
	f.mu.Unlock()
	if hangs {
		select {
		case <-ctx.Done():
		case <-time.After(defaultTimeout):
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under--
	chain, ok := f.chains[domain]
	if hangs || !ok {
		return pins.Chain{}, fmt.Errorf("%s cannot be reached", domain)
	}
	return chain, nil
}

func (f *fleet) set(domain string, all ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.chains[domain] = chainOf(f.began.AddDate(1, 0, 0), all...); len(all) == 0 {
		delete(f.chains, domain)
	}
}

func (f *fleet) at(domain string) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.looks[domain])
}

// When is looked: soon after the start, then every ten minutes and a little; within 3 s at what is new or has other pins;
// a minute after a look that failed; and no more at what is gone.
func TestWhenIsLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, log, of := newFleet(), &lockedBuffer{}, &accounts{}
		for _, name := range []string{"a.example", "b.example", "c.example"} {
			f.set(name, "A")
		}
		w, stop := watch(t, Options{Accounts: of.now, Look: f.look, Every: 10 * time.Minute, Rand: fixed(0.4), Log: log.logger()})
		time.Sleep(time.Minute + time.Second/3) // the accounts have not been read yet
		acme := of.set("acme", pinned("a.example", "A"), pinned("b.example", "Q"))
		if got := w.Statuses(acme).Domains; len(got) != 2 || got[0] != (attestapi.PinStatus{Domain: "a.example", State: "unknown"}) {
			t.Errorf("before the first look: got %+v", got)
		}
		time.Sleep(20 * time.Minute)
		state := func(name string) string {
			s := w.Statuses(acme)
			if !s.Monitored {
				t.Error("got a status that is not monitored")
			}
			for _, d := range s.Domains {
				if d.Domain == name {
					return d.State
				}
			}
			return "none"
		}
		if state("a.example") != "matched" || state("b.example") != "mismatched" {
			t.Errorf("got %s and %s", state("a.example"), state("b.example"))
		}
		acme = of.set("acme", pinned("a.example", "Z"), pinned("b.example", "A"), pinned("c.example"))
		if got := state("a.example"); got != "unknown" {
			t.Errorf("with other pins, before the look: got %s, want unknown", got)
		}
		time.Sleep(5 * time.Second)
		if state("a.example") != "mismatched" || state("b.example") != "matched" || state("c.example") != "unpinned" {
			t.Errorf("after a change: got %+v", w.Statuses(acme))
		}
		acme = of.set("acme", pinned("a.example", "A"), pinned("c.example"))
		time.Sleep(5 * time.Second)
		f.set("a.example") // it is down
		time.Sleep(15 * time.Minute)
		if got := state("a.example"); got != "unreachable" {
			t.Errorf("down: got %s", got)
		}
		of.set("acme")
		time.Sleep(time.Hour)
		if got := fmt.Sprint(f.at("a.example")); got != "[1m5s 11m29s 21m2s 21m8s 31m32s 32m32s]" {
			t.Errorf("a.example was looked at at %s", got)
		}
		if got := fmt.Sprint(f.at("b.example")); got != "[1m5s 11m29s 21m2s]" {
			t.Errorf("b.example was looked at at %s", got)
		}
		if got := fmt.Sprint(f.at("c.example")); got != "[21m2s 31m26s]" {
			t.Errorf("c.example was looked at at %s", got)
		}
		stop()
		var told []string
		for line := range strings.Lines(log.String()) {
			fields := strings.Fields(line)
			told = append(told, strings.Join(slices.DeleteFunc(fields, func(f string) bool {
				return !strings.HasPrefix(f, "account=") && !strings.HasPrefix(f, "domain=") && !strings.HasPrefix(f, "state=") && !strings.HasPrefix(f, "previous=")
			}), " "))
		}
		want := []string{
			"account=acme domain=b.example state=mismatched previous=unknown", "account=acme domain=a.example state=mismatched previous=matched",
			"account=acme domain=b.example state=matched previous=mismatched", "account=acme domain=a.example state=matched previous=mismatched",
			"account=acme domain=a.example state=unreachable previous=matched",
		}
		slices.Sort(told)
		slices.Sort(want)
		if !slices.Equal(told, want) {
			t.Errorf("got the log lines\n%q, want\n%q", told, want)
		}
	})
}

// 25 domains of an account that all hang hold up nobody else, and one another for no longer than is said; never are
// more looked at than may be at once.
func TestDomainsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, of := newFleet(), &accounts{}
		for _, d := range names("hang", account.MaxDomains) {
			f.hangs[d.Name] = true
		}
		f.set("last.example", "A")
		of.set("bad", append(names("hang", account.MaxDomains-1), account.Domain{Name: "last.example"})...)
		for i := range 10 {
			good := names(fmt.Sprint("good", i, "-"), account.MaxDomains)
			for _, d := range good {
				f.set(d.Name, "A")
			}
			of.set(fmt.Sprint("good", i), good...)
		}
		every := 2 * time.Minute
		_, stop := watch(t, Options{Accounts: of.now, Look: f.look, Every: every, Rand: fixed(0)})
		time.Sleep(time.Hour)
		stop()
		if f.most > maxLooks {
			t.Errorf("got %d looks at once, want at most %d", f.most, maxLooks)
		}
		for domain, at := range f.looks {
			bound := every + 2*time.Second
			if strings.HasPrefix(domain, "hang") || domain == "last.example" {
				bound = every + 2*account.MaxDomains/maxAccountLooks*defaultTimeout
			}
			if len(at) < int(time.Hour/bound) {
				t.Errorf("%s was looked at %d times in an hour", domain, len(at))
			}
			for i := 1; i < len(at); i++ {
				if wait := at[i] - at[i-1]; wait > bound {
					t.Errorf("%s was not looked at for %v, want at most %v", domain, wait, bound)
				}
			}
		}
	})
}

// Looks of a service that ends are given up, and those at domains that are gone say nothing.
func TestLooksThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, log, of := newFleet(), &lockedBuffer{}, &accounts{}
		f.hangs["a.example"] = true
		acme := of.set("acme", pinned("a.example", "A"))
		w, stop := watch(t, Options{Accounts: of.now, Look: f.look, Every: time.Minute, Rand: fixed(0), Log: log.logger()})
		time.Sleep(5 * time.Second)
		of.set("acme")
		time.Sleep(time.Minute)
		w.mu.Lock()
		if w.under != 0 || len(w.watched) != 0 {
			t.Errorf("got %d looks and %d domains, want none", w.under, len(w.watched))
		}
		w.mu.Unlock()
		of.set("acme", pinned("a.example", "A"))
		time.Sleep(5 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end took %v, want it at once", took)
		}
		if got := w.Statuses(acme).Domains[0]; got != (attestapi.PinStatus{Domain: "a.example", State: "unknown"}) || log.String() != "" {
			t.Errorf("got %+v and the log %s, want nothing: each look was given up", got, log)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, of, registry := newFleet(), &accounts{}, prometheus.NewRegistry()
		f.set("a.example", "A")
		of.set("acme", pinned("a.example", "A"), pinned("gone.example"))
		_, stop := watch(t, Options{Accounts: of.now, Look: f.look, Every: 10 * time.Minute, Rand: fixed(0), Metrics: registry})
		time.Sleep(5 * time.Minute)
		checked := float64(f.began.Unix())
		compare(t, "two domains", registry, map[string]float64{
			"attestserver_pin_state acme a.example matched": 1, "attestserver_pin_certificate_expiry_seconds acme a.example": float64(f.began.AddDate(1, 0, 0).Unix()),
			"attestserver_pin_checked_seconds acme a.example":      checked,
			"attestserver_pin_state acme gone.example unreachable": 1, "attestserver_pin_checked_seconds acme gone.example": checked + 60,
			"attestserver_pin_checks_total matched": 1, "attestserver_pin_checks_total failed": 1, "attestserver_pin_checks_total unreachable": 1,
		})
		of.set("acme")
		of.set("other", pinned("a.example", "B"))
		time.Sleep(adoptEvery + time.Second)
		compare(t, "another account", registry, map[string]float64{
			"attestserver_pin_state other a.example mismatched": 1, "attestserver_pin_certificate_expiry_seconds other a.example": float64(f.began.AddDate(1, 0, 0).Unix()),
			"attestserver_pin_checked_seconds other a.example": checked + 303,
			"attestserver_pin_checks_total matched":            1, "attestserver_pin_checks_total failed": 1, "attestserver_pin_checks_total unreachable": 1, "attestserver_pin_checks_total mismatched": 1,
		})
		stop()
	})
}

// compare compares all figures but those that are zero.
func compare(t *testing.T, name string, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			series := f.GetName()
			for _, l := range m.Label {
				series += " " + l.GetValue()
			}
			if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want[series] {
				t.Errorf("%s: %s: got %.0f, want %.0f", name, series, got, want[series])
			}
			delete(want, series)
		}
	}
	if len(want) > 0 {
		t.Errorf("%s: got no %v", name, want)
	}
}

func TestOptionsThatLack(t *testing.T) {
	f := newFleet()
	full := Options{Accounts: (&accounts{}).now, Look: f.look, Every: time.Minute}
	for name, change := range map[string]func(*Options){
		"no accounts": func(o *Options) { o.Accounts = nil }, "no looks": func(o *Options) { o.Look = nil }, "no time": func(o *Options) { o.Every = 0 },
	} {
		o := full
		if change(&o); func() error { _, err := New(o); return err }() == nil {
			t.Errorf("%s: got a watcher", name)
		}
	}
}

// The demonstration domain is nobody's: it is looked at only if somebody has pinned it, and so has a server for it.
func TestTheDemonstrationDomainIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, of := newFleet(), &accounts{}
		f.set("shapes.example", "A")
		w, stop := watch(t, Options{Accounts: of.now, Look: f.look, Every: 10 * time.Minute, Rand: fixed(0)})
		acme := of.demo("acme", pinned("shapes.example"))
		time.Sleep(30 * time.Minute)
		want := attestapi.PinStatus{Domain: "shapes.example", State: "unpinned", Detail: "it is the demonstration domain, which is not looked at without pins"}
		if got := w.Statuses(acme).Domains; len(got) != 1 || got[0] != want {
			t.Errorf("without a pin: got %+v, want %+v", got, want)
		}
		acme = of.demo("acme", pinned("shapes.example", "A"))
		time.Sleep(30 * time.Minute)
		if got := w.Statuses(acme).Domains; len(got) != 1 || got[0].State != "matched" {
			t.Errorf("with a pin: got %+v, want it matched", got)
		}
		stop()
	})
}
