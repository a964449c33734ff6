package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

const (
	wantsEcho = "Connection: Upgrade\r\nUpgrade: echo"
	switched  = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSec-WebSocket-Accept: x\r\n\r\n"
)

// upgrade opens an upgraded connection to a backend that talks as serve does.
func upgrade(t *testing.T, serve func(conn *net.TCPConn, in *bufio.Reader)) *talk {
	t.Helper()
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if !readRequest(in) {
			return
		}
		fmt.Fprint(conn, switched)
		serve(conn.(*net.TCPConn), in)
	})
	e := run(t, "http://"+upstream, map[string]any{}).open(request("GET", "/x", wantsEcho, "Approov-Token: "+validToken(t, nil)))
	response := e.head(t, "GET")
	if response.StatusCode != 101 || response.Header.Get("Upgrade") != "echo" || response.Header.Get("Sec-WebSocket-Accept") != "x" {
		t.Fatalf("got %d %v, want 101 as the backend said it", response.StatusCode, response.Header)
	}
	return e
}

func TestUpgradedConnectionsEnd(t *testing.T) {
	t.Run("a client that has said all still hears the backend", func(t *testing.T) {
		e := upgrade(t, func(conn *net.TCPConn, in *bufio.Reader) {
			all, err := io.ReadAll(in)
			fmt.Fprintf(conn, "heard %q, %v", all, err)
		})
		fmt.Fprint(e, "all")
		if err := e.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(e.in); err != nil || string(got) != `heard "all", <nil>` {
			t.Errorf("got %q, %v, want the backend's word", got, err)
		}
	})
	t.Run("a backend that has said all still hears the client", func(t *testing.T) {
		heard := make(chan string, 1)
		e := upgrade(t, func(conn *net.TCPConn, in *bufio.Reader) {
			fmt.Fprint(conn, "all")
			_ = conn.CloseWrite() // a failure shows as a client that hears no end
			all, err := io.ReadAll(in)
			heard <- fmt.Sprint(string(all), err)
		})
		if got, err := io.ReadAll(e.in); err != nil || string(got) != "all" {
			t.Fatalf("got %q, %v, want all and the end", got, err)
		}
		fmt.Fprint(e, "late")
		e.Close()
		if got := <-heard; got != "late<nil>" {
			t.Errorf("backend: got %q, want late", got)
		}
	})
	t.Run("a client that goes away ends the backend's connection", func(t *testing.T) {
		ended := make(chan error, 1)
		e := upgrade(t, func(_ *net.TCPConn, in *bufio.Reader) {
			_, err := in.ReadByte()
			ended <- err
		})
		e.Close()
		if err := <-ended; err == nil {
			t.Error("backend: got a byte, want the end")
		}
	})
	t.Run("a client that is cut off ends the backend's connection", func(t *testing.T) {
		ended := make(chan error, 1)
		e := upgrade(t, func(_ *net.TCPConn, in *bufio.Reader) {
			_, err := in.ReadByte()
			ended <- err
		})
		_ = e.Conn.(*net.TCPConn).SetLinger(0) // the connection is reset
		e.Close()
		if err := <-ended; err == nil {
			t.Error("backend: got a byte, want the end")
		}
	})
	t.Run("a backend that goes away ends the client's connection", func(t *testing.T) {
		e := upgrade(t, func(conn *net.TCPConn, _ *bufio.Reader) { _ = conn.SetLinger(0) })
		if _, err := e.in.ReadByte(); err == nil {
			t.Error("client: got a byte, want the end")
		}
	})
}

// TestBytesBehindAnUpgradeAreNotLost: the backend may speak in one write with its head, and the client as soon
// as it has that.
func TestBytesBehindAnUpgradeAreNotLost(t *testing.T) {
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if !readRequest(in) {
			return
		}
		fmt.Fprint(conn, switched+"welcome ")
		word := make([]byte, 5)
		_, err := io.ReadFull(in, word)
		fmt.Fprintf(conn, "heard %s, %v", word, err)
	})
	e := run(t, "http://"+upstream, map[string]any{}).open(request("GET", "/x", wantsEcho, "Approov-Token: "+validToken(t, nil)))
	e.head(t, "GET")
	fmt.Fprint(e, "early")
	if got, err := io.ReadAll(e.in); err != nil || string(got) != "welcome heard early, <nil>" {
		t.Errorf("got %q, %v, want both words", got, err)
	}
}

func TestUpgradesThatTheBackendDeclines(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		status       int
		body         string
	}{
		{"by serving the request", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"by refusing it", "HTTP/1.1 403 Forbidden\r\nUpgrade: other\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno", 403, "no"},
		{"by asking for an upgrade", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno", 426, "no"},
		{"by switching to another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", 502, bodyBadGateway},
		{"by switching to none", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 502, bodyBadGateway},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, "http://"+bareUpstream(t, answering(row.answer)), map[string]any{})
			// The request behind it carries no token: it must be checked, not tunnelled.
			e := gate.open(request("GET", "/x", wantsEcho, "Approov-Token: "+validToken(t, nil)) + request("GET", "/unchecked"))
			response := e.head(t, "GET")
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != row.status || string(body) != row.body {
				t.Errorf("got %d %q, %v, want %d %q", response.StatusCode, body, err, row.status, row.body)
			}
			next, err := http.ReadResponse(e.in, nil)
			if err == nil && next.StatusCode != 401 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the request behind it: got %v, %v, want 401 or a closed connection", next, err)
			}
		})
	}
}
