package e2e_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestSlowReadersDoNotTakeThePlacesOfOthers has more clients than there are places at the upstream ask for something
// long and then read nothing of it, as phones do whose network has gone. The upstream has answered them all: others
// must not be turned away for their sake.
func TestSlowReadersDoNotTakeThePlacesOfOthers(t *testing.T) {
	const (
		places  = 10
		readers = 3 * places
	)
	file := startAPI(t).file()
	file["limits"] = settings{"in_flight": places, "queue": readers, "queue_timeout": "2s", "write_timeout": "60s"}
	g := start(t, file)
	valid := token(t)
	for n := range readers {
		conn := g.dialPlain(t)
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /pattern/16000000 HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: "+valid+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("reader %d: %v", n, err)
		}
		if response.StatusCode != http.StatusOK { // the content stays where it is, and so does the connection
			t.Fatalf("reader %d: got status %d, want 200", n, response.StatusCode)
		}
	}
	good := g.client(t, "h2")
	begin := time.Now()
	if got := good.status(t, "/hello"); got != http.StatusOK {
		t.Errorf("another client: got status %d after %v, want 200", got, time.Since(begin).Round(time.Millisecond))
	}
}
