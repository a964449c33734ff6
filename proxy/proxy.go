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
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/logline"
	"github.com/approovgate/approovgate/internal/tracing"
)

const statusTimeout = 30 * time.Second // for a whole exchange on the status listener

// Proxy is one sidecar. Set File or Tree and what else is wanted, call Load, then Run.
type Proxy struct {
	File   string           // the gate file, read by Load and again by each reload
	Tree   map[string]any   // what a gate file would say, where there is none
	Log    *slog.Logger     // where Run logs; nil: nowhere
	Now    func() time.Time // the clock that verdicts and certificates are judged by; nil: time.Now
	Reload <-chan os.Signal // each value makes Run read policy and keys again at once; nil: never
	Ready  func(Addresses)  // called by Run when it accepts connections; nil: nobody is told
	Lines  *logline.Writer  // what Log writes to, for its metrics; nil: something else

	config      Config     // set by the first load
	gate        *gate.Gate // nil until Load succeeds
	loader      *host.Loader
	events      *host.Events // of the gate
	keeper      *host.Keeper
	reporter    *host.Reporter   // what the go-live report is made from
	unwatched   bool             // files are looked at every few seconds only; for tests that count looks
	problems    []config.Problem // of the last load or refresh
	certificate *pair            // of the listeners that speak TLS; nil: there are none
	adminToken  *host.Token      // of the admin listener; nil: it needs none
	upstream    *upstreamSide
	tracer      *tracing.Tracer // nil: no spans
	clients     *clients
	metrics     *host.Metrics
	draining    atomic.Bool
}

// Addresses are where a running proxy listens, with the ports the system chose for port 0.
type Addresses struct {
	Listen []net.Addr
	Status net.Addr // nil: no status listener
	Admin  net.Addr // nil: no admin listener
}

// Load reads the gate file, the policy, the keys and the certificates and reports all their problems, with
// complete paths. When one of them is an error, Run will not start.
func (p *Proxy) Load() []config.Problem {
	p.loader = &host.Loader{Read: p.read}
	p.events = &host.Events{}
	g, problems := p.loader.New(gate.Options{Now: p.Now, Notify: p.events.Notify})
	if p.config.TLS.Cert != "" && p.config.TLS.Key != "" {
		p.certificate = &pair{cert: p.config.TLS.Cert, key: p.config.TLS.Key}
	}
	if p.config.Upstream.URL != nil {
		p.upstream = newUpstreamSide(p.config, p.Now)
	}
	found, _ := p.refreshCertificates()
	problems = append(append(problems, found...), p.loadAdminToken()...)
	p.problems = problems
	if !config.Failed(problems) {
		p.gate = g
	}
	return problems
}

// Config is what Load has read.
func (p *Proxy) Config() Config { return p.config }

// Alive reports whether the gate can be asked: a watchdog's question.
func (p *Proxy) Alive() bool {
	p.gate.Ready() // what matters is that it returns
	return true
}

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
		return host.Document{Policy: c.Policy, Prefix: "policy.", Files: named(c.PolicyFile)}, problems
	}
	c, problems := ReadConfig(p.File)
	if p.gate == nil {
		p.config = c
	} else if !config.Failed(problems) && c.changed(p.config) {
		problems = append(problems, config.Problem{Path: p.File, Warning: true,
			Text: "something other than the policy has changed; restart to apply it"})
	}
	d := host.Document{Policy: c.Policy, Prefix: p.File + ": policy.", Dir: filepath.Dir(p.File), Files: named(p.File, c.PolicyFile)}
	if c.PolicyFile != "" {
		d.Prefix, d.Dir = c.PolicyFile+": ", filepath.Dir(c.PolicyFile)
	}
	return d, problems
}

// Run serves until ctx ends or a listener fails. It then reports not ready, lets the requests in flight
// finish for as long as the grace is, and returns. Everything it starts has ended when it returns. An error
// means that it could not listen or serve; ctx ending is none.
func (p *Proxy) Run(ctx context.Context) error {
	if p.gate == nil {
		return errors.New("the policy and keys are not loaded")
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	p.clients = newClients(connectionLimit(p.config.Limits), p.config.Limits.WriteTimeout)
	listeners, err := p.listen(ctx)
	if err != nil {
		return err
	}
	defer p.upstream.close()
	life, end := context.WithCancel(context.Background()) // ends what outlives the grace: upgraded connections, the refresher
	defer end()
	if p.tracer, err = p.newTracer(ctx); err != nil {
		listeners.close()
		return err
	}
	defer p.stopTracer()
	p.reporter = host.NewReporter(p.gate, p.Now)
	h := p.handler()
	p.keeper = p.newKeeper()
	p.metrics = host.NewMetrics(p.gate, p.events, p.keeper)
	p.register(h)
	data := p.server(life, h)
	status := p.server(life, newStatusHandler(&p.draining, p.gate.Ready, p.metrics.Registry))
	status.ReadTimeout, status.WriteTimeout = statusTimeout, statusTimeout

	var running sync.WaitGroup // ended by the shutdowns below and by end
	failed := make(chan error, len(listeners.data)+2)
	p.events.Log(p.Log)
	stopAdmin := p.serveAdmin(life, listeners.admin, &running, failed) // before the sources are asked, which may take a while
	p.keeper.First(life)
	for i, l := range listeners.data {
		serve := data.Serve
		if p.config.Listen[i].TLS {
			serve = func(l net.Listener) error { return data.ServeTLS(l, "", "") }
		}
		running.Go(func() { failed <- serve(l) })
	}
	if listeners.status != nil {
		running.Go(func() { failed <- status.Serve(listeners.status) })
	}
	running.Go(func() { p.keeper.Run(life) })
	running.Go(func() { p.reporter.Run(life) })
	running.Go(func() { h.log.Summarize(life) })
	p.started(listeners.addresses())

	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	p.drain(data, status, stopAdmin, err == nil)
	end()
	running.Wait()
	return err
}

// handler is what serves requests.
func (p *Proxy) handler() *handler {
	c := &p.config
	lines := &requestLog{host.DecisionLog{Logger: p.Log, Sampler: logline.NewSampler(c.Log.Sample)}, c.Log.Access}
	h := &handler{
		gate: p.gate, reporter: p.reporter, inFlight: newInFlight(c.Limits), log: lines, stats: newRequestStats(), draining: &p.draining, tracer: p.tracer,
		trusted: c.TrustedProxies, requestID: c.RequestID, bodyTimeout: c.Limits.BodyTimeout, stallAfter: c.Limits.WriteTimeout,
	}
	h.relay = &relay{upstream: p.upstream, requestID: c.RequestID, buffers: new(bufferPool), accept: h.accept, failed: upstreamFailed(lines)}
	h.forward = newForwarder(p.upstream, c.RequestID, h.accept, lines)
	return h
}

// server is one http.Server, hardened. It is shut down by drain.
func (p *Proxy) server(life context.Context, handler http.Handler) *http.Server {
	l := p.config.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(p.config.H2C)
	return &http.Server{
		Handler:                      handler,
		TLSConfig:                    p.serverTLS(),
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: l.Streams, MaxReceiveBufferPerStream: streamBuffer, MaxReadFrameSize: streamFrame, WriteByteTimeout: l.WriteTimeout},
		ReadHeaderTimeout:            l.HeaderTimeout,
		IdleTimeout:                  l.IdleTimeout,
		MaxHeaderBytes:               l.HeaderBytes,
		DisableGeneralOptionsHandler: true,                                                // net/http would answer "OPTIONS *" itself, unasked
		ErrorLog:                     slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug), // a client's broken handshake is no operator's business
		BaseContext:                  func(net.Listener) context.Context { return life },
		ConnContext:                  withConn,
	}
}

// drain ends the servers: first /ready turns 503 while requests are still served, so that load balancers
// look elsewhere; then the requests in flight finish; then the rest is cut. Status and admin answer until then.
func (p *Proxy) drain(data, status *http.Server, stopAdmin func(), orderly bool) {
	p.draining.Store(true)
	l := p.config.Limits
	p.Log.Info("draining", "delay", l.DrainDelay.String(), "grace", l.Grace.String())
	if orderly {
		<-time.After(l.DrainDelay)
	}
	grace, cancel := context.WithTimeout(context.Background(), l.Grace)
	defer cancel()
	if err := data.Shutdown(grace); err != nil {
		p.Log.Warn("requests were cut after the grace", "error", err.Error())
		_ = data.Close() // what Shutdown left over
	}
	stopAdmin()
	_ = status.Close() // probes have nothing to finish
	p.Log.Info("stopped")
}

const (
	streamBuffer = 256 << 10 // bytes of a request's body that HTTP/2 clients may send ahead
	streamFrame  = 16 << 10  // bytes of a frame, the least that RFC 9113 §4.2 allows
)

// connectionLimit is how many clients may be connected at once. Each may need a second descriptor, for the
// upstream; some are kept for files, listeners and probes.
func connectionLimit(l Limits) int {
	const (
		most = 10_000
		kept = 32
	)
	if l.Connections > 0 {
		return l.Connections
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return most
	}
	return int(min(most, max(8, (files.Cur-min(files.Cur, kept))/2)))
}

// started tells the operator and the owner what is running.
func (p *Proxy) started(a Addresses) {
	routes, keys := p.Size()
	attrs := []any{"version", host.Version(), "listen", texts(a.Listen), "upstream", p.config.Upstream.Text,
		"mode", string(p.gate.Status().Mode), "routes", routes, "keys", keys}
	if a.Status != nil {
		attrs = append(attrs, "status", a.Status.String())
	}
	if a.Admin != nil {
		attrs = append(attrs, "admin", a.Admin.String())
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
