package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	calls "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func codesOf(s *calls.EchoStatus) codes.Code { return codes.Code(uint32(s.GetCode())) }

// TestGRPCCallsPass makes every kind of call with gRPC's own client and server, over all ways in and out.
func TestGRPCCallsPass(t *testing.T) {
	rows := []struct {
		name string
		call func(*testing.T, calls.TestServiceClient, *service)
	}{
		{"a unary call carries its metadata both ways, and no token to the service", unaryWithMetadata},
		{"an error's code and message arrive", unaryError},
		{"a message of 4 MiB arrives both ways", unaryBig},
		{"a stream of responses arrives whole", serverStream},
		{"a stream of requests arrives whole", clientStream},
		{"requests and responses alternate in one call", alternating},
		{"a client that hangs up ends the call at the service", cancelled},
		{"a stream that is hung up on ends at the service", cancelledStream},
		{"a deadline ends the call on both sides", deadline},
		{"200 calls at once all succeed", manyAtOnce},
	}
	for _, secure := range []bool{false, true} {
		s, file := startService(t, secure)
		g := start(t, file)
		for _, way := range ways {
			address, secured := way.to(g)
			client := connect(t, address, secured, token(t))
			for _, row := range rows {
				t.Run(way.name+" to "+file["upstream"].(string)[:5]+": "+row.name, func(t *testing.T) { row.call(t, client, s) })
			}
		}
	}
}

func unaryWithMetadata(t *testing.T, client calls.TestServiceClient, _ *service) {
	raw := "\x00\xff any bytes"
	ctx := metadata.AppendToOutgoingContext(waitContext(t), "x-echo-text", "some text", "x-echo-bytes-bin", raw)
	var header, trailer metadata.MD
	body := pattern(1000)
	answer, err := client.UnaryCall(ctx, &calls.SimpleRequest{Payload: &calls.Payload{Body: body}}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetPayload().GetBody(); !bytes.Equal(got, body) {
		t.Errorf("payload: got %d bytes, want the %d sent", len(got), len(body))
	}
	for _, row := range []struct {
		what      string
		got, want []string
	}{
		{"header x-echo-text", header["x-echo-text"], []string{"some text"}},
		{"header x-echo-bytes-bin", header["x-echo-bytes-bin"], []string{raw}},
		{"trailer x-trailer", trailer["x-trailer"], []string{"some text"}},
		{"token at the service", trailer["x-token-seen"], nil},
	} {
		if !slices.Equal(row.got, row.want) {
			t.Errorf("%s: got %q, want %q", row.what, row.got, row.want)
		}
	}
}

func unaryError(t *testing.T, client calls.TestServiceClient, _ *service) {
	_, err := client.UnaryCall(waitContext(t), &calls.SimpleRequest{ResponseStatus: &calls.EchoStatus{Code: int32(codes.AlreadyExists), Message: "grün, 100 %"}})
	if got := status.Convert(err); got.Code() != codes.AlreadyExists || got.Message() != "grün, 100 %" {
		t.Errorf("got %v %q, want %v %q", got.Code(), got.Message(), codes.AlreadyExists, "grün, 100 %")
	}
}

func unaryBig(t *testing.T, client calls.TestServiceClient, _ *service) {
	body := pattern(4 << 20)
	answer, err := client.UnaryCall(waitContext(t), &calls.SimpleRequest{Payload: &calls.Payload{Body: body}})
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetPayload().GetBody(); !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, want the %d sent", len(got), len(body))
	}
}

func serverStream(t *testing.T, client calls.TestServiceClient, _ *service) {
	q := &calls.StreamingOutputCallRequest{}
	for i := range 50 {
		q.ResponseParameters = append(q.ResponseParameters, &calls.ResponseParameters{Size: int32(i * 1000)})
	}
	stream, err := client.StreamingOutputCall(waitContext(t), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if got := answer.GetPayload().GetBody(); !bytes.Equal(got, pattern(i*1000)) {
			t.Errorf("message %d: got %d bytes, want %d", i, len(got), i*1000)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: got %v, want %v", err, io.EOF)
	}
}

func clientStream(t *testing.T, client calls.TestServiceClient, _ *service) {
	stream, err := client.StreamingInputCall(waitContext(t))
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for i := range 50 {
		if err := stream.Send(&calls.StreamingInputCallRequest{Payload: &calls.Payload{Body: pattern(i * 1000)}}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		want += i * 1000
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if got := int(answer.GetAggregatedPayloadSize()); got != want {
		t.Errorf("got %d bytes at the service, want %d", got, want)
	}
}

// alternating sends a message only once the answer to the one before is there: nothing may be kept back on the way.
func alternating(t *testing.T, client calls.TestServiceClient, _ *service) {
	stream, err := client.FullDuplexCall(waitContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		body := pattern(i * 10)
		if err := stream.Send(&calls.StreamingOutputCallRequest{Payload: &calls.Payload{Body: body}, ResponseParameters: []*calls.ResponseParameters{{}}}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if got := answer.GetPayload().GetBody(); !bytes.Equal(got, body) {
			t.Errorf("answer %d: got %d bytes, want %d", i, len(got), len(body))
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: got %v, want %v", err, io.EOF)
	}
}

func cancelled(t *testing.T, client calls.TestServiceClient, s *service) {
	// Without a deadline of the call's own: the service must hear of the hang-up, not of the time.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() { // ended by cancel
		_, err := client.EmptyCall(ctx, &calls.Empty{})
		failed <- err
	}()
	receive(t, s.entered, "the call at the service")
	cancel()
	if got := status.Code(receive(t, failed, "the client's error")); got != codes.Canceled {
		t.Errorf("client: got %v, want %v", got, codes.Canceled)
	}
	if got := receive(t, s.ended, "the call's end at the service"); !errors.Is(got, context.Canceled) {
		t.Errorf("service: got %v, want %v", got, context.Canceled)
	}
}

func cancelledStream(t *testing.T, client calls.TestServiceClient, s *service) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&calls.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	receive(t, s.entered, "the call at the service")
	cancel()
	if got := receive(t, s.ended, "the call's end at the service"); !errors.Is(got, context.Canceled) {
		t.Errorf("service: got %v, want %v", got, context.Canceled)
	}
}

func deadline(t *testing.T, client calls.TestServiceClient, s *service) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := client.EmptyCall(ctx, &calls.Empty{})
	// The service has a clock of its own. When it is the faster one, the gate says what has become of the stream.
	if got := status.Code(err); got != codes.DeadlineExceeded && got != codes.Canceled && got != codes.Unavailable {
		t.Errorf("client: got %v, want %v", got, codes.DeadlineExceeded)
	}
	receive(t, s.entered, "the call at the service")
	receive(t, s.ended, "the call's end at the service")
}

func manyAtOnce(t *testing.T, client calls.TestServiceClient, _ *service) {
	const many = 200 // more than the streams that a connection may have
	failed := make(chan error, many)
	ctx := waitContext(t)
	for range many {
		go func() { // ended by ctx
			_, err := client.UnaryCall(ctx, &calls.SimpleRequest{Payload: &calls.Payload{Body: pattern(100)}})
			failed <- err
		}()
	}
	for range many {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// receive is the next value of a channel, which must come.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	return receiveWithin(t, from, patience, what)
}

func receiveWithin[T any](t *testing.T, from <-chan T, wait time.Duration, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(wait):
		t.Fatalf("got no value within %v, want %s", wait, what)
		panic("not reached")
	}
}
