package gate_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// asksAfter is how long it takes from now until a source is asked.
func (f *fleet) asksAfter(t *testing.T, path string, longest time.Duration) time.Duration {
	t.Helper()
	const step = 100 * time.Millisecond
	before := f.plane.requests(path)
	for waited := time.Duration(0); waited <= longest; waited += step {
		if f.g.Due() {
			f.g.Poll(context.Background())
		}
		if f.plane.requests(path) > before {
			return waited
		}
		f.pass(step)
	}
	t.Fatalf("got no request within %v", longest)
	return 0
}

func TestSourcesAreAskedAtTheirInterval(t *testing.T) {
	f := urlFleet(t, tree{"interval": "100s"})
	f.plane.put("/control", f.plane.control(t, 1, bypass(1)))
	f.start(t)
	if !f.g.Due() || f.asksAfter(t, "/control", 0) != 0 {
		t.Error("at the start: got not due, want due at once")
	}
	if f.g.Due() {
		t.Error("once asked: got due, want not")
	}
	seen := map[time.Duration]bool{}
	for range 20 {
		after := f.asksAfter(t, "/control", time.Hour)
		if after < 90*time.Second || after > 110*time.Second+100*time.Millisecond {
			t.Errorf("got asked after %v, want 90 s to 110 s", after)
		}
		seen[after] = true
	}
	if len(seen) < 5 {
		t.Errorf("got the intervals %v, want them spread", seen)
	}
}

// A source that has failed is asked again soon, however long its interval is: the machine may have just started.
func TestAFailedSourceIsAskedAgainSoon(t *testing.T) {
	f := urlFleet(t, tree{"interval": "1h"})
	f.start(t)
	f.asksAfter(t, "/control", 0)
	for range 10 {
		if after := f.asksAfter(t, "/control", time.Hour); after < 9*time.Second || after > 11*time.Second+100*time.Millisecond {
			t.Errorf("got asked again after %v, want about 10 s", after)
		}
	}
	f.plane.put("/control", f.plane.control(t, 1, bypass(1)))
	f.asksAfter(t, "/control", time.Hour)
	if after := f.asksAfter(t, "/control", 2*time.Hour); after < 54*time.Minute {
		t.Errorf("once good: got asked again after %v, want an hour", after)
	}
}

func TestAShorterIntervalHoldsAtOnce(t *testing.T) {
	f := urlFleet(t, tree{"interval": "1h"})
	f.plane.put("/control", f.plane.control(t, 1, bypass(1)))
	f.start(t)
	f.asksAfter(t, "/control", 0)
	f.change(func(d *desk) { d.policy["control"].(tree)["interval"] = "10s" })
	f.g.Refresh()
	if after := f.asksAfter(t, "/control", time.Hour); after < 9*time.Second || after > 11*time.Second {
		t.Errorf("got asked again after %v, want about 10 s", after)
	}
}

// The wall clock does not matter for when sources are asked.
func TestTheWallClockDoesNotMoveTheSchedule(t *testing.T) {
	f := urlFleet(t, tree{"interval": "100s"})
	f.start(t)
	f.plane.put("/control", f.plane.control(t, 1, tree{"iat": 1}))
	f.asksAfter(t, "/control", 0)
	for _, step := range []time.Duration{time.Hour, -time.Hour, 366 * 24 * time.Hour, -366 * 24 * time.Hour} {
		f.after(step)
		if f.g.Due() {
			t.Errorf("%v later by the wall clock: got due, want not", step)
		}
		if after := f.asksAfter(t, "/control", time.Hour); after < 90*time.Second || after > 111*time.Second {
			t.Errorf("%v later by the wall clock: got asked after %v, want 90 s to 110 s", step, after)
		}
	}
}

// hold puts a page that answers nothing until it is released.
func (p *plane) hold(path, text string) (entered chan struct{}, release func()) {
	entered, released := make(chan struct{}, 100), make(chan struct{})
	p.show(path, page{answer: func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-released:
			_, _ = io.WriteString(w, text)
		case <-r.Context().Done():
		}
	}})
	return entered, sync.OnceFunc(func() { close(released) })
}

func TestASourceIsNotAskedWhileItIs(t *testing.T) {
	f := urlFleet(t, tree{"interval": "1s"})
	f.start(t)
	entered, release := f.plane.hold("/control", f.plane.control(t, 1, bypass(60)))
	var polling sync.WaitGroup
	polling.Go(func() { f.g.Poll(context.Background()) })
	<-entered
	f.pass(time.Second) // sample
	f.g.Poll(context.Background())
	f.g.Poll(context.Background()) // would hang if it asked
	if f.g.Due() {
		t.Error("while it is asked: got due, want not")
	}
	f.g.PollNow()
	f.g.Poll(context.Background())
	if n := f.plane.requests("/control"); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
	release()
	polling.Wait()
	if got := modes(t, f.g); got != "bypass bypass bypass" {
		t.Errorf("answered: got %s, want the bypass", got)
	}
	if !f.g.Due() {
		t.Error("after PollNow while it was asked: got not due, want due")
	}
	f.g.Poll(context.Background())
	if n := f.plane.requests("/control"); n != 2 || f.g.Due() {
		t.Errorf("got %d requests and due %v, want 2 and not", n, f.g.Due())
	}
}

// A slow source holds up no other.
func TestASlowSourceHoldsUpNoOther(t *testing.T) {
	f := ringFleet(t, nil)
	f.start(t)
	entered, release := f.plane.hold("/ring", f.plane.ring(t, 1, member("one", nil)))
	var polling sync.WaitGroup
	polling.Go(func() { f.g.Poll(context.Background()) })
	<-entered
	f.plane.put("/control", f.plane.control(t, 2, bypass(60)))
	for f.g.Control(gate.Remote).Version != 2 {
		f.poll()
	}
	if f.g.Ready() {
		t.Error("got ready, want the ring still to come")
	}
	release()
	polling.Wait()
	if !f.g.Ready() {
		t.Error("got not ready, want the ring's keys")
	}
}

// A host that stops waiting has not found the source failing.
func TestAPollThatIsGivenUpIsNoFailure(t *testing.T) {
	f := urlFleet(t, tree{"interval": "1h"})
	f.start(t)
	entered, release := f.plane.hold("/control", "")
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	var polling sync.WaitGroup
	polling.Go(func() { f.g.Poll(ctx) })
	<-entered
	cancel()
	polling.Wait()
	if s := f.source(t, "control.url"); s.Tries != 0 || s.Fails != 0 || s.Failure != "" || !s.Tried.IsZero() {
		t.Errorf("got %+v, want no attempt", s)
	}
	f.wantEvents(t, "given up")
	if !f.g.Due() {
		t.Error("got not due, want due: nothing is known of the source")
	}
}

// A policy that drops a source while it is asked gets nothing from it any more.
func TestASourceThatIsDroppedWhileItIsAsked(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(d *desk)
	}{
		{"the URL is gone", func(d *desk) { d.policy["control"] = tree{} }},
		{"it is another URL", func(d *desk) {
			d.policy["control"].(tree)["url"] = strings.Replace(d.policy["control"].(tree)["url"].(string), "/control", "/other", 1)
		}},
	} {
		f := urlFleet(t, nil)
		f.start(t)
		entered, release := f.plane.hold("/control", f.plane.control(t, 1, bypass(60)))
		var polling sync.WaitGroup
		polling.Go(func() { f.g.Poll(context.Background()) })
		<-entered
		f.change(row.change)
		f.g.Refresh()
		release()
		polling.Wait()
		if got := modes(t, f.g); got != "enforce log enforce" {
			t.Errorf("%s: got %s, want the policy's modes", row.name, got)
		}
		f.wantEvents(t, row.name)
		f.plane.wantConnections(t, row.name, 0)
	}
}

// A bearer token that changes in the policy is used at once, even if a request with the old one is on its way.
func TestOtherWiringIsUsedAtOnce(t *testing.T) {
	f := urlFleet(t, tree{"interval": "1h", "token": "env:BEARER"})
	f.start(t)
	entered, release := f.plane.hold("/control", f.plane.control(t, 1, bypass(60)))
	var polling sync.WaitGroup
	polling.Go(func() { f.g.Poll(context.Background()) })
	<-entered
	f.change(func(d *desk) {
		d.policy["control"].(tree)["token"] = "env:OTHER"
		d.secrets["env:OTHER"] = "other"
	})
	f.g.Refresh()
	release()
	polling.Wait()
	var seen string
	f.plane.show("/control", page{answer: func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") }})
	if !f.g.Due() {
		t.Error("got not due, want due at once")
	}
	f.g.Poll(context.Background())
	if seen != "Bearer other" {
		t.Errorf("got Authorization %q, want the new one", seen)
	}
	f.plane.wantConnections(t, "with the new one", 1)
	f.g.Close()
	f.plane.wantConnections(t, "closed", 0)
}

// A source that goes on keeps its connection when the policy changes; one that is dropped does not.
func TestConnectionsToSources(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 1, member("one", nil))
	f.plane.wantConnections(t, "two sources", 2)
	f.change(func(d *desk) { d.policy["deny_issuers"] = "x" })
	f.g.Refresh()
	f.poll()
	f.plane.mu.Lock()
	if n := f.plane.begun; n != 2 {
		t.Errorf("another policy: got %d connections begun, want the same two", n)
	}
	f.plane.mu.Unlock()
	f.change(func(d *desk) { delete(d.policy["control"].(tree), "url") })
	f.g.Refresh()
	f.plane.wantConnections(t, "one source", 1)
	if status := f.g.Status(); len(status.Sources) != 1 {
		t.Errorf("got sources %+v, want the ring alone", status.Sources)
	}
}

func TestPollNowAsksAll(t *testing.T) {
	f := ringFleet(t, nil)
	f.plane.put("/control", f.plane.control(t, 1, bypass(1)))
	f.plane.put("/ring", f.plane.ring(t, 1, member("one", nil)))
	f.start(t)
	f.g.Poll(context.Background())
	for n := 2; n <= 4; n++ {
		if f.g.Due() {
			t.Error("got due, want not")
		}
		f.g.PollNow()
		if !f.g.Due() {
			t.Error("after PollNow: got not due, want due")
		}
		f.g.Poll(context.Background())
		if a, b := f.plane.requests("/control"), f.plane.requests("/ring"); a != n || b != n {
			t.Errorf("got %d and %d requests, want %d of each", a, b, n)
		}
	}
	f.wantReason(t, "in bypass", "one", engine.Bypassed)
}

// A disk that hangs while the policy is read holds up neither the switch nor a source, and no status.
func TestADiskThatHangsHoldsUpNobody(t *testing.T) {
	f := urlFleet(t, nil)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	hanging := false
	o := f.options()
	read := o.Read
	o.Read = func(reference string) ([]byte, []string, error) {
		f.mu.Lock()
		hangs := hanging && reference == "env:ACCOUNT"
		f.mu.Unlock()
		if hangs {
			entered <- struct{}{}
			<-release
		}
		return read(reference)
	}
	g, problems := gate.New(o)
	if g == nil {
		t.Fatal(problems)
	}
	f.g = g
	f.change(func(*desk) { hanging = true })
	var refreshing sync.WaitGroup
	refreshing.Go(func() { g.Refresh() })
	<-entered
	f.plane.put("/control", f.plane.control(t, 1, bypass(60)))
	f.poll()
	if got := modes(t, g); got != "bypass bypass bypass" {
		t.Errorf("while the disk hangs: got %s, want what the source has brought", got)
	}
	if problems := g.SetControl(gate.Local, hour(config.Log, 1)); len(problems) > 0 || modes(t, g) != "log log log" {
		t.Errorf("while the disk hangs: got %s and problems %v, want what was set", modes(t, g), problems)
	}
	close(release)
	refreshing.Wait()
	if got := modes(t, g); got != "log log log" {
		t.Errorf("afterwards: got %s, want what was set", got)
	}
}
