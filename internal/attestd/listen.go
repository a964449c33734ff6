package attestd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// The bounds of a connection. Attestations are small, and their clients are phones.
const (
	headerTime = 10 * time.Second // to send a header
	readTime   = 20 * time.Second // to send a request
	writeTime  = 30 * time.Second // to take its answer
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10         // bytes
	graceTime  = 15 * time.Second // what is being answered may take at the end
	certLook   = 10 * time.Second // between two looks whether the certificate has changed
)

// StopTime is what the end of the program may take, for who would kill it otherwise: requests and messages on their
// way, and then the failed attestations that were noted last.
const StopTime = graceTime + 10*time.Second

// listener is an address and what is served there.
type listener struct {
	net.Listener
	server *http.Server
}

// listen opens an address. It serves nothing yet.
func listen(ctx context.Context, address string, secure *tls.Config, log *slog.Logger) (*listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: another program serves there, perhaps a second attestserver; end it, or name another address", err)
	}
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		TLSConfig: secure, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return &listener{l, server}, nil
}

// serve answers until the context ends, and then what is being answered to its end.
func (l *listener) serve(ctx context.Context, handler http.Handler) error {
	l.server.Handler = handler
	l.server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	ended := make(chan error, 1)
	go func() { // ends with the server
		if l.server.TLSConfig != nil {
			ended <- l.server.ServeTLS(l.Listener, "", "")
			return
		}
		ended <- l.server.Serve(l.Listener)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("%s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	err := l.server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = l.server.Close()
	}
	<-ended
	return err
}

// certificate is a certificate and its key in files, read again when they have changed.
type certificate struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex // guards what follows
	pair   *tls.Certificate
	stamps [2]time.Time // of the files that pair was read from
	looked time.Time
}

// secure is the TLS of the listeners; nil without a certificate.
func (o options) secure(now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	if o.cert == "" {
		return nil, nil
	}
	c := &certificate{cert: o.cert, key: o.keyFile, now: now, log: log}
	if err := c.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: c.get}, nil
}

// get is the certificate in force. A new one that cannot be read leaves the old one there.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certLook {
		c.looked = now
		if stamps, err := c.times(); err != nil || stamps != c.stamps {
			if err := c.read(); err != nil {
				c.log.Error("the certificate cannot be read, the old one stays", "error", err.Error())
			}
		}
	}
	return c.pair, nil
}

func (c *certificate) read() error {
	stamps, err := c.times()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("--cert %s, --key-file %s: %w", c.cert, c.key, err)
	}
	c.pair, c.stamps = &pair, stamps
	return nil
}

func (c *certificate) times() (stamps [2]time.Time, err error) {
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return stamps, err
		}
		stamps[i] = info.ModTime()
	}
	return stamps, nil
}
