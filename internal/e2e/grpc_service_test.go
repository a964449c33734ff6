package e2e_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	calls "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxMessage is the longest message that clients and servers of gRPC take here: gRPC's own default is too short for
// the big ones.
const maxMessage = 16 << 20

// service is gRPC's own test service, as far as these tests call it.
type service struct {
	calls.UnimplementedTestServiceServer
	entered chan struct{} // gets a value whenever a call begins that waits for its end
	ended   chan error    // gets why such a call has ended
	served  atomic.Int64  // calls that have arrived
}

// startService runs the service without TLS, or with it, and returns the gate file's way to it.
func startService(t *testing.T, secure bool) (*service, settings) {
	t.Helper()
	s := &service{entered: make(chan struct{}, 1), ended: make(chan error, 1)}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.UnaryInterceptor(func(ctx context.Context, q any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.served.Add(1)
			return next(ctx, q)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			s.served.Add(1)
			return next(server, stream)
		}),
	}
	l := listen(t)
	file := settings{"upstream": "h2c://" + l.Addr().String()}
	if secure {
		pair := testAuthority.issue(t, "service").pair(t)
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
		file = settings{"upstream": "https://" + l.Addr().String(), "upstream_tls": settings{"ca": testAuthority.file(t)}}
	}
	server := grpc.NewServer(options...)
	calls.RegisterTestServiceServer(server, s)
	go func() { _ = server.Serve(l) }() // ended by Stop; the error says so
	t.Cleanup(server.Stop)
	return s, file
}

// UnaryCall answers the payload, the metadata whose names start with x-echo- as header, and the same again as trailer.
// A wanted status is the answer instead.
func (s *service) UnaryCall(ctx context.Context, q *calls.SimpleRequest) (*calls.SimpleResponse, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	echo := metadata.MD{"x-echo-text": incoming["x-echo-text"], "x-echo-bytes-bin": incoming["x-echo-bytes-bin"]}
	if err := grpc.SetHeader(ctx, echo); err != nil {
		return nil, err
	}
	trailer := metadata.MD{"x-trailer": incoming["x-echo-text"], "x-token-seen": incoming["approov-token"]}
	if err := grpc.SetTrailer(ctx, trailer); err != nil {
		return nil, err
	}
	if wanted := q.GetResponseStatus(); wanted != nil {
		return nil, status.Error(codesOf(wanted), wanted.GetMessage())
	}
	return &calls.SimpleResponse{Payload: q.GetPayload()}, nil
}

// EmptyCall waits for its own end.
func (s *service) EmptyCall(ctx context.Context, _ *calls.Empty) (*calls.Empty, error) {
	s.await(ctx)
	return nil, ctx.Err()
}

func (s *service) await(ctx context.Context) {
	s.entered <- struct{}{}
	<-ctx.Done()
	s.ended <- ctx.Err()
}

// StreamingOutputCall answers as many messages of such sizes as it is asked for.
func (s *service) StreamingOutputCall(q *calls.StreamingOutputCallRequest, out grpc.ServerStreamingServer[calls.StreamingOutputCallResponse]) error {
	for _, wanted := range q.GetResponseParameters() {
		if err := out.Send(&calls.StreamingOutputCallResponse{Payload: &calls.Payload{Body: pattern(int(wanted.GetSize()))}}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall answers how many bytes it was sent.
func (s *service) StreamingInputCall(in grpc.ClientStreamingServer[calls.StreamingInputCallRequest, calls.StreamingInputCallResponse]) error {
	var total int32
	for {
		q, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return in.SendAndClose(&calls.StreamingInputCallResponse{AggregatedPayloadSize: total})
		} else if err != nil {
			return err
		}
		total += int32(len(q.GetPayload().GetBody()))
	}
}

// FullDuplexCall answers each message at once. A message that asks for no response makes it wait for the call's end.
func (s *service) FullDuplexCall(both grpc.BidiStreamingServer[calls.StreamingOutputCallRequest, calls.StreamingOutputCallResponse]) error {
	for {
		q, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(q.GetResponseParameters()) == 0 {
			s.await(both.Context())
			return both.Context().Err()
		}
		if err := both.Send(&calls.StreamingOutputCallResponse{Payload: q.GetPayload()}); err != nil {
			return err
		}
	}
}

// ways are how clients reach the gate.
var ways = []struct {
	name string
	to   func(*gate) (address string, credentials credentials.TransportCredentials)
}{
	{"with TLS", func(g *gate) (string, credentials.TransportCredentials) {
		return g.secure, credentials.NewTLS(testAuthority.client("h2"))
	}},
	{"without TLS", func(g *gate) (string, credentials.TransportCredentials) { return g.plain, insecure.NewCredentials() }},
}

// connect makes a client that sends a token with each call, unless it is empty.
func connect(t *testing.T, address string, secured credentials.TransportCredentials, token string) calls.TestServiceClient {
	t.Helper()
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(secured), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer // no proxy from the environment
			return d.DialContext(ctx, "tcp", address)
		}),
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(perCall{"approov-token": token}))
	}
	connection, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // nothing is under way any more
	return calls.NewTestServiceClient(connection)
}

// perCall is metadata that goes with each call.
type perCall map[string]string

// GetRequestMetadata is what an app's own code for tokens would do.
func (p perCall) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return p, nil
}

// RequireTransportSecurity allows tests without TLS.
func (p perCall) RequireTransportSecurity() bool { return false }

// pattern is n bytes in which a shift or a loss shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}
