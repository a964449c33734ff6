package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd sends requests, each again and again, over kept connections until it is told to stop.
type crowd struct {
	base    string // the server's URL
	errands []crowdErrand
	stop    chan struct{}
	all     sync.WaitGroup // ended by stop

	answered atomic.Int64 // whole answers
	tries    atomic.Int64 // times a request was sent, or begun to be

	mu         sync.Mutex // guards the fields below
	failed     int        // answers that broke off, and requests without one after several tries
	unanswered int        // tries that net/http gave up without a byte of an answer
	wrong      int
	last       string // of failed and wrong
}

// crowdErrand is a request without content and the status it must get.
type crowdErrand struct {
	path, token string
	want        int
}

// crowdPace is the time between two requests of one worker.
const crowdPace = 4 * time.Millisecond

// start begins with three workers for each version of HTTP, each with connections of its own.
func (c *crowd) start(f *front) {
	c.stop = make(chan struct{})
	for i := range 6 {
		client := f.client(1 + i%2)
		c.all.Go(func() {
			defer client.CloseIdleConnections()
			pace := time.NewTicker(crowdPace)
			defer pace.Stop()
			for n := i; ; n++ {
				select {
				case <-c.stop:
					return
				case <-pace.C:
					c.run(client, c.errands[n%len(c.errands)])
				}
			}
		})
	}
}

// end stops all workers and waits for them.
func (c *crowd) end() {
	close(c.stop)
	c.all.Wait()
}

// run sends one request. It is safe to repeat, so what got no byte of an answer is sent again, a few times: a server
// may close a kept connection at any moment.
func (c *crowd) run(client *http.Client, e crowdErrand) {
	var err error
	for range 4 {
		var response *http.Response
		if response, err = c.send(client, e); err != nil {
			c.note(func() { c.unanswered++ })
			continue
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			break
		}
		c.answered.Add(1)
		if response.StatusCode != e.want {
			c.note(func() { c.wrong++; c.last = fmt.Sprintf("%s: got %d, want %d", e.path, response.StatusCode, e.want) })
		}
		return
	}
	c.note(func() { c.failed++; c.last = fmt.Sprintf("%s: %v", e.path, err) })
}

func (c *crowd) note(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *crowd) send(client *http.Client, e crowdErrand) (*http.Response, error) {
	count := &httptrace.ClientTrace{GotConn: func(_ httptrace.GotConnInfo) { c.tries.Add(1) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), count), http.MethodGet, c.base+e.path, nil)
	if err != nil {
		return nil, err
	}
	if e.token != "" {
		r.Header.Set("Approov-Token", e.token)
	}
	return client.Do(r)
}

// judge demands that no request failed or got another answer than it must.
func (c *crowd) judge(t *testing.T, name string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed+c.wrong > 0 {
		t.Errorf("%s: got %d failed requests and %d wrong answers, the last %q; want none", name, c.failed, c.wrong, c.last)
	}
	t.Logf("%s: %d requests answered, %d failed, %d wrong; %d sent again, %d of them by the test", name, c.answered.Load(), c.failed, c.wrong, c.again(), c.unanswered)
}

// again is how many requests had to be sent again, because a connection was closed on them.
func (c *crowd) again() int64 { return c.tries.Load() - c.answered.Load() }

// more waits until so many requests more have been answered.
func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	want := c.answered.Load() + n
	eventually(t, fmt.Sprintf("%d requests more", n), func() bool { return c.answered.Load() >= want })
}
