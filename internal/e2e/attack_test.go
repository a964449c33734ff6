package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is one way to harm a server of HTTP/2. Several connections at once try it, again and again.
type attack struct {
	name   string
	secure bool // over TLS, if not h2c
	raw    bool // over TCP as it is: the attack is on what comes before HTTP/2

	connections int
	deaf        bool // does not even read what the gate says

	// send floods one connection until an error ends it, or goes on until its context ends. Stalling attacks return
	// once they have sent the little that they send.
	send func(context.Context, *attacker) error
	cut  time.Duration // for attacks that stall: within this the gate must close the connection; 0: no matter
}

// attacker is one connection.
type attacker struct {
	*http2.Framer
	conn   net.Conn
	buffer *bufio.Writer
	token  string
	block  bytes.Buffer // what encode writes to
	encode *hpack.Encoder
	last   uint32 // the latest stream
}

// TestFloodsDoNotHarmOthers runs one flood after the other beside good traffic.
func TestFloodsDoNotHarmOthers(t *testing.T) {
	lasts := attackTime(t)
	for _, a := range floods {
		t.Run(a.name, func(t *testing.T) {
			g := besieged(t)
			s := beside(t, g)
			o := a.run(t, g, lasts)
			o.report(t, a)
			s.end(t, lasts)
		})
	}
}

// TestStallsDoNotHarmOthers runs all stalls at once beside good traffic: each of their connections is cut in time.
func TestStallsDoNotHarmOthers(t *testing.T) {
	lasts := attackTime(t)
	g := besieged(t)
	s := beside(t, g)
	outcomes := make([]*outcome, len(stalls))
	var running sync.WaitGroup // ended by the attacks' own end
	for i, a := range stalls {
		running.Go(func() { outcomes[i] = a.run(t, g, lasts) })
	}
	running.Wait()
	for i, a := range stalls {
		t.Run(a.name, func(t *testing.T) { outcomes[i].report(t, a) })
	}
	s.end(t, lasts)
}

// run attacks for some time. It returns when all connections have ended.
func (a *attack) run(t *testing.T, g *gate, lasts time.Duration) *outcome {
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	o := &outcome{}
	valid := token(t)
	var running sync.WaitGroup // ended by ctx, and by the gate or a deadline
	for range a.connections {
		running.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, g, valid, o)
			}
		})
	}
	running.Wait()
	return o
}

// outcome is what came of an attack's connections.
type outcome struct {
	opened, ended, bytes atomic.Int64 // ended: by the gate
	mu                   sync.Mutex   // guards what follows
	refused              error        // why a connection could not even be made
	longest              time.Duration
	uncut                int // stalling connections that the gate has left open
}

func (o *outcome) report(t *testing.T, a attack) {
	t.Helper()
	t.Logf("%d connections, %d of them ended by the gate, %d KiB sent", o.opened.Load(), o.ended.Load(), o.bytes.Load()>>10)
	if a.cut > 0 {
		t.Logf("the longest lasted %v", o.longest.Round(time.Millisecond))
	}
	if o.opened.Load() == 0 {
		t.Errorf("got no connection: %v; want an attack", o.refused)
	}
	if o.uncut > 0 {
		t.Errorf("got %d connections still open after %v, want all closed after %v", o.uncut, a.cut+slack, a.cut)
	}
}

// once attacks with one connection, until it or ctx ends.
func (a *attack) once(ctx context.Context, g *gate, valid string, o *outcome) {
	begin := time.Now()
	conn, err := a.dial(ctx, g)
	if err != nil {
		o.mu.Lock()
		o.refused = err
		o.mu.Unlock()
		return
	}
	defer conn.Close()
	o.opened.Add(1)
	if a.cut == 0 {
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whatever it is at
	}
	counted := &countingWriter{conn: conn}
	defer func() { o.bytes.Add(counted.n) }()
	ended := make(chan error, 1)
	if !a.deaf {
		go func() { // ends with the connection
			if a.cut > 0 {
				_ = conn.SetReadDeadline(begin.Add(a.cut + slack)) // fails where it is closed already
			}
			_, err := io.Copy(io.Discard, conn)
			ended <- err
		}()
	}
	err = a.flood(ctx, conn, counted, valid)
	if a.cut == 0 {
		if err != nil && ctx.Err() == nil {
			o.ended.Add(1)
		}
		return
	}
	err = <-ended
	o.mu.Lock()
	defer o.mu.Unlock()
	o.longest = max(o.longest, time.Since(begin))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		o.uncut++
		return
	}
	o.ended.Add(1)
}

// flood greets the gate as HTTP/2 wants, where the attack wants that, and attacks.
func (a *attack) flood(ctx context.Context, conn net.Conn, out io.Writer, valid string) error {
	buffer := bufio.NewWriterSize(out, 8<<10)
	x := &attacker{Framer: http2.NewFramer(buffer, conn), conn: conn, buffer: buffer, token: valid, last: ^uint32(0)}
	x.AllowIllegalWrites = true
	x.encode = hpack.NewEncoder(&x.block)
	if !a.raw {
		if _, err := io.WriteString(buffer, http2.ClientPreface); err != nil {
			return err
		}
		if err := x.WriteSettings(); err != nil {
			return err
		}
	}
	if err := a.send(ctx, x); err != nil {
		return err
	}
	return x.buffer.Flush()
}

func (a *attack) dial(ctx context.Context, g *gate) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !a.secure {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", g.plain)
	}
	if a.raw {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", g.secure)
	}
	d := tls.Dialer{Config: testAuthority.client("h2")}
	return d.DialContext(ctx, "tcp", g.secure)
}

// countingWriter counts what goes out.
type countingWriter struct {
	conn net.Conn
	n    int64
}

// Write passes p on.
func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.conn.Write(p)
	c.n += int64(n)
	return n, err
}

// open begins a stream with a request that the gate lets through, and leaves its content open unless end.
func (x *attacker) open(end bool, method, path string, more ...string) error {
	x.last += 2 // the first is 1
	x.block.Reset()
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "127.0.0.1", ":path", path, "approov-token", x.token}, more...)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := x.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	if x.last > 1<<30 {
		return fmt.Errorf("stream %d is the last", x.last)
	}
	return x.WriteHeaders(http2.HeadersFrameParam{StreamID: x.last, BlockFragment: x.block.Bytes(), EndHeaders: true, EndStream: end})
}

// forever repeats step until it fails or ctx ends.
func forever(ctx context.Context, step func(n int) error) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}
