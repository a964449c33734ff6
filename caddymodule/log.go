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
type requestLog struct{ host.DecisionLog }

// newRequestLog writes to Caddy's log, until the configuration is replaced.
func newRequestLog(ctx caddy.Context) requestLog {
	l := requestLog{host.DecisionLog{Logger: ctx.Slogger(), Sampler: logline.NewSampler(linesPerSecond)}}
	var running sync.WaitGroup
	running.Go(func() { l.Summarize(ctx) })
	ctx.OnCancel(running.Wait)
	return l
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
