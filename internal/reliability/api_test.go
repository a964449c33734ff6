//go:build linux

package reliability

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The headers by which a test and its API speak of a request.
const (
	numberHeader = "X-Test-Number" // which request this is; the API answers it
	forgedHeader = "X-Test-Forged" // set on requests that no gate may let through
	heardPrefix  = "X-Test-Heard-" // before the names of verdictHeaders, with what the API was told
)

// verdictHeaders are what a gate tells an API of a request.
var verdictHeaders = []string{"X-Approov-Verdict", "X-Approov-Reason"}

// api is the API behind a sidecar. It knows by its number which request has reached it.
type api struct {
	url    string
	pause  time.Duration // before the response's header, and once more before its end
	places chan struct{} // how many requests it works on at once; nil: any number

	hangUp func() // closes the connections to it

	inside  atomic.Int64 // requests it has and has not answered
	most    atomic.Int64 // the largest inside has been
	forged  atomic.Int64 // requests that should not have come
	arrived sync.Map     // number → true
}

// newAPI starts one, which ends with the test.
func newAPI(t *testing.T, pause time.Duration, capacity int) *api {
	t.Helper()
	a := &api{pause: pause}
	if capacity > 0 {
		a.places = make(chan struct{}, capacity)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		if n := a.forged.Load(); n > 0 {
			t.Errorf("%d requests without a genuine token reached the API, want none", n)
		}
	})
	a.url, a.hangUp = server.URL, server.CloseClientConnections
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := r.Header.Get(numberHeader)
	a.arrived.Store(number, true)
	if r.Header.Get(forgedHeader) != "" {
		a.forged.Add(1)
	}
	if r.Header.Get("Upgrade") == "websocket" {
		echoSocket(w, r)
		return
	}
	for _, name := range verdictHeaders {
		w.Header().Set(heardPrefix+name, r.Header.Get(name))
	}
	inside := a.inside.Add(1)
	defer a.inside.Add(-1)
	for most := a.most.Load(); inside > most && !a.most.CompareAndSwap(most, inside); most = a.most.Load() {
		continue
	}
	if a.places != nil {
		a.places <- struct{}{}
		defer func() { <-a.places }()
	}
	a.work(r)
	half := fmt.Sprintf("request %s ", number)
	_, _ = io.WriteString(w, half) // a client that is gone cannot be told
	if a.pause > 0 {
		_ = http.NewResponseController(w).Flush()
	}
	a.work(r)
	_, _ = io.WriteString(w, "answered")
}

// work takes time, unless nobody waits for it any more.
func (a *api) work(r *http.Request) {
	if a.pause == 0 {
		return
	}
	select {
	case <-time.After(a.pause):
	case <-r.Context().Done():
	}
}

// saw reports whether a request has reached it.
func (a *api) saw(number string) bool {
	_, ok := a.arrived.Load(number)
	return ok
}

// wanted is the whole answer to a request.
func wanted(number string) string { return "request " + number + " answered" }
