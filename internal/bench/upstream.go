package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
)

// upstreamBody is the length of every answer of the upstream, in bytes.
const upstreamBody = 256

// upstream is the role of the API behind the proxies. It answers every request alike, with as little work
// as can be: what it burns, the load generator on the same core lacks. Requests have no body and come one
// at a time.
func upstream(ctx context.Context, _ []string, _ io.Reader, ready func(string)) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", loopback)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	ready(l.Addr().String())
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		upstreamBody, strings.Repeat("x", upstreamBody))
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go answerAll(conn, answer) // ends with the connection
	}
}

// answerAll answers each request on a connection. A head that fills the buffer ends it.
func answerAll(conn net.Conn, answer []byte) {
	defer conn.Close()
	head := make([]byte, maxAnswer)
	read := 0
	for read < len(head) {
		n, err := conn.Read(head[read:])
		if err != nil {
			return
		}
		read += n
		if !bytes.HasSuffix(head[:read], headEnd) {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		read = 0
	}
}
