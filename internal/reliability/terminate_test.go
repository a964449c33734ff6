//go:build linux

package reliability

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// drainDelay is the default. It is above the time that any request of the test takes, so that every client whose connection
// is in use hears "Connection: close" before listeners close.
const (
	drainDelay = time.Second
	drainGrace = 10 * time.Second
)

// fate is what became of the requests of one round.
type fate struct {
	served atomic.Int64
	cut    atomic.Int64 // reached the API, or were answered in part: failed in flight
	missed atomic.Int64 // never taken: the listener or the connection was closed before they were read
	wrong  atomic.Int64 // answered, but not as wanted
}

// TestTerminationCutsNoRequest ends the process under load, again and again. Balancers stop making connections when
// /ready says 503, as load balancers do; strays, which never heard of /ready, connect until nobody listens.
func TestTerminationCutsNoRequest(t *testing.T) {
	backend := newAPI(t, 40*time.Millisecond, 0)
	delay := drainDelay * time.Duration(rounds(3, 1)) // a busy machine may not get to ask anything within a second
	var served, missed int64
	var exits []time.Duration
	for range rounds(5, 100) {
		t.Run("round", func(t *testing.T) {
			file := gateFile{upstream: backend.url, more: []string{"h2c: true", fmt.Sprintf("limits: {drain_delay: %v, grace: %v}", delay, drainGrace)}}.write(t, t.TempDir())
			r := &round{sidecar: start(t, file), api: backend, token: token(t, keyA), delay: delay}
			r.run(t)
			for name, group := range map[string]*fate{"balancers": &r.balancers, "strays": &r.strays, "HTTP/2 clients": &r.streams} {
				if n := group.cut.Load(); n > 0 {
					t.Errorf("%s: %d requests failed in flight, want none", name, n)
				}
				if n := group.wrong.Load(); n > 0 {
					t.Errorf("%s: %d requests got a wrong answer, want none", name, n)
				}
				served += group.served.Load()
			}
			if n := r.balancers.missed.Load(); n > 0 {
				t.Errorf("%d requests of balancers were not taken, want none", n)
			}
			missed += r.strays.missed.Load() + r.streams.missed.Load()
			exits = append(exits, r.exit)
		})
	}
	t.Logf("%d terminations: %d requests served, 0 cut; %d of clients that ignore /ready came too late; exit after %s in the median, %s at most",
		len(exits), served, missed, milliseconds(percentile(exits, 50)), milliseconds(percentile(exits, 100)))
}

// round is one life of a sidecar.
type round struct {
	*sidecar
	api   *api
	token string
	delay time.Duration // drain_delay

	number                     atomic.Int64
	drained                    atomic.Bool // /ready has said 503
	balancers, strays, streams fate
	exit                       time.Duration // from the signal to the end
}

func (r *round) run(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup // ended by the process's end: nobody can connect any more
	for range 16 {
		all.Go(func() { r.keepAlive(&r.balancers, r.drained.Load) })
	}
	for range 8 {
		all.Go(func() { r.keepAlive(&r.strays, func() bool { return false }) })
	}
	for range 2 {
		client := newClient(t, 1, true)
		for range 8 {
			all.Go(func() { r.multiplexed(client) })
		}
	}
	until(t, "many requests are in flight", func() bool { r.alive(t); return r.api.inside.Load() >= 30 })
	r.signal(t, terminated)
	begin := time.Now()
	until(t, "/ready says 503", func() bool { return r.probe("/ready") == "503 draining" })
	r.drained.Store(true)
	if a := get(newClient(t, 1, false), "http://"+r.listen+"/", r.token); a.status != http.StatusOK {
		t.Errorf("a new connection after /ready said 503: got %d, %v; want it served until drain_delay has passed", a.status, a.err)
	}
	if code := r.exitCode(t, r.delay+drainGrace); code != 0 {
		t.Errorf("got exit status %d, want 0", code)
	}
	r.exit = time.Since(begin)
	all.Wait()
}

// keepAlive sends one request after the other over HTTP/1.1. It takes a new connection when it is told that the old one
// closes, unless stop says that it should not; and ends when there is none to be had.
func (r *round) keepAlive(f *fate, stop func() bool) {
	for !stop() {
		conn, err := net.Dial("tcp", r.listen)
		if err != nil {
			return
		}
		answers := bufio.NewReader(conn)
		for open := true; open; {
			open = r.exchange(f, conn, answers)
		}
		_ = conn.Close() // all that was asked for is here
	}
}

// exchange sends one request and notes its fate. It reports whether the connection takes another. No http.Client: it
// would try again by itself what got lost.
func (r *round) exchange(f *fate, conn net.Conn, answers *bufio.Reader) (open bool) {
	number := strconv.FormatInt(r.number.Add(1), 10) + "-" + r.listen
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: api.test\r\nApproov-Token: %s\r\n%s: %s\r\n\r\n", r.token, numberHeader, number); err != nil {
		r.lost(f, number, false)
		return false
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		r.lost(f, number, errors.Is(err, io.ErrUnexpectedEOF) && answers.Buffered() > 0)
		return false
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		f.cut.Add(1)
		return false
	case response.StatusCode != http.StatusOK || string(body) != wanted(number):
		f.wrong.Add(1)
	default:
		f.served.Add(1)
	}
	return !response.Close
}

// lost notes a request without a whole answer.
func (r *round) lost(f *fate, number string, begun bool) {
	if begun || r.api.saw(number) {
		f.cut.Add(1)
	} else {
		f.missed.Add(1)
	}
}

// multiplexed sends one request after the other over a connection that others share, until nobody listens.
func (r *round) multiplexed(client *http.Client) {
	for {
		number := strconv.FormatInt(r.number.Add(1), 10) + "-" + r.listen
		request, err := http.NewRequest(http.MethodGet, "http://"+r.listen+"/", nil)
		if err != nil {
			panic(err) // the address is one that the sidecar listens on
		}
		request.Header.Set("Approov-Token", r.token)
		request.Header.Set(numberHeader, number)
		a := send(client, request)
		switch {
		case a.err == nil && a.status == http.StatusOK && a.body == wanted(number):
			r.streams.served.Add(1)
		case a.err == nil:
			r.streams.wrong.Add(1)
		default:
			r.lost(&r.streams, number, a.status != 0)
			if strings.Contains(a.err.Error(), "connection refused") {
				r.streams.missed.Add(-1) // nobody listened any more: this one was not sent
				return
			}
		}
	}
}
