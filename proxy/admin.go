package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
)

// Bounds of the admin listener. Few talk to it, and briefly.
const (
	adminConnections = 32
	adminHeader      = 8 << 10          // bytes of a request's line and header
	adminTimeout     = 10 * time.Second // for a whole request to come in
	adminAnswer      = 30 * time.Second // from then on, for the answer to be taken
	adminIdle        = time.Minute
	adminLast        = 2 * time.Second // for what is under way when everything else has ended
)

// loadAdminToken reads the token of the admin listener, if it has one, and reports what is wrong with it.
func (p *Proxy) loadAdminToken() []config.Problem {
	if p.config.AdminToken == "" {
		return nil
	}
	p.adminToken = host.NewToken(p.config.AdminToken)
	warnings, err := p.adminToken.Refresh()
	var problems []config.Problem
	for _, warning := range warnings {
		problems = append(problems, config.Problem{Path: "admin_token", Text: warning, Warning: true})
	}
	if err != nil {
		problems = append(problems, config.Problem{Path: "admin_token", Text: err.Error()})
	}
	if p.File != "" {
		problems = inFile(p.File, problems)
	}
	return problems
}

// listenAdmin opens the admin listener; nil: there is none.
func (p *Proxy) listenAdmin(ctx context.Context) (net.Listener, error) {
	switch at := p.config.Admin; {
	case at.Address == "":
		return nil, nil
	case at.Unix():
		return listenPrivate(ctx, at.Address)
	default:
		var lc net.ListenConfig
		return lc.Listen(ctx, at.Network, at.Address)
	}
}

// listenPrivate opens a socket that only the process's own user can connect to, from its first moment. Whatever is
// at the path already stays there, unless it is a socket that nobody listens on any more.
func listenPrivate(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := listenMasked(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // nothing was accepted yet
		return nil, err
	}
	return l, nil
}

// umask is held while the umask is changed: the process has only one.
var umask sync.Mutex

// listenMasked opens a socket under a umask that leaves others no permission. Folders that something else makes
// meanwhile stay usable.
func listenMasked(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	umask.Lock()
	defer umask.Unlock()
	defer syscall.Umask(syscall.Umask(0o077))
	return lc.Listen(ctx, "unix", path)
}

// adminHandler is what the admin listener serves.
func (p *Proxy) adminHandler() *host.Admin {
	ready := func() bool { return !p.draining.Load() && p.gate.Ready() }
	report := func(hours float64) any { return p.reporter.Report(hours) }
	return &host.Admin{Gate: p.gate, Report: report, Token: p.adminToken, Ready: ready, Log: p.Log, Now: p.Now}
}

// serveAdmin serves the admin listener, if there is one, until stop is called; failed is told if that fails.
// What keeps changes on disk ends with life.
func (p *Proxy) serveAdmin(life context.Context, listener net.Listener, running *sync.WaitGroup, failed chan<- error) (stop func()) {
	if listener == nil {
		return func() {}
	}
	admin := p.adminHandler()
	server := p.adminServer(life, admin)
	clients := newClients(adminConnections, adminAnswer)
	running.Go(func() { admin.Run(life) })
	running.Go(func() { failed <- server.Serve(&adminListener{listener, clients}) })
	return func() {
		last, cancel := context.WithTimeout(context.Background(), adminLast)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close() // what Shutdown left over
		}
	}
}

// adminServer is an http.Server for HTTP/1.1 alone. serveAdmin's stop shuts it down.
func (p *Proxy) adminServer(life context.Context, admin http.Handler) *http.Server {
	l := p.config.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	serve := func(w http.ResponseWriter, r *http.Request) {
		if conn := connOf(r); conn != nil {
			conn.begin()
			defer conn.end()
		}
		admin.ServeHTTP(w, r)
	}
	return &http.Server{
		Handler:                      http.HandlerFunc(serve),
		Protocols:                    protocols,
		ReadHeaderTimeout:            min(adminTimeout, l.HeaderTimeout),
		ReadTimeout:                  min(adminTimeout, l.BodyTimeout),
		WriteTimeout:                 adminAnswer,
		IdleTimeout:                  min(adminIdle, l.IdleTimeout),
		MaxHeaderBytes:               adminHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return life },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if client, ok := conn.(*clientConn); ok {
				ctx = host.WithPeer(ctx, client.raw)
			}
			return withConn(ctx, conn)
		},
	}
}

// adminListener accepts connections to the admin listener, a bounded number at once.
type adminListener struct {
	net.Listener
	clients *clients
}

// Accept returns the next connection that there is room for.
func (l *adminListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.clients.admit(conn, conn); admitted != nil {
			return admitted, nil
		}
	}
}
