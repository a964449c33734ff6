package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	firstPause    = time.Second // before a second attempt; doubled for each further one
	responseBytes = 64 << 10    // read of an answer, so that its connection can serve again
)

// queue is the library's batching, with a bound that counts what it turns away.
type queue struct {
	sdk.SpanProcessor // the batching
	exporter          sdk.SpanExporter
	failed            func(error)
	waiting           atomic.Int64 // spans that have ended and are neither delivered nor dropped
	dropped           atomic.Uint64
}

func newQueue(exporter sdk.SpanExporter, failed func(error)) *queue {
	q := &queue{exporter: exporter, failed: failed}
	q.SpanProcessor = sdk.NewBatchSpanProcessor(delivery{q}, sdk.WithMaxQueueSize(queueSpans), sdk.WithMaxExportBatchSize(batchSpans),
		sdk.WithBatchTimeout(batchDelay), sdk.WithExportTimeout(exportTimeout))
	return q
}

// OnEnd takes a span into the queue, or drops it if the queue is full. The library's own queue has room
// for as many, so it never drops one itself.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > queueSpans {
		q.waiting.Add(-1)
		q.dropped.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// delivery is where the library's batches go: to the exporter, with an eye on what becomes of them.
type delivery struct{ queue *queue }

// ExportSpans delivers a batch. It keeps its error from the library, which would hand it to a handler
// that the whole process shares.
func (d delivery) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	q := d.queue
	err := q.exporter.ExportSpans(ctx, spans)
	q.waiting.Add(-int64(len(spans)))
	if err != nil {
		q.dropped.Add(uint64(len(spans)))
		if q.failed != nil {
			q.failed(err)
		}
	}
	return nil
}

// Shutdown ends the exporter, after the last batch.
func (d delivery) Shutdown(ctx context.Context) error { return d.queue.exporter.Shutdown(ctx) }

// collector posts batches (OpenTelemetry Protocol specification, OTLP/HTTP, binary protobuf). It is an
// otlptrace.Client; OpenTelemetry's own makes the program half as large again, with a gRPC server and
// its gateway, and obeys a dozen environment variables.
type collector struct {
	url     string
	client  *http.Client
	pause   time.Duration
	abort   chan struct{} // closed when the last batches are to be given up
	stopped chan struct{} // closed when there will be no more
}

func newCollector(url string) *collector {
	return &collector{
		url: url, pause: firstPause, abort: make(chan struct{}), stopped: make(chan struct{}),
		client: &http.Client{
			Transport: &http.Transport{IdleConnTimeout: time.Minute, MaxConnsPerHost: 1},
			// A redirect would take the spans to where the configuration does not say.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Start does nothing: connections are made when there are spans.
func (*collector) Start(context.Context) error { return nil }

// Stop is called after the last batch.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	close(c.stopped)
	return nil
}

// UploadTraces posts one batch, and again while the collector is away or asks for patience, until ctx ends.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData and the service's ExportTraceServiceRequest are the same bytes, by the first one's definition.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-c.abort:
		case <-ctx.Done():
		}
	}()
	for pause := c.pause; ; pause *= 2 {
		again, err := c.post(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// post makes one attempt. After some errors another may succeed (OTLP/HTTP, Retryable Response Codes).
func (c *collector) post(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", "approovgate")
	response, err := c.client.Do(r)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, responseBytes) // for the connection's sake; what it says changes nothing
	switch status := response.StatusCode; {
	case status/100 == 2:
		return false, nil
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the collector at %s answered with status %d", c.url, response.StatusCode)
}
