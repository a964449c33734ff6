package caddymodule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// stations are what is known of each gate's name since Caddy started. They outlive configurations: so do control,
// counters and the report.
var stations = struct {
	sync.Mutex
	byName map[string]*station
}{byName: map[string]*station{}}

// station is what belongs to a gate's name.
type station struct {
	name     string
	kin      gate.Kin
	events   host.Events
	reporter *host.Reporter
	admin    *host.Admin
	reloads  *host.Reloads
	log      *slog.Logger
	happened chan gate.Event // for Caddy's events

	mu       sync.Mutex // guards the fields below
	lives    int        // gates that use it
	stop     func()     // ends what runs while there are any
	emitters []*emitter // of each use of a gate, the newest last: a configuration may yet be given up for the one before
}

// emitter is where Caddy's events go in one configuration.
type emitter struct {
	ctx caddy.Context
	app *caddyevents.App
}

// mostHappened bounds the events that wait for Caddy's subscribers. Those beyond are only logged and counted.
const mostHappened = 64

// stationOf is what is known of a name.
func stationOf(name string) *station {
	stations.Lock()
	defer stations.Unlock()
	if s := stations.byName[name]; s != nil {
		return s
	}
	s := &station{name: name, log: slog.New(caddyLog{}).With("gate", name), happened: make(chan gate.Event, mostHappened), reloads: host.NewReloads()}
	s.events.Log(s.log)
	s.reporter = host.NewReporter(&s.kin, now)
	s.admin = &host.Admin{Gate: &s.kin, Report: func(hours float64) any { return s.reporter.Report(hours) }, Log: s.log, Now: now}
	stations.byName[name] = s
	return s
}

// inUse are the stations that have gates, by name.
func inUse() map[string]*station {
	stations.Lock()
	defer stations.Unlock()
	used := maps.Clone(stations.byName)
	maps.DeleteFunc(used, func(_ string, s *station) bool { return !s.used() })
	return used
}

// names are the names of those, in order.
func names(all map[string]*station) []string { return slices.Sorted(maps.Keys(all)) }

func (s *station) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives > 0
}

// enter counts a gate in. With the first, what runs beside gates begins.
func (s *station) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives++
	if s.lives > 1 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context){s.reporter.Run, s.admin.Run, s.emit} {
		running.Go(func() { run(ctx) })
	}
	s.stop = func() {
		cancel()
		running.Wait()
	}
}

// leave counts a gate out. With the last, all that runs has ended.
func (s *station) leave() {
	s.mu.Lock()
	s.lives--
	last := s.lives == 0
	stop := s.stop
	s.mu.Unlock()
	if last {
		stop()
	}
}

// attach makes the station known to a new configuration: its metrics and its events.
func (s *station) attach(ctx caddy.Context) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	registry := prometheus.WrapRegistererWith(prometheus.Labels{"gate": s.name}, ctx.GetMetricsRegistry())
	for _, collector := range []prometheus.Collector{host.GateMetrics(&s.kin), &s.events, s.reloads} {
		err := registry.Register(collector)
		if known := new(prometheus.AlreadyRegisteredError); err != nil && !errors.As(err, known) {
			return nil, err
		}
	}
	e := &emitter{ctx, app.(*caddyevents.App)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emitters = append(s.emitters, e)
	return e, nil
}

// detach forgets the events of a configuration; nil: there are none.
func (s *station) detach(e *emitter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emitters = slices.DeleteFunc(s.emitters, func(one *emitter) bool { return one == e })
}

// newest is where events go; nil: nowhere.
func (s *station) newest() *emitter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.emitters) == 0 {
		return nil
	}
	return s.emitters[len(s.emitters)-1]
}

// notify takes an event of a gate.
func (s *station) notify(e gate.Event) {
	s.events.Notify(e)
	select {
	case s.happened <- e:
	default: // the subscribers are slower than what happens
	}
}

// emit hands events to Caddy's, whose subscribers may take their time, until ctx ends.
func (s *station) emit(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.happened:
			if to := s.newest(); to != nil {
				to.app.Emit(to.ctx, "approov_"+string(e.Kind), eventData(s.name, e))
			}
		}
	}
}

// eventData is an event as its subscribers see it.
func eventData(name string, e gate.Event) map[string]any {
	data := map[string]any{"gate": name, "source": e.Source, "problem": e.Text}
	if e.Source == "" {
		data["slot"] = [...]string{gate.Local: "local", gate.Remote: "remote"}[e.Slot]
		data["mode"] = string(e.Control.Mode)
		data["version"] = e.Control.Version
		data["until"] = e.Control.Until
		data["reason"] = e.Control.Reason
		data["by"] = e.Control.By
	}
	return data
}
