package h1

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkRoundTrip is an exchange with a small response, beside http.Transport. The upstream runs in
// the same process and is part of the figures.
func BenchmarkRoundTrip(b *testing.B) {
	answer := "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 256\r\n\r\n" + strings.Repeat("x", 256)
	u := newUpstream(b, "tcp", func(p *peer) {
		for { // content without line ends does not hurt
			line, err := p.in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				p.write(answer)
			}
		}
	})
	theirs := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx) }, DisableCompression: true}
	b.Cleanup(theirs.CloseIdleConnections)
	for _, row := range []struct {
		name    string
		rt      http.RoundTripper
		content []byte
	}{
		{"GET/h1", transport(b, u), nil},
		{"GET/net", theirs, nil},
		{"POST of 1 KiB/h1", transport(b, u), bytes.Repeat([]byte("x"), 1<<10)},
		{"POST of 1 KiB/net", theirs, bytes.Repeat([]byte("x"), 1<<10)},
	} {
		b.Run(row.name, func(b *testing.B) { exchangeAgain(b, row.rt, row.content) })
	}
}

// exchangeAgain sends the same request over and over, with a context that can end, as a server's can.
func exchangeAgain(b *testing.B, rt http.RoundTripper, content []byte) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://upstream.test/v1/things?x=1", nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"Accept", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"} {
		req.Header[name] = []string{"some value of a header field"}
	}
	source := bytes.NewReader(content)
	if content != nil {
		req.Method, req.ContentLength, req.Body = "POST", int64(len(content)), io.NopCloser(source)
	}
	buf := make([]byte, 32<<10)
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(content)
		response, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = response.Body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		response.Body.Close()
	}
}
