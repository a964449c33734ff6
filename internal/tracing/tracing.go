// Package tracing makes one span of each request that is to be traced, and sends the spans to an
// OpenTelemetry collector with OTLP over HTTP.
//
// It owns the spans, their queue and the way to the collector. It only reads a request's trace context
// (W3C Trace Context) and never changes or adds a header: what the client sent goes on to the API as it
// came. A span holds no token, secret, bound value or device, nothing of the query, and not the client's
// address. A collector that is slow or gone costs spans, which are counted, and never a request's time.
//
// Start reading at [Tracer], then span.go for what a span says, then collector.go.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The bounds of what spans may cost.
const (
	queueSpans     = 2048 // that have ended and are not delivered, about 2 KB each
	batchSpans     = 512  // in one request to the collector
	batchDelay     = 2 * time.Second
	exportTimeout  = 10 * time.Second // for one batch, attempts and pauses together
	mostAttributes = 16
	attributeBytes = 256
)

// Config says where spans go and which requests have one.
type Config struct {
	Endpoint string      // of the collector, http or https; /v1/traces is added. Empty: no tracing
	Sample   float64     // share of the requests without a trace of their own, 0 to 1; 0: none of them
	Service  string      // what the spans are told to be of
	Version  string      // of Service
	Failed   func(error) // is told of every batch that was given up, from another goroutine; nil: nobody is
}

// Tracer starts spans. A nil Tracer starts none, at no cost.
type Tracer struct {
	tracer    trace.Tracer
	options   []trace.SpanStartOption // of every span, made once
	context   propagation.TraceContext
	spans     *queue
	collector *collector
}

// New returns a tracer, or nil if there is no endpoint. The owner calls Shutdown. An error says what is
// wrong with the configuration: whether the collector is there shows only when there are spans.
func New(ctx context.Context, c Config) (*Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	target, err := tracesURL(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if !(c.Sample >= 0 && c.Sample <= 1) { // NaN is neither
		return nil, fmt.Errorf("sample is %v, want 0 to 1", c.Sample)
	}
	about := []attribute.KeyValue{semconv.ServiceName(c.Service), semconv.ServiceVersion(c.Version)}
	if name, err := os.Hostname(); err == nil {
		about = append(about, semconv.HostName(name))
	}
	origin, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(about...))
	if err != nil {
		return nil, err
	}
	to := newCollector(target)
	exporter, err := otlptrace.New(ctx, to)
	if err != nil {
		return nil, err
	}
	spans := newQueue(exporter, c.Failed)
	limits := sdk.SpanLimits{AttributeValueLengthLimit: attributeBytes, AttributeCountLimit: mostAttributes}
	provider := sdk.NewTracerProvider(sdk.WithResource(origin), sdk.WithRawSpanLimits(limits), sdk.WithSpanProcessor(spans),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Sample))))
	return &Tracer{
		tracer:  provider.Tracer("approovgate", trace.WithInstrumentationVersion(c.Version)),
		options: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)},
		spans:   spans, collector: to,
	}, nil
}

// tracesURL is where spans are posted to: OTLP's base endpoint with its path for traces (OpenTelemetry
// Protocol Exporter specification, Endpoint URLs for OTLP/HTTP).
func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", errors.New("the endpoint is not a URL") // the error would quote it, password and all
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", errors.New("the endpoint is not of the form http://host:port or https://host:port")
	case u.User != nil:
		return "", errors.New("the endpoint has a user name; only a collector that asks for none is supported")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the endpoint has a query or a fragment")
	}
	return u.JoinPath("v1", "traces").String(), nil
}

// Start begins the span of a request, or returns nil if the request is not to be traced: if its
// traceparent says so or, where it has none, the ratio does.
func (t *Tracer) Start(r *http.Request) *Span {
	if t == nil {
		return nil
	}
	parent := context.Background()
	if _, traced := r.Header["Traceparent"]; traced {
		parent = t.context.Extract(parent, propagation.HeaderCarrier(r.Header))
	}
	method := knownMethod(r.Method)
	_, s := t.tracer.Start(parent, method, t.options...)
	if !s.IsRecording() {
		return nil
	}
	return newSpan(s, method, r)
}

// Dropped is the number of spans that never reached the collector: the queue was full, or their batch
// was given up.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.spans.dropped.Load()
}

// Shutdown delivers the spans that have ended, for as long as ctx lets it, and ends everything that New
// has started. An error means that time ran out; the spans left over are counted as dropped.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.spans.Shutdown(ctx)
	if err != nil {
		close(t.collector.abort)
		<-t.collector.stopped
	}
	return err
}
