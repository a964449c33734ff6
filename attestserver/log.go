package attestserver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/logline"
)

// tellFailed writes one line for an attestation that failed, unless there is a flood of them. It holds nothing that an
// app could be impersonated with, and the device only as a hash.
func (s *Server) tellFailed(ctx context.Context, c *compiled, q *attestapi.AttestRequest, flags []string, id string, now time.Time) {
	first := "policy" // a blacklisted device needs no flag
	if len(flags) > 0 {
		first = flags[0]
	}
	if !s.sampler.Allow(now, logline.Key{Route: c.account.Name, Reason: first, Action: "fail"}) {
		return
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "attestation failed",
		slog.String("account", c.account.Name), slog.Any("flags", flags), slog.String("device", s.hide(q.DeviceID)),
		slog.String("package", clip(q.App.Package)), slog.String("app_version", clip(q.App.Version)),
		slog.String("library", clip(q.Library.ID)), slog.String("rid", id))
}

// tellSkipped writes how many lines were left out since it was called last.
func (s *Server) tellSkipped() {
	for _, k := range s.sampler.Flush() {
		s.log.Warn("attestations failed that are not listed", slog.String("account", k.Route), slog.String("flag", k.Reason), slog.Uint64("attestations", k.N))
	}
}

// standing lets one line in a minute through about a trouble that lasts, such as a database that is away. It does not
// look at the errors: their texts may differ each time, by the port of a connection that was tried.
type standing struct {
	mu   sync.Mutex // guards the field below
	last time.Time  // when a line was let through; zero: never
}

// due reports whether a line may be written now.
func (s *standing) due(now time.Time) bool {
	const apart = time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := now.Sub(s.last); !s.last.IsZero() && since >= 0 && since < apart {
		return false
	}
	s.last = now
	return true
}

// clip bounds what an app says of itself in a log.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// hideDevice hashes device ids under a key that changes every day and with every start, so that lines of one day can
// be joined and nothing else. The salt is kept in a closure, where no logger finds it.
func hideDevice(random io.Reader, now func() time.Time) (func(device string) string, error) {
	salt := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, fmt.Errorf("attestserver: randomness: %w", err)
	}
	return func(device string) string {
		m := hmac.New(sha256.New, salt)
		m.Write([]byte(now().UTC().Format(time.DateOnly) + "\x00" + device))
		return hex.EncodeToString(m.Sum(nil)[:8])
	}, nil
}
