//go:build linux

package reliability

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What the API of the test below can do, and what the sidecar knows of that.
const (
	service      = 50 * time.Millisecond // for one request
	capacity     = 10                    // at once, so 200 a second
	queueTimeout = 250 * time.Millisecond
	overload     = 5 // times what the API can do
)

// TestOverloadIsShedAndVerdictsStay offers five times what the API can do, whether it is done or not. Of five requests one
// is forged. Those that are let in are served in about the time that they may wait plus that of the service; the rest is
// told to come again; forged ones are refused all the same, and so fast that they do not wait for the API. How fast, and
// how many are served, is for the long form: it is the machine's doing as well.
func TestOverloadIsShedAndVerdictsStay(t *testing.T) {
	duration := time.Duration(rounds(4, 30)) * time.Second
	backend := newAPI(t, service/2, capacity)
	file := gateFile{upstream: backend.url, more: []string{
		fmt.Sprintf("limits: {in_flight: %d, queue: %d, queue_timeout: %v}", capacity, 10*capacity, queueTimeout), "log: {sample: 1}",
	}}.write(t, t.TempDir())
	s := start(t, file)
	before := s.resident(t)
	o := &offer{client: newClient(t, 1000, false), url: "http://" + s.listen + "/", genuine: token(t, keyA), forged: token(t, keyB)}
	o.run(t, duration, overload*capacity*int(time.Second/service))

	admitted, refusals := o.admitted.all, o.refused.all
	limit := atMost(queueTimeout + 8*service)
	if p99 := percentile(admitted, 99); p99 > limit {
		t.Errorf("99 of 100 admitted requests took up to %v, want at most %v", p99, limit)
	}
	if p99 := percentile(refusals, 99); p99 > limit {
		t.Errorf("99 of 100 refusals took up to %v, want at most %v: they wait for nobody", p99, limit)
	}
	if want := int(duration/service) * capacity * 8 / 10; long() && len(admitted) < want {
		t.Errorf("got %d requests served, want at least %d: four fifths of what the API can do", len(admitted), want)
	}
	if len(admitted) == 0 || len(refusals) == 0 {
		t.Errorf("got %d requests served and %d refused, want some of both", len(admitted), len(refusals))
	}
	if len(o.shed.all) == 0 {
		t.Error("got no request shed, want most of them")
	}
	if n := o.wrong.Load(); n > 0 {
		t.Errorf("got %d wrong answers, the last %q; want none", n, o.last.Load())
	}
	if got := backend.most.Load(); got > capacity {
		t.Errorf("the API had %d requests at once, want at most in_flight, %d", got, capacity)
	}
	after := s.resident(t)
	if after > 128<<20 {
		t.Errorf("got %d MiB of memory, want at most 128", after>>20)
	}
	t.Logf("offered %d a second, the API can do %d: admitted %d (half within %s, 99 of 100 within %s), shed %d, forged refused %d (99 of 100 within %s); memory %d MiB, before %d",
		overload*capacity*int(time.Second/service), capacity*int(time.Second/service), len(admitted), milliseconds(percentile(admitted, 50)),
		milliseconds(percentile(admitted, 99)), len(o.shed.all), len(refusals), milliseconds(percentile(refusals, 99)), after>>20, before>>20)
	recovered(t, s, o.client, o.genuine)
}

// recovered demands that a sidecar is as it was before the trouble: nothing waits, and every request is served at once.
func recovered(t *testing.T, s *sidecar, client *http.Client, genuine string) {
	t.Helper()
	until(t, "nothing is in flight or waits", func() bool {
		return s.metric(t, "approovgate_requests_in_flight")+s.metric(t, "approovgate_requests_queued") == 0
	})
	for range 20 {
		if a := get(client, "http://"+s.listen+"/", genuine); a.err != nil || a.status != http.StatusOK {
			t.Fatalf("afterwards: got %d, %v; want 200 each time", a.status, a.err)
		}
	}
}

// offer sends requests at a rate, however long their answers take.
type offer struct {
	client               *http.Client
	url, genuine, forged string

	admitted, shed, refused times
	wrong                   atomic.Int64
	last                    atomic.Value // string: the last wrong answer
}

// times are those that requests took.
type times struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (d *times) add(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, took)
}

func (o *offer) run(t *testing.T, duration time.Duration, perSecond int) {
	t.Helper()
	var under sync.WaitGroup // each ended by its answer or the client's timeout
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for elapsed := time.Duration(0); elapsed < duration; elapsed = time.Since(begin) {
		for due := int(elapsed.Seconds() * float64(perSecond)); sent < due; sent++ {
			number := sent
			under.Go(func() { o.one(number) })
		}
		<-tick.C
	}
	under.Wait()
}

// one sends a request, every fifth a forged one, and judges the answer.
func (o *offer) one(n int) {
	number := strconv.Itoa(n)
	forged := n%5 == 0
	request, err := http.NewRequest(http.MethodGet, o.url, nil)
	if err != nil {
		panic(err) // the address is one that the sidecar listens on
	}
	request.Header.Set(numberHeader, number)
	request.Header.Set("Approov-Token", o.genuine)
	if forged {
		request.Header.Set("Approov-Token", o.forged)
		request.Header.Set(forgedHeader, "1")
	}
	a := send(o.client, request)
	switch {
	case a.err == nil && forged && a.status == http.StatusUnauthorized:
		o.refused.add(a.took)
	case a.err == nil && !forged && a.status == http.StatusOK && a.body == wanted(number):
		o.admitted.add(a.took)
	case a.err == nil && !forged && a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "1":
		o.shed.add(a.took)
	default:
		o.wrong.Add(1)
		o.last.Store(fmt.Sprintf("forged %v: %d %s %v", forged, a.status, a.body, a.err))
	}
}
