package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	calls "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streams is a backend of events and WebSockets.
type streams struct{ seen chan string }

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/socket" {
		s.socket(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for n := range 3 {
		fmt.Fprintf(w, "data: %d\n\n", n)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-s.seen: // the next event goes out once the client has this one
		case <-r.Context().Done():
			return
		}
	}
}

// socket sends one message back.
func (s *streams) socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	kind, message, err := c.Read(r.Context())
	if err == nil {
		err = c.Write(r.Context(), kind, message)
	}
	if err == nil {
		_ = c.Close(4001, "done")
	}
}

// service is gRPC's own test service, as far as it is called here.
type service struct {
	calls.UnimplementedTestServiceServer
}

// UnaryCall answers the payload, and as trailer whether it has seen a token.
func (service) UnaryCall(ctx context.Context, q *calls.SimpleRequest) (*calls.SimpleResponse, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	if err := grpc.SetTrailer(ctx, metadata.MD{"x-token-seen": incoming["approov-token"], "x-verdict": incoming["x-approov-verdict"]}); err != nil {
		return nil, err
	}
	return &calls.SimpleResponse{Payload: q.GetPayload()}, nil
}

// FullDuplexCall answers each message before it takes the next.
func (service) FullDuplexCall(stream grpc.BidiStreamingServer[calls.StreamingOutputCallRequest, calls.StreamingOutputCallResponse]) error {
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&calls.StreamingOutputCallResponse{Payload: q.GetPayload()}); err != nil {
			return err
		}
	}
}

func startService(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	calls.RegisterTestServiceServer(server, service{})
	go func() { _ = server.Serve(l) }() // ended by Stop; the error says so
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

const streaming = `
http:
  routers:
    api: {rule: "PathPrefix(%[1]s/%[1]s)", entryPoints: [web], service: api, middlewares: [edge]}
    calls: {rule: "PathPrefix(%[1]s/grpc.testing.TestService/%[1]s)", entryPoints: [web], service: calls, middlewares: [edge]}
  services:
    api: {loadBalancer: {servers: [{url: %[2]q}]}}
    calls: {loadBalancer: {servers: [{url: "h2c://%[3]s"}]}}
  middlewares:
    edge: {plugin: {approov: {secretFile: SECRET}}}
`

// TestStreamsPass: events arrive one by one, WebSockets are opened, and gRPC works both ways. The plugin must not
// stand between Traefik and what its ResponseWriter can do.
func TestStreamsPass(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		s := &streams{seen: make(chan string)}
		server := httptest.NewServer(s)
		defer server.Close()
		x := run(t, binary, fmt.Sprintf(streaming, "`", server.URL, startService(t)), nil)
		x.serving("/events", "", http.StatusUnauthorized)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		t.Run("events", func(t *testing.T) { x.events(ctx, t, s) })
		t.Run("WebSocket", func(t *testing.T) { x.socket(ctx, t) })
		t.Run("gRPC", func(t *testing.T) { x.calls(ctx, t) })
	})
}

func (x *traefik) events(ctx context.Context, t *testing.T, s *streams) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+x.web+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Approov-Token", genuine(t))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	got := 0
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			got++
			select {
			case s.seen <- lines.Text():
			case <-ctx.Done():
			}
		}
	}
	if got != 3 || lines.Err() != nil {
		t.Errorf("got %d events and %v, want 3, each before the next was sent", got, lines.Err())
	}
}

func (x *traefik) socket(ctx context.Context, t *testing.T) {
	_, response, err := websocket.Dial(ctx, "ws://"+x.web+"/socket", nil)
	if err == nil || response == nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: got %v, want 401", err)
	}
	c, _, err := websocket.Dial(ctx, "ws://"+x.web+"/socket", &websocket.DialOptions{HTTPHeader: http.Header{"Approov-Token": {genuine(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := c.Read(ctx); err != nil || string(message) != "hello" {
		t.Errorf("got %q, %v, want the message back", message, err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4001 {
		t.Errorf("got %v, want the backend's own end", err)
	}
}

func (x *traefik) calls(ctx context.Context, t *testing.T) {
	connection, err := grpc.NewClient(x.web, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	client := calls.NewTestServiceClient(connection)
	if _, err := client.UnaryCall(ctx, &calls.SimpleRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: got %v, want UNAUTHENTICATED in gRPC's own form", err)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "approov-token", genuine(t))
	var trailer metadata.MD
	answer, err := client.UnaryCall(ctx, &calls.SimpleRequest{Payload: &calls.Payload{Body: []byte("hello")}}, grpc.Trailer(&trailer))
	if err != nil || string(answer.GetPayload().GetBody()) != "hello" {
		t.Fatalf("got %v, %v, want the payload back", answer, err)
	}
	if len(trailer["x-token-seen"]) != 0 || len(trailer["x-verdict"]) != 1 || trailer["x-verdict"][0] != "pass" {
		t.Errorf("got trailer %v, want no token and the verdict at the service", trailer)
	}
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := stream.Send(&calls.StreamingOutputCallRequest{Payload: &calls.Payload{Body: []byte("ping")}}); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err != nil || string(answer.GetPayload().GetBody()) != "ping" {
			t.Fatalf("got %v, %v, want each message answered before the next", answer, err)
		}
	}
}
