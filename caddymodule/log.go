package caddymodule

import (
	"context"
	"log/slog"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"

	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/logline"
)

// linesPerSecond is how many lines about failing requests of one route and reason a handler writes in a second; the
// rest is counted.
const linesPerSecond = 100

// requestLog is where a handler or matcher tells of decisions.
type requestLog struct {
	host.DecisionLog
	stop func() // ends what runs for it; nil: there is none
}

// newRequestLog writes to Caddy's log, until it is closed.
func newRequestLog(ctx caddy.Context) requestLog {
	// Not ctx.OnCancel: what a module asks of its copy of the context is never done.
	until, cancel := context.WithCancel(ctx.Context)
	l := requestLog{DecisionLog: host.DecisionLog{Logger: ctx.Slogger(), Sampler: logline.NewSampler(linesPerSecond)}}
	var running sync.WaitGroup
	summaries := l.DecisionLog
	running.Go(func() { summaries.Summarize(until) })
	l.stop = func() {
		cancel()
		running.Wait()
	}
	return l
}

// close writes what is left to say.
func (l *requestLog) close() {
	if l.stop != nil {
		l.stop()
	}
}

// caddyLog is Caddy's default log as it is configured at the moment, for what outlives a configuration.
type caddyLog struct{ attrs []slog.Attr }

func (caddyLog) handler() slog.Handler {
	return zapslog.NewHandler(caddy.Log().Core(), zapslog.WithName("http.handlers.approov"), zapslog.AddStacktraceAt(slog.Level(127)))
}

// Enabled reports whether a line of this level would be written.
func (l caddyLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}

// Handle writes a line.
func (l caddyLog) Handle(ctx context.Context, record slog.Record) error {
	return l.handler().WithAttrs(l.attrs).Handle(ctx, record)
}

// WithAttrs returns a handler that adds attributes.
func (l caddyLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return caddyLog{attrs: append(append([]slog.Attr(nil), l.attrs...), attrs...)}
}

// WithGroup is not used by the gate.
func (l caddyLog) WithGroup(_ string) slog.Handler { return l }
