package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	calls "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// TestGRPCCallsAreRefused makes every kind of call without a token that counts: the client sees UNAUTHENTICATED, and the
// service sees nothing.
func TestGRPCCallsAreRefused(t *testing.T) {
	kinds := []struct {
		name string
		call func(context.Context, calls.TestServiceClient) error
	}{
		{"a unary call", func(ctx context.Context, client calls.TestServiceClient) error {
			_, err := client.UnaryCall(ctx, &calls.SimpleRequest{Payload: &calls.Payload{Body: pattern(100_000)}})
			return err
		}},
		{"a stream of responses", func(ctx context.Context, client calls.TestServiceClient) error {
			stream, err := client.StreamingOutputCall(ctx, &calls.StreamingOutputCallRequest{ResponseParameters: []*calls.ResponseParameters{{Size: 1}}})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"a stream of requests", func(ctx context.Context, client calls.TestServiceClient) error {
			stream, err := client.StreamingInputCall(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&calls.StreamingInputCallRequest{Payload: &calls.Payload{Body: pattern(100)}}) // CloseAndRecv has the reason
			_, err = stream.CloseAndRecv()
			return err
		}},
		{"a stream both ways", func(ctx context.Context, client calls.TestServiceClient) error {
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
	}
	s, file := startService(t, false)
	g := start(t, file)
	for _, way := range ways {
		address, secured := way.to(g)
		for _, sender := range []struct{ name, token string }{{"no token", ""}, {"a forged token", forged(t)}, {"no token but text", "NO_NETWORK"}} {
			client := connect(t, address, secured, sender.token)
			for _, kind := range kinds {
				t.Run(way.name+": "+kind.name+" with "+sender.name, func(t *testing.T) {
					if got := status.Code(kind.call(waitContext(t), client)); got != codes.Unauthenticated {
						t.Errorf("got %v, want %v", got, codes.Unauthenticated)
					}
				})
			}
		}
	}
	if got := s.served.Load(); got != 0 {
		t.Errorf("the service got %d calls, want none", got)
	}
}

// TestGRPCServiceThatIsGoneIsUnavailable asks a gate that has nobody behind it.
func TestGRPCServiceThatIsGoneIsUnavailable(t *testing.T) {
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g := start(t, settings{"upstream": "h2c://" + l.Addr().String()})
	for _, way := range ways {
		address, secured := way.to(g)
		_, err := connect(t, address, secured, token(t)).UnaryCall(waitContext(t), &calls.SimpleRequest{})
		if got := status.Code(err); got != codes.Unavailable {
			t.Errorf("%s: got %v, want %v", way.name, got, codes.Unavailable)
		}
	}
}

// TestGRPCCancelledByTheServiceIsNoInvitationToRetry has a service reset a stream with CANCEL, as gRPC's do when their
// own clock ends a call. For clients that is CANCELLED or, where the call had a timeout, DEADLINE_EXCEEDED
// (PROTOCOL-HTTP2.md, "Errors"). UNAVAILABLE would have them try again what the service has begun already.
func TestGRPCCancelledByTheServiceIsNoInvitationToRetry(t *testing.T) {
	g := start(t, settings{"upstream": "h2c://" + startResetting(t, http2.ErrCodeCancel)})
	for _, row := range []struct {
		name string
		more []string
		want string
	}{{"a call without a timeout", nil, "1"}, {"a call with a timeout", []string{"grpc-timeout", "10S"}, "4"}} {
		t.Run(row.name, func(t *testing.T) {
			c := newFrameClient(t, g.dialPlain(t))
			c.headers(1, true, append([]string{":method", "POST", ":scheme", "http", ":authority", "127.0.0.1", ":path", "/any.Service/Call",
				"content-type", "application/grpc", "te", "trailers", "approov-token", token(t)}, row.more...)...)
			if got := c.answer(1).fields["grpc-status"]; got != row.want {
				t.Errorf("got grpc-status %q, want %q", got, row.want)
			}
		})
	}
}

// startResetting runs a server without TLS that resets every stream of HTTP/2.
func startResetting(t *testing.T, code http2.ErrCode) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ended by Close
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the gate
				defer conn.Close()
				framer := http2.NewFramer(conn, conn)
				preface := make([]byte, len(http2.ClientPreface))
				_, err := io.ReadFull(conn, preface)
				for err = errors.Join(err, framer.WriteSettings()); err == nil; {
					var frame http2.Frame
					if frame, err = framer.ReadFrame(); err == nil && frame.Header().Type == http2.FrameHeaders {
						err = framer.WriteRSTStream(frame.Header().StreamID, code)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestGRPCRefusalIsOneFrame looks at a refused call on the wire: one HEADERS frame that ends the stream, which is what
// gRPC calls trailers-only (PROTOCOL-HTTP2.md, "Responses").
func TestGRPCRefusalIsOneFrame(t *testing.T) {
	_, file := startService(t, false)
	g := start(t, file)
	for _, row := range []struct {
		name  string
		dial  func(*testing.T) net.Conn
		token string
		rest  bool // the request has content that still comes
	}{
		{"with TLS, no token", g.dialSecure, "", false},
		{"with TLS, no token, while content still comes", g.dialSecure, "", true},
		{"without TLS, no token, while content still comes", g.dialPlain, "", true},
		{"without TLS, a forged token", g.dialPlain, forged(t), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newFrameClient(t, row.dial(t))
			fields := []string{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", "/grpc.testing.TestService/UnaryCall",
				"content-type", "application/grpc", "te", "trailers"}
			if row.token != "" {
				fields = append(fields, "approov-token", row.token)
			}
			c.headers(1, !row.rest, fields...)
			got := c.answer(1)
			if len(got.frames) != 1 || got.frames[0] != http2.FrameHeaders || !got.endsWithHeaders {
				t.Errorf("got frames %v, ended by HEADERS: %t; want one HEADERS frame with END_STREAM", got.frames, got.endsWithHeaders)
			}
			for name, want := range map[string]string{":status": "200", "grpc-status": "16", "content-type": "application/grpc"} {
				if got.fields[name] != want {
					t.Errorf("%s: got %q, want %q", name, got.fields[name], want)
				}
			}
		})
	}
}

func (g *gate) dialPlain(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", g.plain, patience)
	if err != nil {
		t.Fatal(err)
	}
	return withDeadline(t, conn)
}

func (g *gate) dialSecure(t *testing.T) net.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", g.secure, testAuthority.client("h2"))
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("got protocol %q by ALPN, want h2", got)
	}
	return withDeadline(t, conn)
}

func withDeadline(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestGRPCWebIsRefusedInItsOwnWay sends what browsers send for gRPC, over HTTP/1.1.
func TestGRPCWebIsRefusedInItsOwnWay(t *testing.T) {
	_, file := startService(t, false)
	g := start(t, file)
	for _, row := range []struct{ sent, want string }{
		{"application/grpc-web", "application/grpc-web+proto"},
		{"application/grpc-web+proto", "application/grpc-web+proto"},
		{"application/grpc-web-text", "application/grpc-web-text+proto"},
		{"application/grpc-web-text+proto", "application/grpc-web-text+proto"},
	} {
		t.Run(row.sent, func(t *testing.T) {
			q, err := http.NewRequestWithContext(waitContext(t), http.MethodPost, "http://"+g.plain+"/grpc.testing.TestService/UnaryCall", strings.NewReader("\x00\x00\x00\x00\x00"))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Content-Type", row.sent)
			response, err := http.DefaultTransport.RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.Proto != "HTTP/1.1" || response.StatusCode != http.StatusOK || len(body) != 0 {
				t.Errorf("got %s %d with %d bytes, want HTTP/1.1 200 with none", response.Proto, response.StatusCode, len(body))
			}
			if got := response.Header.Get("Grpc-Status"); got != "16" {
				t.Errorf("grpc-status: got %q, want 16", got)
			}
			if got := response.Header.Get("Content-Type"); got != row.want {
				t.Errorf("content-type: got %q, want %q", got, row.want)
			}
		})
	}
}
