package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// decision is what one of the gate's log lines says about a request.
type decision struct{ verdict, reason string }

// decisionLog is where the demo's gate logs: it remembers the latest decision and, once the walk is
// over, prints the lines for people.
type decisionLog struct {
	mu     sync.Mutex
	latest decision     // guarded by mu
	print  slog.Handler // guarded by mu; nil: print nothing
}

// Enabled is true for every level: a passing request is logged at debug level.
func (l *decisionLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle remembers the decision a line holds.
func (l *decisionLog) Handle(ctx context.Context, line slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "verdict":
			l.latest.verdict = a.Value.String()
		case "reason":
			l.latest.reason = a.Value.String()
		}
		return true
	})
	if l.print == nil {
		return nil
	}
	return l.print.Handle(ctx, line)
}

// WithAttrs keeps l: the demo's gate adds no attributes of its own.
func (l *decisionLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup keeps l, for the same reason.
func (l *decisionLog) WithGroup(string) slog.Handler { return l }

// take returns the decision since the last call, the zero value if there was none.
func (l *decisionLog) take() decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.latest
	l.latest = decision{}
	return d
}

// printTo makes every further line appear on w.
func (l *decisionLog) printTo(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.print = slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}
