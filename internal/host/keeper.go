package host

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/gate"
)

const (
	refreshEvery  = 5 * time.Second        // between two looks at the files, whatever the system tells of them
	lookEvery     = 500 * time.Millisecond // between two looks at the clock and at what is due
	firstPatience = 2 * time.Second        // for all sources together, before the host begins to serve
	largestStep   = 2 * time.Second        // between two looks, by which the wall clock may gain or lose
	maxPolls      = 16                     // at once: more than fit into source.FetchTimeout, so only a dead disk takes them all
)

// Keeper keeps a gate at what its files and sources say. Set the fields, call First before the host
// serves and Run once it does.
type Keeper struct {
	Gate    *gate.Gate
	Refresh func(ctx context.Context, asked bool) // reads the files again; asked: somebody wants to hear what came of it
	Files   func() []string                       // what Refresh reads, to be told of changes at once; nil: looking every 5 s is enough
	Reload  <-chan os.Signal                      // each value asks for all that Run does, at once; nil: never
	Log     *slog.Logger                          // nil: nowhere
	Now     func() time.Time                      // the wall clock; nil: time.Now
	Elapsed func() time.Duration                  // a clock that nobody sets; nil: the time since First or Run

	once  sync.Once
	first sync.WaitGroup // the polls of First
	wake  chan struct{}  // makes Run look at once
	steps atomic.Int64   // of the wall clock
	ticks <-chan time.Time
	looks <-chan time.Time // these two, if set, stand in for the tickers, in tests
}

// begin fills in what was not set.
func (k *Keeper) begin() {
	k.once.Do(func() {
		k.wake = make(chan struct{}, 1)
		if k.Log == nil {
			k.Log = slog.New(slog.DiscardHandler)
		}
		if k.Now == nil {
			k.Now = time.Now
		}
		if k.Elapsed == nil {
			start := time.Now()
			k.Elapsed = func() time.Duration { return time.Since(start) }
		}
	})
}

// First asks every source once and returns when all have answered, or after 2 s. Those that have not go on
// being asked; Run, or ctx ending, ends that.
func (k *Keeper) First(ctx context.Context) {
	k.begin()
	done := make(chan struct{})
	k.first.Go(func() {
		defer close(done)
		k.Gate.Poll(ctx)
	})
	patience := time.NewTimer(firstPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// Run reads the files again when they change, every 5 s and when Reload asks for it, asks the sources when
// they are due, and notices when the wall clock is set, until ctx ends. All that it and First have started
// has ended when it returns.
func (k *Keeper) Run(ctx context.Context) {
	k.begin()
	var all sync.WaitGroup
	all.Go(func() { k.keepFiles(ctx) })
	all.Go(func() { k.keepSources(ctx) })
	all.Wait()
	k.first.Wait()
}

// keepFiles refreshes until ctx ends.
func (k *Keeper) keepFiles(ctx context.Context) {
	ticks, stop := every(k.ticks, refreshEvery)
	defer stop()
	w := k.watch()
	defer w.close()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-k.Reload:
			asked = true
		case <-ticks:
		case e, ok := <-w.events:
			w.heard(e, ok)
			continue
		case err, ok := <-w.errors:
			w.failed(err, ok)
			continue
		case <-w.quiet.C:
			w.settled()
		}
		k.Refresh(ctx, asked)
		if asked {
			k.Gate.PollNow()
			k.look()
		}
		if k.Files != nil {
			w.follow(k.Files())
		}
	}
}

// watch begins to watch the files. It works without, if that cannot be had.
func (k *Keeper) watch() *watch {
	if k.Files == nil {
		return newWatch(nil)
	}
	w := newWatch(k.Log)
	w.follow(k.Files())
	return w
}

// look makes keepSources look at once.
func (k *Keeper) look() {
	select {
	case k.wake <- struct{}{}:
	default: // it is about to
	}
}

// keepSources polls until ctx ends. Each poll has a goroutine of its own: one source that hangs must not
// hold up another.
func (k *Keeper) keepSources(ctx context.Context) {
	looks, stop := every(k.looks, lookEvery)
	defer stop()
	var polls sync.WaitGroup
	defer polls.Wait()
	places := make(chan struct{}, maxPolls)
	clock := newClockWatch(k.Now, k.Elapsed)
	for {
		if k.Gate.Due() {
			select {
			case places <- struct{}{}:
				polls.Go(func() {
					defer func() { <-places }()
					k.Gate.Poll(ctx)
				})
			default:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-looks:
		}
		if step := clock.step(); step != 0 {
			k.steps.Add(1)
			k.Log.LogAttrs(ctx, slog.LevelWarn, "the clock was set", slog.String("by", step.String()), slog.Time("now", k.Now()))
		}
	}
}

// every is a ticker, unless a test has its own.
func every(instead <-chan time.Time, interval time.Duration) (ticks <-chan time.Time, stop func()) {
	if instead != nil {
		return instead, func() {}
	}
	t := time.NewTicker(interval)
	return t.C, t.Stop
}

// clockWatch compares the wall clock with one that nobody sets.
type clockWatch struct {
	now     func() time.Time
	elapsed func() time.Duration
	wall    time.Time // of the last look
	at      time.Duration
}

func newClockWatch(now func() time.Time, elapsed func() time.Duration) *clockWatch {
	c := &clockWatch{now: now, elapsed: elapsed}
	c.step()
	return c
}

// step is by how much the wall clock was set since the last look, forward or back; 0: not by more than 2 s.
func (c *clockWatch) step() time.Duration {
	const unsure = 100 * time.Millisecond
	before := c.elapsed()
	wall := c.now().Round(0) // without the reading of the other clock that it may carry
	if c.elapsed()-before > unsure {
		return 0 // there was no time between the two: the next look tells
	}
	first := c.wall.IsZero()
	step := wall.Sub(c.wall) - (before - c.at)
	c.wall, c.at = wall, before
	if first || step.Abs() <= largestStep {
		return 0
	}
	return step.Round(time.Millisecond)
}

var stepsDesc = prometheus.NewDesc("approovgate_clock_steps_total",
	"Times that the wall clock was set forward or back by more than 2 s.", nil, nil)

// Describe announces the keeper's metric.
func (k *Keeper) Describe(out chan<- *prometheus.Desc) { out <- stepsDesc }

// Collect reads it.
func (k *Keeper) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(stepsDesc, prometheus.CounterValue, float64(k.steps.Load()))
}
