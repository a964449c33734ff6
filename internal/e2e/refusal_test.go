package e2e_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// TestRefusedUploadIsAnsweredWhole looks at the frames of a refusal that comes before the content does.
func TestRefusedUploadIsAnsweredWhole(t *testing.T) {
	a := startAPI(t)
	g := start(t, a.file())
	for _, row := range []struct {
		name string
		dial func(*testing.T) net.Conn
	}{{"with TLS", g.dialSecure}, {"without TLS", g.dialPlain}} {
		t.Run(row.name, func(t *testing.T) {
			c := newFrameClient(t, row.dial(t))
			c.headers(1, false, ":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", "/digest", "content-length", "1000000")
			got := c.answer(1)
			if want := []http2.FrameType{http2.FrameHeaders, http2.FrameData}; !slices.Equal(got.frames, want) || got.body != unauthorized {
				t.Errorf("got frames %v with %q, want %v with %q", got.frames, got.body, want, unauthorized)
			}
			if got.fields[":status"] != "401" {
				t.Errorf("got status %s, want 401", got.fields[":status"])
			}
		})
	}
	if got := a.served.Load(); got != 0 {
		t.Errorf("got %d requests at the API, want none", got)
	}
}

// TestRefusalDoesNotWaitForContent sends the header of an upload, and nothing more until the answer is there.
func TestRefusalDoesNotWaitForContent(t *testing.T) {
	a := startAPI(t)
	file := a.file()
	file["limits"] = settings{"body_timeout": "60s"} // longer than the test waits
	g := start(t, file)
	for _, row := range []struct{ name, lines string }{
		{"a client that waits for 100 Continue", "Content-Length: 1000\r\nExpect: 100-continue\r\n"},
		{"one that waits for it with chunks", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"},
		{"one that has 1 GB to send", "Content-Length: 1000000000\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn := g.dialPlain(t)
			if _, err := io.WriteString(conn, "POST /digest HTTP/1.1\r\nHost: api.example.com\r\n"+row.lines+"\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("got %v, want an answer", err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized || !response.Close {
				t.Errorf("got status %d, Connection: close %t; want 401, true", response.StatusCode, response.Close)
			}
		})
	}
}
