package attestd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver"
	"github.com/approovgate/approovgate/attestserver/manage"
	"github.com/approovgate/approovgate/attestserver/pinwatch"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/sdnotify"
	"github.com/approovgate/approovgate/internal/testclock"
)

// garbage is how much may be allocated before memory is looked through, in percent of what is in use. That is little,
// 10 to 20 MB, and an attestation allocates 80 KB: with Go's 100 a fifth of the time would go into collecting.
const garbage = 400

// service is the parts of the running program.
type service struct {
	o        options
	c        *console
	now      func() time.Time
	store    store.Store
	server   *attestserver.Server
	registry *prometheus.Registry
	looker   *pinwatch.Looker
	watcher  *pinwatch.Watcher // nil: the pin monitor is switched off
	main     *listener         // apps and gates, and approov unless manage is set
	manage   *listener
	status   *listener
}

// serve is the command run.
func serve(ctx context.Context, o options, c *console) (err error) {
	s := &service{o: o, c: c, now: testclock.Clock(), registry: prometheus.NewRegistry()}
	if err := s.listen(ctx); err != nil {
		return err
	}
	if s.looker, err = o.pins.looker(); err != nil {
		return err
	}
	s.looker.Now = s.now
	hook, err := o.pins.hook(s.looker.Roots, c.log)
	if err != nil {
		return err
	}
	if s.store, err = o.open(ctx, true, c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	if err := s.prepareAccounts(ctx); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.server, err = attestserver.New(attestserver.Options{
		Store: s.store, Now: s.now, Rand: rand.Reader, Log: c.log, Metrics: s.registry, TrustedProxies: o.proxies, Version: host.Version(),
	}); err != nil {
		return err
	}
	if o.pins.every > 0 {
		if s.watcher, err = pinwatch.New(pinwatch.Options{
			Accounts: s.server.Accounts, Look: s.looker.Chain, Every: o.pins.every, Webhook: hook, Told: filepath.Join(o.data, toldFile), Now: s.now,
			Log: c.log, Metrics: s.registry,
		}); err != nil {
			return err
		}
	}
	return s.run(ctx)
}

// listen opens all addresses first: one that is taken is found out before anything is changed.
func (s *service) listen(ctx context.Context) error {
	secure, err := s.o.secure(s.now, s.c.log)
	if err != nil {
		return err
	}
	if s.main, err = listen(ctx, s.o.listen, secure, s.c.log); err != nil {
		return err
	}
	if s.o.manage != "" {
		if s.manage, err = listen(ctx, s.o.manage, secure, s.c.log); err != nil {
			return err
		}
	}
	if s.o.status != "" {
		s.status, err = listen(ctx, s.o.status, nil, s.c.log)
	}
	return err
}

// run serves until the context ends or something fails.
func (s *service) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := s.server.Refresh(ctx); err != nil {
		return err
	}
	jobs := []func() error{
		func() error { s.server.Run(ctx); return nil },
		func() error { return s.main.serve(ctx, s.handler()) },
		func() error { return sdnotify.Run(ctx, s.alive) },
	}
	if s.watcher != nil {
		jobs = append(jobs, func() error { s.watcher.Run(ctx); return nil })
	}
	if s.manage != nil {
		jobs = append(jobs, func() error { return s.manage.serve(ctx, s.management()) })
	}
	if s.status != nil {
		jobs = append(jobs, func() error { return s.status.serve(ctx, s.statusHandler()) })
	}
	ended := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { ended <- job() }()
	}
	s.c.say("attestserver %s serves on %s", host.Version(), s.main.Addr())
	if err := sdnotify.Ready(); err != nil {
		s.c.log.Warn("the service manager was not told", "error", err.Error())
	}
	context.AfterFunc(ctx, func() { _ = sdnotify.Stopping() }) // who is not told learns it from the end
	var failure error
	for range jobs {
		if err := <-ended; err != nil {
			failure = errors.Join(failure, err)
			stop()
		}
	}
	_ = s.server.KeepFailures(context.WithoutCancel(ctx)) // of requests that were answered after the server was told to end
	return failure
}

// alive reports whether the service can be asked: the watchdog's question. A database that is away does not make it
// dead; starting again would only take the challenges away that it still answers.
func (s *service) alive() bool {
	_ = s.server.Ready() // what matters is that it returns
	return true
}

// handler is what the main address serves.
func (s *service) handler() http.Handler {
	if s.manage != nil {
		return s.server
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.server)
	mux.Handle(attestapi.PathManage+"/", s.management())
	return mux
}

// management is the management API.
func (s *service) management() http.Handler {
	o := manage.Options{
		Store: s.store, Accounts: s.server, Refresh: s.server.Refresh, Keep: s.server.KeepFailures, Now: s.now, Rand: rand.Reader, Log: s.c.log,
		Version: host.Version(), Address: s.server.ClientAddress, Served: s.looker.Served,
	}
	if s.watcher != nil {
		o.PinStatuses = s.watcher.Statuses
	}
	return manage.New(o)
}

// statusHandler is for those who watch the service.
func (s *service) statusHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.server.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}
