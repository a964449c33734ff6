package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// perWindow is what a window may take beyond its length before the run gives up.
const perWindow = ramp + 3*slack

// measure runs everything and prints the tables. It reports whether all goals are reached. Whatever it
// has started has ended when it returns.
func measure(ctx context.Context, s settings, command string, stdout, stderr io.Writer) (reached bool, err error) {
	proxyCore, otherCore, err := cores()
	if err != nil {
		return false, err
	}
	systems, goals, beside := newSystems(), newGoals(), [2]string{bareSystem, haproxySystem}
	if s.hosts {
		systems, goals, beside = newHosts(), newHostGoals(), [2]string{bareCaddy, bareTraefik}
	}
	rows := newRows(s.groups, systems)
	windows := time.Duration((s.rounds+1)*len(rows) + 5*len(systems))
	limit := time.Duration(len(systems)+1)*startTimeout + windows*(s.window+perWindow)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	about := strings.Join(append([]string{machine()}, versions()...), ", ") // before our own load
	r, err := newRig(ctx, s, systems, proxyCore, otherCore, stderr)
	defer r.stop()
	if err == nil {
		err = r.tryAll(systems)
	}
	if err == nil {
		err = r.rounds(rows, s, stderr)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	} else if err != nil {
		return false, err
	}
	fmt.Fprintf(stdout, "%s\n%s\nproxy on processor %d, load and upstream on %d; rounds of %v a row: %d; medians, lowest to highest in brackets\n",
		command, about, proxyCore, otherCore, s.window, s.rounds)
	t := tables{rows: rows, goals: goals, beside: beside, judged: !s.short, notes: absentNotes(systems)}
	return t.reached(), t.write(stdout)
}

// rig is the processes of a run.
type rig struct {
	core    int // of the proxies
	load    *process
	proxies map[string]*process // by their role
	all     []*process          // in order of their start
}

// newRig starts the processes of the systems that are there. The rig is to be stopped even on error.
func newRig(ctx context.Context, s settings, systems []system, proxyCore, otherCore int, stderr io.Writer) (*rig, error) {
	r := &rig{core: proxyCore, proxies: map[string]*process{}}
	var err error
	if r.load, err = r.start(ctx, otherCore, stderr, "load", fmt.Sprint(s.tokens)); err != nil {
		return r, err
	}
	for _, system := range systems {
		if system.missing() != nil {
			continue
		}
		if r.proxies[system.role], err = r.start(ctx, proxyCore, stderr, system.role, r.load.address, s.level); err != nil {
			return r, err
		}
	}
	return r, nil
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

// tryAll asks every system that is there all its questions: one that does not do the work is not to be measured. The
// first question may be asked again for a while: Traefik serves before it knows its routes, and on a busy machine
// nobody outside can tell when that ends.
func (r *rig) tryAll(systems []system) error {
	for _, s := range systems {
		if r.proxies[s.role] == nil {
			continue
		}
		last := time.Now().Add(startTimeout)
		for i, w := range s.trials() {
			_, err := r.window(s.role, w)
			for i == 0 && err != nil && time.Now().Before(last) {
				_, err = r.window(s.role, w)
			}
			if err != nil {
				return fmt.Errorf("%s, asked with %s: %w", s.role, cmp.Or(w.Carry, "a genuine token"), err)
			}
		}
	}
	return nil
}

// rounds measures every row once a round, every second round backwards, so that a machine that warms up
// or slows down favours no row. A round before the first warms up and is thrown away.
func (r *rig) rounds(rows []row, s settings, progress io.Writer) error {
	first := -1
	if s.short {
		first = 0 // nothing is judged
	}
	for round := first; round < s.rounds; round++ {
		length := s.window
		if round < 0 {
			length = min(length, time.Second)
		}
		for i := range rows {
			if round%2 != 0 {
				i = len(rows) - 1 - i
			}
			if rows[i].absent != nil {
				continue
			}
			got, err := r.window(rows[i].role, rows[i].order(length, s.sleep))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", rows[i].role, rows[i].title, err)
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

// window has the load run one window for the proxy of a role.
func (r *rig) window(role string, w window) (result, error) {
	p := r.proxies[role]
	w.Address, w.PID, w.Core = p.address, p.pid, r.core
	order, err := json.Marshal(w)
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
