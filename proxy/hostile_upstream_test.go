package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// bareUpstream is a backend below HTTP: serve has each connection for itself, which is closed when serve
// returns, and at the latest when the test ends.
func bareUpstream(t *testing.T, serve func(conn net.Conn, in *bufio.Reader)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn // guarded by mu
	)
	running.Go(func() { // ended by the listener's end
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() { // ended by its connection's end
				defer conn.Close()
				serve(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().String()
}

// answering is a backend that answers every request with text, for as long as the connection lasts.
func answering(text string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		for readRequest(in) {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// readRequest reads a request and its body, and reports whether there was one.
func readRequest(in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}
