//go:build linux

package reliability

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// TestTooFewDescriptors gives the process 256 descriptors and takes them all with connections that send nothing, or a
// header that never ends. Good clients must be served meanwhile, those with a connection of their own and those that make
// a new one each time.
func TestTooFewDescriptors(t *testing.T) {
	const limit, hostile = 256, 600
	backend := newAPI(t, 0, 0)
	path := command(t, gateFile{upstream: backend.url}.write(t, t.TempDir()))
	s := launch(t, exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, limit), "sh"}, path.Args...)...))
	s.serving(t)
	if got := s.metric(t, "process_max_fds"); got != limit {
		t.Fatalf("the process may open %v descriptors, want %d", got, limit)
	}
	attack := besiege(t, s.listen, hostile)
	duration := time.Duration(rounds(3, 30)) * time.Second
	traffic := &visitors{url: "http://" + s.listen + "/", genuine: token(t, keyA), forged: token(t, keyB)}
	traffic.run(t, duration)

	if traffic.wrong > 0 {
		t.Errorf("got %d wrong answers, the last %q; want none", traffic.wrong, traffic.last)
	}
	if traffic.broken > 0 {
		t.Errorf("got %d of %d requests without an answer, the last %q; want none", traffic.broken, traffic.right+traffic.broken, traffic.last)
	}
	// A client that the machine holds up between connecting and asking cannot be told from a hostile one.
	if most := (traffic.right + traffic.broken) / 100; traffic.repeated > most {
		t.Errorf("got %d of %d requests repeated, the last %q; want at most %d", traffic.repeated, traffic.right+traffic.broken, traffic.last, most)
	}
	open := s.descriptors(t)
	attack.end()
	t.Logf("limit %d, %d connections of no use: %d requests answered right, %d of them when repeated, %d not at all; %d descriptors open; %v connections made room, %v were turned away",
		limit, hostile, traffic.right, traffic.repeated, traffic.broken, open,
		s.metric(t, `approovgate_connections_closed_total{cause="idle"}`), s.metric(t, `approovgate_connections_closed_total{cause="newest"}`))
	recovered(t, s, newClient(t, 1, false), traffic.genuine)
}

// siege is a crowd of connections that keep coming back.
type siege struct {
	stop chan struct{}
	all  sync.WaitGroup
}

// besiege opens connections, every second of which sends half a header, and opens another for each that is closed.
func besiege(t *testing.T, address string, n int) *siege {
	t.Helper()
	s := &siege{stop: make(chan struct{})}
	var first sync.WaitGroup
	first.Add(n)
	for i := range n {
		s.all.Go(func() {
			s.hold(address, i%2 == 0, first.Done)
		})
	}
	first.Wait()
	t.Cleanup(s.end)
	return s
}

// hold keeps one connection open until the siege ends. opened is called once, after the first attempt.
func (s *siege) hold(address string, slow bool, opened func()) {
	opened = sync.OnceFunc(opened)
	pause := time.NewTicker(time.Second) // between attempts: it is their number that is to hurt, not their rate
	defer pause.Stop()
	for {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err == nil {
			if slow {
				_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: api.test\r\nX-Slow: ")) // a closed connection shows below
			}
			opened()
			ended := make(chan struct{})
			go func() { // ended by the other side or by Close
				_, _ = conn.Read(make([]byte, 512))
				close(ended)
			}()
			select {
			case <-ended:
			case <-s.stop:
			}
			_ = conn.Close() // nothing is wanted of it
		}
		opened()
		select {
		case <-pause.C:
		case <-s.stop:
			return
		}
	}
}

// end closes all connections. It may be called twice.
func (s *siege) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.all.Wait()
}

// visitors are good clients and forgers in the crowd, one request after the other each.
type visitors struct {
	url, genuine, forged string

	mu                             sync.Mutex // guards what follows
	right, repeated, wrong, broken int
	last                           string // what was wrong or broken
}

// run lets them ask for a time: over one connection each, or over a new one for each request.
func (v *visitors) run(t *testing.T, duration time.Duration) {
	t.Helper()
	until := time.Now().Add(duration)
	var all sync.WaitGroup // ended by the time
	for i := range 8 {
		client := newClient(t, 1, false)
		if i%2 == 0 {
			client.Transport.(*http.Transport).DisableKeepAlives = true
		}
		all.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond) // 800 requests a second of all together
			defer pace.Stop()
			for n := 0; time.Now().Before(until); n++ {
				v.ask(client, n%3 == 0)
				<-pace.C
			}
		})
	}
	all.Wait()
}

// ask sends a request, and once more if its connection was closed without an answer, as any client would.
func (v *visitors) ask(client *http.Client, forged bool) {
	a, want := v.once(client, forged)
	first := a.err
	if first != nil {
		a, want = v.once(client, forged)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if first != nil {
		v.repeated++
		v.last = first.Error()
	}
	switch {
	case a.err != nil:
		v.broken++
		v.last = a.err.Error()
	case a.status != want:
		v.wrong++
		v.last = fmt.Sprintf("got %d %s, want %d", a.status, a.body, want)
	default:
		v.right++
	}
}

func (v *visitors) once(client *http.Client, forged bool) (a answer, want int) {
	if forged {
		return refused(client, v.url, v.forged), http.StatusUnauthorized
	}
	return get(client, v.url, v.genuine), http.StatusOK
}
