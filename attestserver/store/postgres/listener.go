package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	channel    = "approovgate_accounts"
	minBackOff = 100 * time.Millisecond
	maxBackOff = 5 * time.Second
	pingTime   = 30 * time.Second // after which a connection that is silent is asked whether it still lives
)

// listener tells of changes that any server makes. A notification that is lost costs time only: see
// store.Store.Generation.
type listener struct {
	changed chan struct{} // of one element: several changes that nobody has looked at are one
	stop    context.CancelFunc
	ended   chan struct{}
}

// listen starts a listener with a connection of its own, which close ends.
func listen(config *pgx.ConnConfig) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go l.run(ctx, config)
	return l
}

func (l *listener) close() {
	l.stop()
	<-l.ended
}

// run listens, and connects again when the connection breaks.
func (l *listener) run(ctx context.Context, config *pgx.ConnConfig) {
	defer close(l.ended)
	defer close(l.changed)
	wait := minBackOff
	for ctx.Err() == nil {
		if l.hear(ctx, config) {
			wait = minBackOff
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		wait = min(2*wait, maxBackOff)
	}
}

// hear listens until the connection breaks, and reports whether there was one.
func (l *listener) hear(ctx context.Context, config *pgx.ConnConfig) (heard bool) {
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(ending)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return false
	}
	l.tell() // of what may have been missed before
	for {
		silence, cancel := context.WithTimeout(ctx, pingTime)
		_, err := c.WaitForNotification(silence)
		quiet := err != nil && silence.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			l.tell()
		case !quiet || c.IsClosed() || !alive(ctx, c):
			return true
		}
	}
}

func alive(ctx context.Context, c *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return c.Ping(ctx) == nil
}

func (l *listener) tell() {
	select {
	case l.changed <- struct{}{}:
	default: // it is told already
	}
}
