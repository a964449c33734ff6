//go:build linux

package reliability

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const controlActive = `approovgate_control_active{slot="remote"}`

// asked is a request without a token: when it was sent and answered, and how.
type asked struct {
	sent, back time.Time
	status     int
	err        error
}

// every sends a request without a token each so often, one after the other, and returns them all. The last is sent at a
// time or later, however long the one before took.
func every(pause time.Duration, end time.Time, client *http.Client, url string) []asked {
	var all []asked
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for sent := (time.Time{}); sent.Before(end); {
		<-tick.C
		sent = time.Now()
		a := get(client, url, "")
		all = append(all, asked{sent, time.Now(), a.status, a.err})
	}
	return all
}

// TestABypassEndsAtItsEndThoughItsSourceIsGone publishes a bypass, lets its source fail, and asks without a token every
// 20 ms by the wall clock: until the end everything passes, from then on nothing does.
func TestABypassEndsAtItsEndThoughItsSourceIsGone(t *testing.T) {
	t.Parallel()
	const tolerance = time.Second
	faults := []fault{dead, hanging}
	if long() {
		faults = serverFaults
	}
	var mu sync.Mutex // guards the times below
	var last, first []time.Duration
	t.Run("faults", func(t *testing.T) { // returns when those inside have
		for _, f := range faults {
			t.Run(string(f), func(t *testing.T) {
				t.Parallel()
				p, dir := newPlane(t), t.TempDir()
				p.publish(controlPath, p.issuer.control(t, 1, nil))
				backend := newAPI(t, 0, 0)
				s := start(t, gateFile{upstream: backend.url, more: []string{"h2c: true", "log: {sample: 1}"},
					policy: fmt.Sprintf("{name: %s, keys: [{name: account, alg: HS256, secret: file:account.secret}], %s}", gateName, p.sources(t, dir, ", cache: "+filepath.Join(dir, "kept"))),
				}.write(t, dir))
				url := "http://" + s.listen + "/"
				if a := get(http.DefaultClient, url, ""); a.status != http.StatusUnauthorized {
					t.Errorf("before the bypass: got %d, %v; want 401", a.status, a.err)
				}
				end := time.Now().Add(time.Duration(rounds(10, 15)) * time.Second) // long enough for it to be fetched
				p.publish(controlPath, p.issuer.control(t, 2, bypass(end)))
				until(t, "the bypass is in force", func() bool { return get(http.DefaultClient, url, "").status == http.StatusOK })
				if active := s.metric(t, controlActive); active != 1 {
					t.Errorf("approovgate_control_active is %v, want 1", active)
				}
				p.fail(f)
				after := end.Add(time.Duration(rounds(2, 5)) * time.Second)
				var both sync.WaitGroup // ended by after
				for _, h2c := range []bool{false, true} {
					client := newClient(t, 1, h2c)
					both.Go(func() {
						l, f := judgeEnd(t, every(20*time.Millisecond, after, client, url), end, tolerance)
						mu.Lock()
						defer mu.Unlock()
						last, first = append(last, l), append(first, f)
					})
				}
				both.Wait()
				until(t, "the log tells of the end", func() bool { return s.log.find(`"msg":"control ended"`) != "" })
				if active := s.metric(t, controlActive); active != 0 {
					t.Errorf("approovgate_control_active is %v, want 0", active)
				}
			})
		}
	})
	t.Logf("%d bypasses ended while their source failed: the last request that passed was sent %s after the end at most, the first that was refused came back %s after it at most",
		len(first), milliseconds(percentile(last, 100)), milliseconds(percentile(first, 100)))
}

// judgeEnd demands that the requests passed until the end, and none afterwards. It returns when, after the end, the last
// one that passed was sent, and the first refusal came back.
func judgeEnd(t *testing.T, all []asked, end time.Time, tolerance time.Duration) (last, first time.Duration) {
	for _, a := range all {
		switch {
		case a.err != nil:
			t.Errorf("%v from the end: %v", a.sent.Sub(end), a.err)
		case a.status == http.StatusOK:
			last = a.sent.Sub(end)
			if last > tolerance {
				t.Errorf("sent %v after the end without a token: got 200, want 401", last)
			}
		case a.status != http.StatusUnauthorized:
			t.Errorf("%v from the end: got %d, want 200 or 401", a.sent.Sub(end), a.status)
		case a.back.Sub(end) < -tolerance:
			t.Errorf("back %v before the end: got 401, want 200", end.Sub(a.back))
		case first == 0:
			first = a.back.Sub(end)
		}
	}
	if first == 0 {
		t.Errorf("got no refusal in %d requests, the last %v after the end", len(all), all[len(all)-1].sent.Sub(end))
	}
	return last, first
}
