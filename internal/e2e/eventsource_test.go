package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
)

const (
	steps   = 12 // events of a whole stream
	breakAt = 5  // after this one the server ends the response, and the browser comes back
)

// stream is a server of events, which sends each only once the page has told it of the one before: whatever keeps
// events back on the way stops it.
type stream struct {
	t     *testing.T
	seen  chan int    // gets the number of each event that the page has
	begun chan string // gets the Last-Event-ID of each response that begins
	asked atomic.Int64
}

func startStream(t *testing.T) (*stream, settings) {
	t.Helper()
	s := &stream{t: t, seen: make(chan int), begun: make(chan string, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("/open/page", servePage)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /events/seen/{number}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("number"))
		if err != nil {
			t.Errorf("the page has seen: %v", err)
		}
		select {
		case s.seen <- n: // the page hears back only once this has arrived
		case <-r.Context().Done():
		}
	})
	return s, settings{"upstream": "http://" + serve(t, &http.Server{Handler: mux})}
}

func (s *stream) events(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	last := r.Header.Get("Last-Event-ID")
	s.begun <- last
	first := 1
	if n, err := strconv.Atoi(last); err == nil {
		first = n + 1
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	fmt.Fprint(w, "retry: 10\n\n")
	for n := first; n <= steps; n++ {
		fmt.Fprintf(w, "event: step\nid: %d\ndata: event %d\n\n", n, n)
		if err := control.Flush(); err != nil {
			s.t.Errorf("event %d: %v", n, err)
		}
		select {
		case got := <-s.seen:
			if got != n {
				s.t.Errorf("the page has seen: got event %d, want %d", got, n)
			}
		case <-r.Context().Done():
			if n == steps {
				return // the page leaves as soon as it has the last one
			}
			s.t.Errorf("event %d: the page went away before it had it", n)
			return
		}
		if n == breakAt {
			return
		}
	}
	<-r.Context().Done() // the page ends the stream
}

func TestEventSourcePassesInABrowser(t *testing.T) {
	b := startBrowser(t)
	for _, row := range []struct {
		name, protocol string
		origin         func(*gate) string
	}{
		{"HTTP/1.1", "http/1.1", func(g *gate) string { return "http://" + g.plain }},
		{"HTTP/2 with TLS", "h2", func(g *gate) string { return "https://" + g.secure }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, file := startStream(t)
			g := start(t, file)
			page := b.open(t, row.origin(g), token(t))
			got := call[struct {
				Seen     []string
				Protocol string
			}](t, page, fmt.Sprintf("events('/events', %d)", steps))
			var want []string
			for n := 1; n <= steps; n++ {
				want = append(want, fmt.Sprintf("%d: event %d", n, n))
			}
			if !slices.Equal(got.Seen, want) {
				t.Errorf("events: got %q, want %q", got.Seen, want)
			}
			if got.Protocol != row.protocol {
				t.Errorf("got protocol %q, want %q", got.Protocol, row.protocol)
			}
			first, second := receive(t, s.begun, "the first response"), receive(t, s.begun, "the second response")
			if first != "" || second != strconv.Itoa(breakAt) {
				t.Errorf("Last-Event-ID: got %q, then %q; want none, then %d", first, second, breakAt)
			}
		})
	}
}

func TestEventSourceIsRefusedInABrowser(t *testing.T) {
	b := startBrowser(t)
	s, file := startStream(t)
	g := start(t, file)
	for _, row := range []struct{ name, token string }{{"no token", ""}, {"a forged token", forged(t)}} {
		for _, origin := range []string{"http://" + g.plain, "https://" + g.secure} {
			t.Run(row.name+", "+origin[:5], func(t *testing.T) {
				page := b.open(t, origin, row.token)
				if got, want := call[string](t, page, "refusedEvents('/events')"), "closed for good"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
	if got := s.asked.Load(); got != 0 {
		t.Errorf("got %d requests at the server, want none", got)
	}
}
