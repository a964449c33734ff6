package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/approovgate/approovgate/internal/host"
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
	host.DecisionLog
	access bool // one line for each request when it ends
}

// failed writes one line for a request that the upstream did not answer. While the upstream is down every
// request is such a one.
func (l *requestLog) failed(r *http.Request, attrs ...slog.Attr) {
	if l.Sampler.Allow(time.Now(), logline.Key{Reason: "upstream_failed"}) {
		l.LogAttrs(r.Context(), slog.LevelError, "upstream failed", attrs...)
	}
}

// ended is the access log: one line for each request, with what became of it.
func (l *requestLog) ended(r *http.Request, e *exchange, w *response, begin time.Time) {
	if !l.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	attrs := append(e.answer.Facts(r), slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Float64("seconds", time.Since(begin).Seconds()), slog.String("protocol", r.Proto))
	l.Line(r, slog.LevelInfo, "request", e.id, attrs...)
}
