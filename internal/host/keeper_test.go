package host

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/approovgate/approovgate/gate"
)

// keptSets starts a gate with key sets of a server.
func keptSets(t *testing.T, server *keySets, o gate.Options, names ...string) *kept {
	t.Helper()
	dir := t.TempDir()
	do(t, os.Mkdir(dir+"/secrets", 0o700), os.WriteFile(dir+"/secrets/account", []byte(secretText), 0o600))
	return newKept(t, dir, server.policy(names...), o)
}

// source is what is known of the source of keys[i].
func (k *kept) source(i int) gate.SourceStatus { return k.Gate.Status().Sources[i-1] }

func TestSilentFilesAreLookedAt(t *testing.T) {
	k := startKept(t, nil)
	k.Files = nil // no watch: a network file system that tells of nothing
	k.run()
	for n, text := range []string{otherSecret, secretText, otherSecret} {
		k.put("secrets/account", text)
		k.ticks <- time.Time{}
		eventually(t, "the look", func() bool { return k.Gate.Status().Generation == n+2 })
	}
	k.ticks <- time.Time{}
	k.ticks <- time.Time{} // taken when the one before has been dealt with
	if n, asked := k.count(); n < 4 || asked != 0 || k.Gate.Status().Generation != 4 {
		t.Errorf("got %d looks, %d of them asked for, generation %d; want at least 4, none and 4", n, asked, k.Gate.Status().Generation)
	}
}

func TestReloadForcesAll(t *testing.T) {
	server := newKeySets(t)
	c := &clocks{wall: start}
	k := keptSets(t, server, gate.Options{Now: c.now, Elapsed: c.since}, "good")
	k.Files = nil
	k.First(t.Context())
	heard(t, "the first fetch", server.good)
	k.run()
	for n := range 3 {
		k.reload <- os.Interrupt
		heard(t, "another fetch, although none is due", server.good)
		eventually(t, "its end", func() bool { return k.source(1).Tries == int64(n+2) })
		if _, asked := k.count(); asked != n+1 {
			t.Errorf("refreshes that were asked for: got %d, want %d", asked, n+1)
		}
	}
}

func TestFirstWaitsForAnswersWithinReason(t *testing.T) {
	server := newKeySets(t)
	t.Run("it returns when all have answered", func(t *testing.T) {
		k := keptSets(t, server, gate.Options{}, "good", "missing")
		k.First(t.Context())
		if good, missing := k.source(1), k.source(2); good.Good.IsZero() || missing.Tries != 1 || missing.Fails != 1 {
			t.Errorf("got %+v and %+v, want one good answer and one failure", good, missing)
		}
		if n := len(k.Gate.Status().Keys); n != 2 {
			t.Errorf("keys: got %d, want the set's in force too", n)
		}
	})
	t.Run("it does not wait for one that hangs", func(t *testing.T) {
		k := keptSets(t, server, gate.Options{}, "good", "hung")
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		k.First(ctx)
		if took := time.Since(begun); took < firstPatience || took > patience {
			t.Errorf("took %s, want about %s", took, firstPatience)
		}
		if good := k.source(1); good.Good.IsZero() {
			t.Errorf("the good source: got %+v, want its keys in force", good)
		}
		cancel()
		k.Run(ctx) // waits for what First has begun: TestMain looks
	})
	t.Run("it returns when the host ends", func(t *testing.T) {
		k := keptSets(t, server, gate.Options{}, "hung")
		for len(server.hung) > 0 {
			<-server.hung
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-server.hung
			cancel()
		}()
		k.First(ctx)
		k.Run(ctx)
		if s := k.source(1); s.Tries != 0 {
			t.Errorf("got %+v, want no failure: the gate was stopped, the source is not to blame", s)
		}
	})
}

// TestAHungSourceDelaysNobody lets one source hang, while the other becomes due and a file changes. What is
// to be shown must happen before the hung request runs into its timeout, so a machine that is too slow for that
// gets more than one chance.
func TestAHungSourceDelaysNobody(t *testing.T) {
	const chances = 10
	for chance := range chances {
		server := newKeySets(t)
		c := &clocks{wall: start}
		k := keptSets(t, server, gate.Options{Now: c.now, Elapsed: c.since}, "good", "hung")
		k.watching()
		heard(t, "the request that hangs", server.hung)
		heard(t, "the first fetch", server.good)
		eventually(t, "the keys", func() bool { return k.source(1).Tries == 1 })
		c.pass(2*time.Second, 0)
		k.looks <- time.Time{}
		heard(t, "the second fetch", server.good)
		before := k.Gate.Status().Generation
		k.put("secrets/account", otherSecret)
		eventually(t, "the new secret", func() bool { return k.Gate.Status().Generation > before })
		if k.source(2).Tries == 0 {
			return
		}
		t.Logf("chance %d: the request that hangs has ended meanwhile", chance)
	}
	t.Errorf("the other source and the file: got them %d times only after the request that hung, want them before", chances)
}

func TestPollsAreBounded(t *testing.T) {
	server := newKeySets(t)
	c := &clocks{wall: start}
	k := keptSets(t, server, gate.Options{Now: c.now, Elapsed: c.since}, "hung")
	k.Files = nil
	k.run()
	heard(t, "the request that hangs", server.hung)
	for range 5 * maxPolls { // each look finds use of keys to sample
		c.pass(time.Minute, 0)
		k.looks <- time.Time{}
	}
	if n := len(server.hung); n > 1 {
		t.Errorf("requests to a source that hangs: got %d more, want it asked again only when the first has failed", n)
	}
}

func TestStepsOfTheClock(t *testing.T) {
	const hour, year = time.Hour, 365 * 24 * time.Hour
	c := &clocks{wall: start}
	watch := newClockWatch(c.now, c.since)
	for _, row := range []struct {
		name                  string
		passes, set, expected time.Duration
	}{
		{"half a second passes", 500 * time.Millisecond, 0, 0},
		{"a minute passes, as on a machine that was stopped", time.Minute, 0, 0},
		{"the clock gains 2 s", 500 * time.Millisecond, 2 * time.Second, 0},
		{"the clock loses 2 s", 500 * time.Millisecond, -2 * time.Second, 0},
		{"the clock gains a bit more", 500 * time.Millisecond, 2001 * time.Millisecond, 2001 * time.Millisecond},
		{"the clock loses a bit more", 500 * time.Millisecond, -2001 * time.Millisecond, -2001 * time.Millisecond},
		{"an hour ahead", 500 * time.Millisecond, hour, hour},
		{"an hour back", 500 * time.Millisecond, -hour, -hour},
		{"a year ahead", 0, year, year},
		{"a year back", 0, -year, -year},
		{"nothing more", time.Second, 0, 0},
	} {
		c.pass(row.passes, row.set)
		if got := watch.step(); got != row.expected {
			t.Errorf("%s: got a step of %s, want %s", row.name, got, row.expected)
		}
	}
}

func TestALookThatTakesTooLongTellsNothing(t *testing.T) {
	c := &clocks{wall: start}
	slow := false
	watch := newClockWatch(func() time.Time {
		defer func() {
			if slow {
				c.pass(3*time.Second, 0) // the machine does something else between the two readings
			}
		}()
		return c.now()
	}, c.since)
	for i := range 4 {
		slow = i%2 == 0
		c.pass(time.Second, 0)
		if got := watch.step(); got != 0 {
			t.Errorf("look %d: got a step of %s, want none", i, got)
		}
	}
	slow = false
	c.pass(0, time.Hour)
	if got := watch.step(); got != time.Hour {
		t.Errorf("a step after it: got %s, want 1h", got)
	}
}

func TestStepsAreToldOnceEach(t *testing.T) {
	c := &clocks{wall: start}
	k := keptSets(t, newKeySets(t), gate.Options{Now: c.now, Elapsed: c.since})
	k.Files = nil
	k.run()
	for _, step := range []time.Duration{0, time.Hour, 0, -365 * 24 * time.Hour, 0, 0} {
		k.looks <- time.Time{}
		c.pass(time.Second, step)
	}
	k.looks <- time.Time{}
	k.looks <- time.Time{} // taken when the one before has been dealt with
	lines := k.log.lines("the clock was set")
	if len(lines) != 2 || lines[0]["by"] != "1h0m0s" || lines[1]["by"] != "-8760h0m0s" || lines[0]["level"] != "WARN" {
		t.Errorf("got lines %v, want two warnings, 1h0m0s and -8760h0m0s", lines)
	}
	if got := k.steps.Load(); got != 2 {
		t.Errorf("counted: got %d, want 2", got)
	}
}

// A source's certificate is judged by the gate's clock.
func TestCertificatesOfSourcesAreJudgedByTheClock(t *testing.T) {
	server := newKeySets(t)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a refused handshake is the point
	for now, want := range map[time.Time]string{
		start: "", server.Certificate().NotAfter.Add(time.Hour): "no answer: its certificate has expired or is not valid yet; renew it, or set the clock",
	} {
		c := &clocks{wall: now}
		k := keptSets(t, server, gate.Options{Now: c.now, Elapsed: c.since}, "good")
		k.First(t.Context())
		if s := k.source(1); s.Tries != 1 || s.Failure != want {
			t.Errorf("at %s: got %+v, want the failure %q", now, s, want)
		}
	}
}

// The wall clock decides verdicts only: a gate whose clock is a year off asks its sources as often as before.
func TestStepsLeaveTheSourcesAlone(t *testing.T) {
	server := newKeySets(t)
	c := &clocks{wall: start}
	k := keptSets(t, server, gate.Options{Now: c.now, Elapsed: c.since}, "good")
	k.Files = nil
	k.First(t.Context())
	heard(t, "the first fetch", server.good)
	k.run()
	for _, step := range []time.Duration{time.Hour, -time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour} {
		c.pass(0, step)
		k.looks <- time.Time{}
		k.looks <- time.Time{}
		if len(server.good) > 0 {
			t.Errorf("set by %s: got a fetch that was not due", step)
		}
		tries := k.source(1).Tries
		c.pass(2*time.Second, 0)
		k.looks <- time.Time{}
		heard(t, "the fetch that is due", server.good)
		eventually(t, "its end", func() bool { return k.source(1).Tries == tries+1 })
	}
}
