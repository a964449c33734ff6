// Package proxy is the standalone gate: a reverse proxy that asks a gate about each request and
// forwards those it lets through, unchanged but for what the gate strips and adds.
//
// It owns the sidecar's own file, the listeners, the way to the upstream and the log lines. It decides
// nothing: verdicts are package gate's, and this package names no claim.
//
// Start reading at [Proxy.Run], then handler.go for a request's way through.
package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// The bounds of the listening side. Bodies and responses have none: streams live.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 32 << 10
	statusTimeout     = 30 * time.Second // for a whole exchange on the status listener
	shutdownGrace     = 30 * time.Second // for requests in flight when the process is asked to end
	refreshInterval   = 5 * time.Second  // between two looks at the files of policy and keys
)

// Proxy is one sidecar. Set File or Tree and what else is wanted, call Load, then Run.
type Proxy struct {
	File   string           // the gate file, read by Load and again by each reload
	Tree   map[string]any   // what a gate file would say, where there is none
	Log    *slog.Logger     // where Run logs; nil: nowhere
	Now    func() time.Time // the gate's clock; nil: time.Now
	Reload <-chan os.Signal // each value makes Run read policy and keys again at once; nil: never
	Ready  func(Addresses)  // called by Run when it accepts connections; nil: nobody is told

	config   Config     // set by the first load
	gate     *gate.Gate // nil until Load succeeds
	loader   *host.Loader
	problems []config.Problem // of the last load or refresh
	metrics  *host.Metrics
	draining atomic.Bool
	roots    *x509.CertPool // what an https upstream is verified against; nil: the system's
}

// Addresses are where a running proxy listens, with the ports the system chose for port 0.
type Addresses struct {
	Listen []net.Addr
	Status net.Addr // nil: no status listener
}

// Load reads the gate file, the policy and the keys and reports all their problems, with complete paths.
// When one of them is an error, Run will not start.
func (p *Proxy) Load() []config.Problem {
	p.loader = &host.Loader{Read: p.read}
	g, problems := p.loader.New(gate.Options{Now: p.Now})
	p.gate, p.problems = g, problems
	return problems
}

// Config is what Load has read.
func (p *Proxy) Config() Config { return p.config }

// Size returns how many routes and keys the policy has, after Load.
func (p *Proxy) Size() (routes, keys int) {
	policy := p.loader.Policy()
	return len(policy.Routes), len(policy.Keys)
}

// read finds the policy: in the gate file as it is now and in the file that names, or in Tree.
func (p *Proxy) read() (host.Document, []config.Problem) {
	if p.File == "" {
		c, problems := DecodeConfig(p.Tree)
		if p.gate == nil {
			p.config = c
		}
		return host.Document{Policy: c.Policy, Prefix: "policy."}, problems
	}
	c, problems := ReadConfig(p.File)
	if p.gate == nil {
		p.config = c
	} else if !config.Failed(problems) && c.changed(p.config) {
		problems = append(problems, config.Problem{Path: p.File, Warning: true,
			Text: "listen, upstream, status or log has changed; restart to apply it"})
	}
	d := host.Document{Policy: c.Policy, Prefix: p.File + ": policy.", Dir: filepath.Dir(p.File)}
	if c.PolicyFile != "" {
		d.Prefix, d.Dir = c.PolicyFile+": ", filepath.Dir(c.PolicyFile)
	}
	return d, problems
}

// Run serves until ctx ends or a listener fails. It then reports not ready, lets the requests in flight
// finish for at most 30 s, and returns. Everything it starts has ended when it returns. An error means
// that it could not listen or serve; ctx ending is none.
func (p *Proxy) Run(ctx context.Context) error {
	if p.gate == nil {
		return errors.New("the policy and keys are not loaded")
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	listeners, err := p.listen(ctx)
	if err != nil {
		return err
	}
	p.metrics = host.NewMetrics(p.gate)
	transport := newTransport(p.roots)
	defer transport.CloseIdleConnections()
	life, end := context.WithCancel(context.Background()) // ends what outlives the grace: upgraded connections, the refresher
	defer end()
	data := p.server(life, newHandler(p.gate, newForwarder(p.config.Upstream, transport, p.Log), p.Log))
	status := p.server(life, newStatusHandler(&p.draining, p.gate.Ready, p.metrics.Registry))
	status.ReadTimeout, status.WriteTimeout = statusTimeout, statusTimeout

	var running sync.WaitGroup // ended by the shutdowns below and by end
	failed := make(chan error, len(listeners.data)+1)
	for _, l := range listeners.data {
		running.Go(func() { failed <- data.Serve(l) })
	}
	if listeners.status != nil {
		running.Go(func() { failed <- status.Serve(listeners.status) })
	}
	running.Go(func() { p.refresh(life) })
	p.started(listeners.addresses())

	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	p.drain(data, status)
	end()
	running.Wait()
	return err
}

// server is one http.Server, hardened. It is shut down by drain.
func (p *Proxy) server(life context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // net/http would answer "OPTIONS *" itself, unasked
		ErrorLog:                     slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return life },
	}
}

// drain ends both servers: first /ready turns 503, then the requests in flight finish, then the rest is cut.
func (p *Proxy) drain(data, status *http.Server) {
	p.draining.Store(true)
	p.Log.Info("draining", "grace", shutdownGrace.String())
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := data.Shutdown(grace); err != nil {
		p.Log.Warn("requests were cut after the grace", "error", err.Error())
		_ = data.Close() // what Shutdown left over
	}
	_ = status.Close() // probes have nothing to finish
	p.Log.Info("stopped")
}

// started tells the operator and the owner what is running.
func (p *Proxy) started(a Addresses) {
	routes, keys := p.Size()
	attrs := []any{"version", host.Version(), "listen", texts(a.Listen), "upstream", p.config.Upstream.String(),
		"mode", string(p.gate.Status().Mode), "routes", routes, "keys", keys}
	if a.Status != nil {
		attrs = append(attrs, "status", a.Status.String())
	}
	p.Log.Info("started", attrs...)
	if p.Ready != nil {
		p.Ready(a)
	}
}

func texts(addresses []net.Addr) []string {
	all := make([]string, 0, len(addresses))
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}
