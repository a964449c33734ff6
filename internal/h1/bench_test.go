package h1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// BenchmarkRoundTrip is a GET with a small response, and a POST, beside http.Transport.
func BenchmarkRoundTrip(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 256\r\n\r\n"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	full := append([]byte(answer), bytes.Repeat([]byte("x"), 256)...)
	go func() { // ends with the listener; those it starts end with their connections
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						if _, err := conn.Write(full); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	ours := &Transport{Dial: dial, MaxIdle: 16}
	theirs := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableCompression: true}
	defer ours.CloseIdleConnections()
	defer theirs.CloseIdleConnections()
	for _, row := range []struct {
		name string
		rt   http.RoundTripper
	}{{"ours", ours}, {"http.Transport", theirs}} {
		b.Run("GET/"+row.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", "http://upstream.test/v1/things?x=1", nil)
			if err != nil {
				b.Fatal(err)
			}
			for _, name := range []string{"Accept", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"} {
				req.Header[name] = []string{"some value of a header field"}
			}
			buf := make([]byte, 32<<10)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := row.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}
