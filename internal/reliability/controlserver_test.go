//go:build linux

package reliability

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// documents answers with texts that may change, each with an entity tag.
type documents struct {
	mu    sync.Mutex // guards texts and polls
	texts map[string]string
	polls map[string]int

	full, unchanged atomic.Int64 // answers
}

// publish puts a text at a path.
func (d *documents) publish(path, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.texts == nil {
		d.texts = map[string]string{}
	}
	d.texts[path] = text
}

// polled is how often a path was asked for.
func (d *documents) polled(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.polls[path]
}

// asked notes a request and returns what is at its path.
func (d *documents) asked(path string) (text string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.polls == nil {
		d.polls = map[string]int{}
	}
	d.polls[path]++
	text, ok = d.texts[path]
	return text, ok
}

func tag(text string) string {
	sum := sha256.Sum256([]byte(text))
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

func (d *documents) answer(w http.ResponseWriter, r *http.Request, text string, ok bool) {
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Header.Get("If-None-Match") == tag(text):
		d.unchanged.Add(1)
		w.Header().Set("ETag", tag(text))
		w.WriteHeader(http.StatusNotModified)
	default:
		d.full.Add(1)
		w.Header().Set("ETag", tag(text))
		_, _ = io.WriteString(w, text) // a gate that is gone asks again
	}
}

// fault is a way in which a source fails.
type fault string

// The faults of a server. Those of documents are documents: see published_test.go.
const (
	healthy fault = ""
	dead    fault = "dead"                // nobody listens
	mute    fault = "mute"                // connections are taken, and nothing is said
	foreign fault = "a wrong certificate" // of another authority
	hanging fault = "hanging"             // requests are taken, and not answered
	slow    fault = "slow"                // a byte of the document a second
	broken  fault = "500"
	garbled fault = "garbage" // with status 200
	endless fault = "10 GB"   // with status 200
	resets  fault = "resets"  // instead of an answer
	moved   fault = "moved"   // a redirect to the document
)

// serverFaults are all but the healthy one.
var serverFaults = []fault{dead, mute, foreign, hanging, slow, broken, garbled, endless, resets, moved}

// controlServer serves documents over TLS, and fails when it is told to.
type controlServer struct {
	documents
	url     string
	written atomic.Int64 // bytes of answers that are endless

	plain         net.Listener
	server        *http.Server
	own, stranger *tls.Certificate

	mu    sync.Mutex // guards the fields below
	fault fault
	conns map[net.Conn]bool
}

// newControlServer starts one, which ends with the test.
func newControlServer(t *testing.T, a *authority) *controlServer {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &controlServer{plain: plain, url: "https://" + plain.Addr().String(), own: a.pair(t), stranger: newAuthority(t).pair(t), conns: map[net.Conn]bool{}}
	s.server = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)} // what fails is meant to
	settings := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if s.now() == foreign {
			return s.stranger, nil
		}
		return s.own, nil
	}}
	ended := make(chan struct{})
	go func() { // ended by the server's end
		defer close(ended)
		_ = s.server.Serve(tls.NewListener(listener{s}, settings)) // it says that it was closed
	}()
	t.Cleanup(func() {
		s.fail(dead)
		_ = s.server.Close() // its listener is closed already
		<-ended
	})
	return s
}

// fail makes it fail in a way from now on, also on connections that it has. From dead there is no return.
func (s *controlServer) fail(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	if f == dead {
		_ = s.plain.Close() // it may have been
	}
	for conn := range s.conns {
		_ = conn.Close() // its peer has to connect again, and meets the fault
		delete(s.conns, conn)
	}
}

func (s *controlServer) now() fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// listener gives a control server its connections, except those that are to hear nothing.
type listener struct{ s *controlServer }

func (l listener) Addr() net.Addr { return l.s.plain.Addr() }
func (l listener) Close() error   { return l.s.plain.Close() }

func (l listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.s.plain.Accept()
		if err != nil {
			return nil, err
		}
		l.s.mu.Lock()
		l.s.conns[conn] = true
		silent := l.s.fault == mute
		l.s.mu.Unlock()
		if !silent {
			return conn, nil
		}
	}
}

func (s *controlServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := s.asked(r.URL.Path)
	switch s.now() {
	case hanging:
		<-r.Context().Done()
	case slow:
		w.Header().Set("ETag", tag(text))
		drip(w, r, text)
	case broken:
		http.Error(w, text, http.StatusInternalServerError) // with the right document, which must not count
	case garbled:
		_, _ = io.WriteString(w, strings.Repeat("\x00\xff{garbage", 100)) // the peer may be gone
	case endless:
		s.flood(w)
	case resets:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if plain, ok := conn.(*tls.Conn).NetConn().(*net.TCPConn); ok {
				_ = plain.SetLinger(0) // closing it then resets it
			}
			_ = conn.(*tls.Conn).NetConn().Close()
		}
	case moved:
		http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
	default:
		s.answer(w, r, text, ok)
	}
}

// drip writes a byte a second.
func drip(w http.ResponseWriter, r *http.Request, text string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range len(text) {
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // a failure shows with the next byte
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// flood writes 10 GB, as long as anybody reads them.
func (s *controlServer) flood(w http.ResponseWriter) {
	const size = 10 << 30
	chunk := make([]byte, 64<<10)
	for sent := 0; sent < size; {
		n, err := w.Write(chunk)
		sent += n
		s.written.Add(int64(n))
		if err != nil {
			return
		}
	}
}
