package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// closed reports when the other side has closed conn; the test fails when it does not.
func closed(t *testing.T, who string, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
		t.Errorf("%s: got %d bytes, %v, want it closed", who, n, err)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// served sends a request on an open connection and reads its answer.
func served(t *testing.T, who string, conn net.Conn) {
	t.Helper()
	fmt.Fprint(conn, request("GET", "/x")) // without a token: the gate answers itself
	if got := answerOn(t, conn); got.status != 401 {
		t.Errorf("%s: got %d, want 401", who, got.status)
	}
}

func TestConnectionsAboveTheLimit(t *testing.T) {
	const accepted, evicted, refused = "approovgate_connections_accepted_total", `approovgate_connections_closed_total{cause="idle"}`, `approovgate_connections_closed_total{cause="newest"}`
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"connections": 2}))
	open := func() net.Conn {
		t.Helper()
		before := gate.metric(accepted)
		conn := gate.dial()
		t.Cleanup(func() { conn.Close() })
		until(t, "the connection", func() bool { return gate.metric(accepted) != before })
		return conn
	}
	oldest := open()
	served(t, "an idle connection", oldest)
	slow := open()
	fmt.Fprint(slow, "GET /x HTTP/1.1\r\nHost: api") // and no more of it
	third := open()
	closed(t, "the connection that has been idle longest", oldest)
	served(t, "the newcomer", third)
	serving := gate.begin()
	closed(t, "the connection that sends its header slowly", slow)
	<-upstream.arrived
	if got := gate.metric(evicted); got != "2" {
		t.Errorf("evicted: got %s, want 2", got)
	}
	also := gate.begin()
	closed(t, "the idle connection", third)
	<-upstream.arrived
	newest := gate.dial()
	defer newest.Close()
	closed(t, "the newcomer when all are served", newest)
	if got, want := gate.metric(refused)+" "+gate.metric("approovgate_connections")+" "+gate.metric("approovgate_connections_limit"), "1 2 2"; got != want {
		t.Errorf("refused, open and limit: got %s, want %s", got, want)
	}
	upstream.release()
	for name, conn := range map[string]net.Conn{"one that was served": serving, "another that was served": also} {
		if got := answerOn(t, conn); got.status != 200 {
			t.Errorf("%s: got %d, want 200", name, got.status)
		}
	}
	serving.Close()
	also.Close()
	until(t, "no connection", func() bool { return gate.metric("approovgate_connections") == "0" })
}

func TestSlowHeadersAreCut(t *testing.T) {
	gate := run(t, newUpstream(t, nil).URL, map[string]any{}, limited(map[string]any{"header_timeout": brief.String(), "idle_timeout": brief.String()}))
	for _, row := range []struct{ name, text string }{
		{"a client that says nothing", ""},
		{"a client that sends half a line", "GET /x HT"},
		{"a client that sends half a header", "GET /x HTTP/1.1\r\nHost: api.example.com\r\nX-"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			conn := gate.dial()
			defer conn.Close()
			fmt.Fprint(conn, row.text)
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				t.Errorf("got %v, want it closed", err)
			}
		})
	}
	t.Run("a client that is done", func(t *testing.T) {
		t.Parallel()
		conn := gate.dial()
		defer conn.Close()
		served(t, "its request", conn)
		closed(t, "its connection", conn)
	})
}

// endless is a backend whose answer has no end; cut gets a value when the gate takes no more of it.
func endless(t *testing.T) (upstream *upstreamLog, cut chan struct{}) {
	t.Helper()
	cut = make(chan struct{}, 1)
	return newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		part := make([]byte, 64<<10)
		for {
			if _, err := w.Write(part); err != nil {
				cut <- struct{}{}
				return
			}
		}
	}), cut
}

func within(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(patience):
		t.Errorf("%s: got none in %s, want it", what, patience)
	}
}

func TestClientsThatStopReadingAreCut(t *testing.T) {
	short := limited(map[string]any{"write_timeout": brief.String()})
	t.Run("in HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		upstream, cut := endless(t)
		gate := run(t, upstream.URL, map[string]any{}, short)
		gate.begin()
		within(t, "the cut", cut)
		until(t, "no connection", func() bool { return gate.metric("approovgate_connections") == "0" })
	})
	t.Run("in HTTP/2, but not the streams beside it", func(t *testing.T) {
		t.Parallel()
		upstream, cut := endless(t)
		gate := run(t, upstream.URL, map[string]any{}, withH2C, short)
		client := overHTTP2(t)
		response := gate.post(client, nil)
		defer response.Body.Close()
		within(t, "the cut", cut)
		q, err := http.NewRequest("GET", "http://"+gate.address+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		beside, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		beside.Body.Close()
		if got := gate.metric("approovgate_connections_accepted_total"); beside.StatusCode != 401 || got != "1" {
			t.Errorf("the next stream: got %d on connection %s, want 401 on connection 1", beside.StatusCode, got)
		}
	})
	t.Run("in HTTP/2 with a window that is shut, even for a few bytes", func(t *testing.T) {
		t.Parallel()
		upstream := newUpstream(t, nil)
		gate := run(t, upstream.URL, map[string]any{}, withH2C, short)
		conn := gate.dial()
		defer conn.Close()
		_, _ = conn.Write(shutWindowRequest("api.example.com", "/x", validToken(t, nil)))
		if err := awaitReset(conn); err != nil {
			t.Errorf("stream: got %v, want a reset", err)
		}
		upstream.last(t)
	})
}

// frame is a frame of HTTP/2 (RFC 9113 §4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	f = append(f, flags)
	return append(binary.BigEndian.AppendUint32(f, stream), payload...)
}

// shutWindowRequest is a client's side of a connection: its preface, settings that give streams no window, and
// a GET request.
func shutWindowRequest(authority, path, token string) []byte {
	const settings, headers, endStream, endHeaders = 4, 1, 1, 4
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = append(out, frame(settings, 0, 0, []byte{0, 4, 0, 0, 0, 0})...) // SETTINGS_INITIAL_WINDOW_SIZE = 0
	var block []byte
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", authority}, {":path", path}, {"approov-token", token}} {
		block = append(block, 0) // a literal that is not indexed, with a new name (RFC 7541 §6.2.2)
		for _, text := range field {
			block = append(hpackLength(block, len(text)), text...)
		}
	}
	return append(out, frame(headers, endStream|endHeaders, 1, block)...)
}

// hpackLength appends a string's length with a prefix of 7 bits (RFC 7541 §5.1).
func hpackLength(to []byte, n int) []byte {
	if n < 127 {
		return append(to, byte(n))
	}
	to = append(to, 127)
	for n -= 127; n >= 128; n /= 128 {
		to = append(to, byte(n%128|128))
	}
	return append(to, byte(n))
}

// awaitReset reads frames until a stream is reset.
func awaitReset(conn net.Conn) error {
	const reset = 3
	reader := bufio.NewReader(conn)
	for {
		var head [9]byte
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(head[:4]) >> 8
		if _, err := io.CopyN(io.Discard, reader, int64(length)); err != nil {
			return err
		}
		if head[3] == reset {
			return nil
		}
	}
}

func TestLongestIdle(t *testing.T) {
	c := newClients(3, time.Minute)
	var conns []*clientConn
	for range 3 {
		here, there := net.Pipe()
		defer there.Close()
		conns = append(conns, c.admit(here, here))
	}
	conns[0].begin()
	conns[1].begin()
	conns[1].end() // so that the third is idle for longest
	if got := c.longestIdle(); got != conns[2] {
		t.Errorf("got %p, want the one that never served", got)
	}
	conns[2].begin()
	if got := c.longestIdle(); got != conns[1] {
		t.Errorf("got %p, want the one that has served", got)
	}
	conns[1].begin()
	if got := c.longestIdle(); got != nil {
		t.Errorf("got %p, want none: all serve", got)
	}
	for _, conn := range conns {
		conn.Close()
		conn.Close() // twice is once
	}
	if c.count() != 0 {
		t.Errorf("count: got %d, want 0", c.count())
	}
}
