package proxy

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/tracing"
)

// newTracer starts what delivers spans; nil when nobody asked for any. It is ended by stopTracer.
func (p *Proxy) newTracer(ctx context.Context) (*tracing.Tracer, error) {
	const pause = int64(time.Minute) // between two lines about a collector that takes nothing
	var told atomic.Int64
	return tracing.New(ctx, tracing.Config{
		Endpoint: p.config.Tracing.Endpoint, Sample: p.config.Tracing.Sample, Service: "approovgate", Version: host.Version(),
		Failed: func(err error) {
			now, last := monotonic(), told.Load()
			if (last == 0 || now-last > pause) && told.CompareAndSwap(last, now) {
				p.Log.Warn("spans cannot be delivered", "error", err.Error())
			}
		},
	})
}

// stopTracer delivers what is left, for a moment.
func (p *Proxy) stopTracer() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = p.tracer.Shutdown(ctx) // what could not be delivered has been told of
}

// spanKey is where the context of a traced request has its span.
type spanKey struct{}

// trace begins the span of a request, and puts it where the way to the upstream finds it.
func (h *handler) trace(r *http.Request) (*http.Request, *tracing.Span) {
	span := h.tracer.Start(r)
	if span != nil {
		r = r.WithContext(context.WithValue(r.Context(), spanKey{}, span))
	}
	return r, span
}

// trace notes in the span of a request, if it has one, what the upstream made of it.
func (u *upstreamSide) trace(r *http.Request, status int, failure string) {
	if !u.traced {
		return
	}
	if span, ok := r.Context().Value(spanKey{}).(*tracing.Span); ok {
		span.Upstream(status, failure)
	}
}
