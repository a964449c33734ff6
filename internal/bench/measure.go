package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// row is a line of the table: requests of one kind through one proxy, and what they are compared with.
type row struct {
	name    string
	proxy   string // the role
	unique  bool
	spoilt  bool
	status  int
	beside  int // the row it is compared with; itself: with none
	goal    goal
	results []result // one for each round
}

// The rows. The goals are the project's promise; README repeats it.
const (
	rowBare = iota
	rowGate
	rowUnique
	rowBad
)

func newRows() []row {
	return []row{
		rowBare:   {name: "one genuine token", proxy: "bare", status: 200, beside: rowBare},
		rowGate:   {name: "one genuine token", proxy: "gate", status: 200, beside: rowBare, goal: goal{of: costRatio, atMost: 1.05}},
		rowUnique: {name: "a new genuine token each", proxy: "gate", unique: true, status: 200, beside: rowGate},
		rowBad:    {name: "a new bad signature each", proxy: "gate", unique: true, spoilt: true, status: 401, beside: rowGate, goal: goal{of: rateRatio, atLeast: 2.5}},
	}
}

// perWindow is what a window may take beyond its length before the run gives up.
const perWindow = ramp + 3*slack

// measure runs everything and prints the table. It reports whether all goals are reached. Whatever it
// has started has ended when it returns.
func measure(ctx context.Context, s settings, command string, stdout, stderr io.Writer) (reached bool, err error) {
	proxyCore, otherCore, err := cores()
	if err != nil {
		return false, err
	}
	rows := newRows()
	windows := time.Duration((s.rounds + 1) * len(rows))
	limit := 2*startTimeout + windows*(s.window+perWindow)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	about := machine() // before our own load
	r, err := newRig(ctx, s, proxyCore, otherCore, stderr)
	defer r.stop()
	if err == nil {
		err = r.rounds(rows, s, stderr)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	} else if err != nil {
		return false, err
	}
	t := table{rows: rows, judged: !s.short}
	fmt.Fprintf(stdout, "%s\n%s\nproxy on processor %d, load and upstream on %d; %d connections; rounds of %v a row: %d; medians, lowest to highest in brackets\n\n",
		command, about, proxyCore, otherCore, connections, s.window, s.rounds)
	if err := t.write(stdout); err != nil {
		return false, err
	}
	return t.reached(), nil
}

// rig is the processes of a run.
type rig struct {
	core    int // of the proxies
	load    *process
	proxies map[string]*process
	all     []*process // in order of their start
}

// newRig starts the processes. The rig is to be stopped even on error.
func newRig(ctx context.Context, s settings, proxyCore, otherCore int, stderr io.Writer) (*rig, error) {
	r := &rig{core: proxyCore, proxies: map[string]*process{}}
	var err error
	if r.load, err = r.start(ctx, otherCore, stderr, "load", fmt.Sprint(s.tokens)); err != nil {
		return r, err
	}
	if r.proxies["bare"], err = r.start(ctx, proxyCore, stderr, "bare", r.load.address); err != nil {
		return r, err
	}
	r.proxies["gate"], err = r.start(ctx, proxyCore, stderr, "gate", r.load.address, s.level)
	return r, err
}

func (r *rig) start(ctx context.Context, core int, stderr io.Writer, args ...string) (*process, error) {
	p, err := start(ctx, core, stderr, args...)
	if err == nil {
		r.all = append(r.all, p)
	}
	return p, err
}

// stop ends the processes, the last first, and returns when all have ended.
func (r *rig) stop() {
	for i := len(r.all) - 1; i >= 0; i-- {
		r.all[i].stop()
	}
}

// rounds measures every row once a round, every second round backwards, so that a machine that warms up
// or slows down favours no row. A round before the first warms up and is thrown away.
func (r *rig) rounds(rows []row, s settings, progress io.Writer) error {
	for round := -1; round < s.rounds; round++ {
		length := s.window
		if round < 0 {
			length = min(length, time.Second)
		}
		for i := range rows {
			if round%2 != 0 {
				i = len(rows) - 1 - i
			}
			got, err := r.window(rows[i], length, s.sleep)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", rows[i].proxy, rows[i].name, err)
			}
			if round >= 0 {
				rows[i].results = append(rows[i].results, got)
			}
		}
		if round >= 0 && !s.short {
			fmt.Fprintf(progress, "round %d of %d\n", round+1, s.rounds)
		}
	}
	return nil
}

// window measures one row once.
func (r *rig) window(row row, length time.Duration, sleep bool) (result, error) {
	p := r.proxies[row.proxy]
	order, err := json.Marshal(window{Address: p.address, PID: p.pid, Core: r.core,
		Unique: row.unique, Spoilt: row.spoilt, Sleep: sleep, Want: row.status, Length: length})
	if err != nil {
		return result{}, err
	}
	if _, err := r.load.orders.Write(append(order, '\n')); err != nil {
		return result{}, err
	}
	text, err := r.load.answer()
	if err != nil {
		return result{}, fmt.Errorf("load generator: %w", err)
	}
	var got result
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return result{}, fmt.Errorf("load generator: %w", err)
	}
	return got, got.fault()
}
