package caddymodule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// behindGate is a site that passes genuine requests on.
func behindGate(scheme string, upstream *httptest.Server) string {
	return fmt.Sprintf("\tapproov {\n\t\tsecret {SECRET}\n\t}\n\treverse_proxy %s://%s", scheme, upstream.Listener.Addr())
}

// TestEventsArriveOneByOne: the next event is sent when the one before has arrived, so that a buffer on the way would
// stop everything.
func TestEventsArriveOneByOne(t *testing.T) {
	next := make(chan struct{}, 1)
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush() // a failure shows as an event that is missing
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	f := newFront(t, behindGate("http", backend))
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			response, err := f.client(version).Do(f.request("GET", "/events", nil, "Approov-Token", f.token("HS256", nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != 200 || response.ProtoMajor != version {
				t.Fatalf("got %s of %d, want HTTP/%d and 200", response.Proto, response.StatusCode, version)
			}
			in := bufio.NewReader(response.Body)
			for i := range 5 {
				line, err := in.ReadString('\n')
				empty, _ := in.ReadString('\n') // its error would come back with the next
				if want := fmt.Sprintf("data: %d\n", i); err != nil || line+empty != want+"\n" {
					t.Fatalf("event %d: got %q, %v, want %q", i, line+empty, err, want)
				}
				next <- struct{}{}
			}
		})
	}
}

// TestUpgradedConnectionsTalkBothWays: a WebSocket's handshake is judged, its frames pass as they are.
func TestUpgradedConnectionsTalkBothWays(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // the client hears no 101
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: TEST\r\n\r\nwelcome\n", r.Header.Get("Upgrade"))
		for line, err := both.ReadString('\n'); err == nil; line, err = both.ReadString('\n') {
			fmt.Fprintf(conn, "you said %s", line)
		}
	})
	f := newFront(t, behindGate("http", backend))
	handshake := "GET /socket HTTP/1.1\r\nHost: " + f.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

	t.Run("with a token", func(t *testing.T) {
		conn, in, response := f.talk(handshake + "Approov-Token: " + f.token("HS256", nil) + "\r\n\r\n")
		if response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("Sec-Websocket-Accept") != "TEST" {
			t.Fatalf("got %d %v, want 101 as the backend said it", response.StatusCode, response.Header)
		}
		for i, want := range []string{"welcome\n", "you said one\n", "you said two\n"} {
			if line, err := in.ReadString('\n'); err != nil || line != want {
				t.Fatalf("message %d: got %q, %v, want %q", i, line, err, want)
			}
			fmt.Fprintf(conn, "%s\n", []string{"one", "two", "three"}[i])
		}
	})
	t.Run("without a token", func(t *testing.T) {
		_, _, response := f.talk(handshake + "\r\n")
		if response.StatusCode != 401 || response.Header.Get("Upgrade") != "" {
			t.Errorf("got %d %v, want 401 and no other protocol", response.StatusCode, response.Header)
		}
	})
}

// talk sends a request as it stands, on a connection of its own, and reads the head of the answer.
func (f *front) talk(request string) (net.Conn, *bufio.Reader, *http.Response) {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.address, patience)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() }) // nothing more is asked of it
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, &http.Request{Method: "GET"})
	if err != nil {
		f.t.Fatalf("answer: %v", err)
	}
	return conn, in, response
}

// TestNoOneGoesOnInHTTP2: behind an upgrade to h2c the gate would see nothing any more.
func TestNoOneGoesOnInHTTP2(t *testing.T) {
	seen := make(chan http.Header, 10)
	backend := newBackend(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	f := newFront(t, behindGate("http", backend))
	for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "h2c/2"} {
		request := "GET / HTTP/1.1\r\nHost: " + f.address + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade +
			"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nApproov-Token: " + f.token("HS256", nil) + "\r\n\r\n"
		_, _, response := f.talk(request)
		if response.StatusCode != 200 {
			t.Errorf("%s: got %d, want 200: the request itself goes on", upgrade, response.StatusCode)
			continue
		}
		header := <-seen
		if header.Get("Upgrade") != "" || header.Get("Http2-Settings") != "" {
			t.Errorf("%s: the backend got %v, want no wish to upgrade", upgrade, header)
		}
	}
}

// grpcMessage is a message as it is on the wire, with its length in front.
func grpcMessage(text string) string {
	return string([]byte{0, 0, 0, 0, byte(len(text))}) + text
}

// TestGRPC calls a server that answers each message before the next is sent, and ends with a status in its trailers.
func TestGRPC(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		_ = http.NewResponseController(w).Flush() // a failure shows as a head that does not come
		for {
			message := make([]byte, len(grpcMessage("ping 0")))
			if _, err := io.ReadFull(r.Body, message); err != nil {
				break
			}
			_, _ = io.WriteString(w, grpcMessage("echo "+string(message[5:])))
			_ = http.NewResponseController(w).Flush() // as above, for a message
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", r.Proto)
	})
	f := newFront(t, behindGate("h2c", backend))
	out, content := io.Pipe()
	r := f.request("POST", "/echo.Echo/Talk", out, "Content-Type", "application/grpc", "Te", "trailers", "Approov-Token", f.token("HS256", nil))
	response, err := f.client(2).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for i := range 3 {
		said := fmt.Sprintf("ping %d", i)
		if _, err := io.WriteString(content, grpcMessage(said)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(grpcMessage("echo "+said)))
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got[5:]) != "echo "+said {
			t.Fatalf("message %d: got %q, %v, want %q before the next is sent", i, got, err, "echo "+said)
		}
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end: got %q, %v, want no more messages", rest, err)
	}
	if got := response.Trailer; got.Get("Grpc-Status") != "0" || got.Get("Grpc-Message") != "HTTP/2.0" {
		t.Errorf("got trailers %v, want status 0 from a server that was asked in HTTP/2", got)
	}
}

// TestRefusedGRPC: a client of gRPC understands a status in the header and no page, whatever the site does with errors.
func TestRefusedGRPC(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Reached", "1") })
	for name, more := range map[string]string{
		"a plain site":            "",
		"a site that has a page":  "\n\thandle_errors {\n\t\trespond \"a page\" 418\n\t}",
		"a page for 401 and more": "\n\thandle_errors 401 403 {\n\t\theader Content-Type text/html\n\t\trespond \"a page\"\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, behindGate("h2c", backend)+more)
			got := f.send(f.client(2), f.request("POST", "/echo.Echo/Talk", strings.NewReader(grpcMessage("ping")), "Content-Type", "application/grpc", "Te", "trailers"))
			if got.status != 200 || got.header.Get("Grpc-Status") != "16" || got.header.Get("Content-Type") != "application/grpc" ||
				got.body != "" || len(got.trailer) > 0 || got.header.Get("X-Reached") != "" {
				t.Errorf("got %d %v %q %v, want 200, Grpc-Status 16 and nothing behind the header", got.status, got.header, got.body, got.trailer)
			}
		})
	}
}
