package proxy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/internal/logline"
)

// NewLogger returns the logger that l describes. Both formats escape control characters, so that no
// request can forge a line.
func NewLogger(w io.Writer, l Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// LostLines is the line, in the format of l, that stands for n lines which could not be written.
func LostLines(l Log, n uint64) []byte {
	var line bytes.Buffer
	NewLogger(&line, Log{Text: l.Text}).Warn("log lines lost: the log was not read or written fast enough", "lines", n)
	return line.Bytes()
}

// requestLog is where requests are told of.
type requestLog struct {
	*slog.Logger
	sampler *logline.Sampler // of lines about decisions
	access  bool             // one line for each request when it ends
}

// decided writes one line for a request that fails its check, whatever becomes of it, and for one that is
// let through without the binding its route asks for. At debug level every request gets a line.
func (l *requestLog) decided(r *http.Request, e *exchange) {
	level, message := slog.LevelInfo, "request rejected"
	answer := &e.answer
	switch {
	case answer.Action == engine.Forward && answer.Verdict == engine.Fail:
		message = "request would be rejected"
	case answer.Action == engine.Forward && answer.Unbound:
		message = "request accepted without binding"
	case answer.Action == engine.Forward:
		level, message = slog.LevelDebug, "request forwarded"
	}
	kind := logline.Key{Route: answer.Route, Reason: string(answer.Reason), Action: string(answer.Action)}
	if l.Enabled(r.Context(), level) && (level == slog.LevelDebug || l.sampler.Allow(time.Now(), kind)) {
		l.line(r, level, message, e, answer.Attrs(r)...)
	}
}

// failed writes one line for a request that the upstream did not answer. While the upstream is down every
// request is such a one.
func (l *requestLog) failed(r *http.Request, attrs ...slog.Attr) {
	if l.sampler.Allow(time.Now(), logline.Key{Reason: "upstream_failed"}) {
		l.LogAttrs(r.Context(), slog.LevelError, "upstream failed", attrs...)
	}
}

// summarize writes, once a second, how many decisions of each kind got no line of their own, until ctx ends.
func (l *requestLog) summarize(ctx context.Context) {
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

func (l *requestLog) flush(ctx context.Context) {
	for _, skipped := range l.sampler.Flush() {
		l.LogAttrs(ctx, slog.LevelInfo, "requests not logged one by one", slog.Uint64("requests", skipped.N),
			slog.String("reason", skipped.Reason), slog.String("action", skipped.Action), slog.String("route", skipped.Route))
	}
}

// ended is the access log: one line for each request, with what became of it.
func (l *requestLog) ended(r *http.Request, e *exchange, w *response, begin time.Time) {
	if !l.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	attrs := append(e.answer.Facts(r), slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Float64("seconds", time.Since(begin).Seconds()), slog.String("protocol", r.Proto))
	l.line(r, slog.LevelInfo, "request", e, attrs...)
}

// line writes one line about a request. Not by Logger.LogAttrs, which looks up its caller each time: under
// a flood that shows.
func (l *requestLog) line(r *http.Request, level slog.Level, message string, e *exchange, attrs ...slog.Attr) {
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.AddAttrs(attrs...)
	if e.id != "" {
		record.AddAttrs(slog.String("request_id", e.id))
	}
	_ = l.Handler().Handle(r.Context(), record) // a log that cannot be written must not stop requests
}
