package tracing

import (
	"context"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// nowhere takes spans and forgets them, so that the benchmark counts what a request pays.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                        { return nil }

func BenchmarkSpan(b *testing.B) {
	r := request("GET", "/accounts/7", nil)
	traced := request("GET", "/accounts/7", map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01"})
	for _, c := range []struct {
		name   string
		sample float64
		traced bool
	}{{"off", -1, false}, {"unsampled", 0, false}, {"sampled", 1, false}, {"sampled by the client", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			var tracer *Tracer
			if c.sample >= 0 {
				var err error
				if tracer, err = New(b.Context(), Config{Endpoint: "http://127.0.0.1:1", Sample: c.sample}); err != nil {
					b.Fatal(err)
				}
				tracer.spans.exporter = nowhere{}
			}
			r := r
			if c.traced {
				r = traced
			}
			b.ReportAllocs()
			for b.Loop() {
				serve(tracer, r)
			}
			b.ReportMetric(float64(tracer.Dropped())/float64(b.N), "dropped/op")
			if err := tracer.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
