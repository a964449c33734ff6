package host

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/logline"
)

// DecisionLog is where decisions are told of, one line each unless there are too many of a kind.
type DecisionLog struct {
	*slog.Logger
	Sampler *logline.Sampler
}

// Decided writes one line for a request that fails its check, whatever becomes of it, and for one that is
// let through without the binding its route asks for. At debug level every request gets a line. id names the
// request; empty: nothing does.
func (l *DecisionLog) Decided(r *http.Request, a *gate.Answer, id string) {
	level, message := slog.LevelInfo, "request rejected"
	switch {
	case a.Action == engine.Forward && a.Verdict == engine.Fail:
		message = "request would be rejected"
	case a.Action == engine.Forward && a.Unbound:
		message = "request accepted without binding"
	case a.Action == engine.Forward:
		level, message = slog.LevelDebug, "request forwarded"
	}
	kind := logline.Key{Route: a.Route, Reason: string(a.Reason), Action: string(a.Action)}
	if l.Enabled(r.Context(), level) && (level == slog.LevelDebug || l.Sampler.Allow(time.Now(), kind)) {
		l.Line(r, level, message, id, a.Attrs(r)...)
	}
}

// Summarize writes, once a second, how many decisions of each kind got no line of their own, until ctx ends.
func (l *DecisionLog) Summarize(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			l.flush(ctx)
		}
	}
}

func (l *DecisionLog) flush(ctx context.Context) {
	for _, skipped := range l.Sampler.Flush() {
		l.LogAttrs(ctx, slog.LevelInfo, "requests not logged one by one", slog.Uint64("requests", skipped.N),
			slog.String("reason", skipped.Reason), slog.String("action", skipped.Action), slog.String("route", skipped.Route))
	}
}

// Line writes one line about a request. Not by Logger.LogAttrs, which looks up its caller each time: under a flood
// that shows.
func (l *DecisionLog) Line(r *http.Request, level slog.Level, message, id string, attrs ...slog.Attr) {
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.AddAttrs(attrs...)
	if id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	_ = l.Handler().Handle(r.Context(), record) // a log that cannot be written must not stop requests
}
