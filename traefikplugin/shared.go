package traefikplugin

import (
	"context"
	"errors"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

const (
	refreshEvery = 5 * time.Second // between two looks at the files, of a gate that is used
	forgetAfter  = time.Minute     // a gate whose routers are gone
	maxPolls     = 4               // of one gate at once
	maxNames     = 64              // of policies that no gate has any more, whose counters are kept
)

const never = int64(1<<63 - 1)

// gates are those of a Traefik process. They outlast its reloads: package variables do, routers do not.
type gates struct {
	building sync.Mutex // held by take alone, also while a disk keeps it waiting

	mu        sync.Mutex               // guards the fields below; nobody waits for a disk with it
	all       map[string]*running      // by middleware and configuration
	kin       map[string]*gate.Kin     // by the policy's name: control and counters
	listeners map[string]*figureServer // by address
}

var shared = &gates{all: map[string]*running{}, kin: map[string]*gate.Kin{}, listeners: map[string]*figureServer{}}

// running is a gate and when it is to be brought up to date.
type running struct {
	// These stand first, where 32-bit machines can change them by atomic operations.
	filesDue int64 // atomic: when files are to be read again, on the elapsed clock
	polls    int32 // atomic: those going on

	gate  *gate.Gate
	setup *setup
	who   string // the middleware
	name  string // of the policy
	lines *lines
	noted string // what was told last of the files; whoever has set filesDue to never owns it

	ended <-chan struct{} // closed when the routers that took it last are to go; nil: never. gates.mu guards it and idle
	idle  time.Duration   // when it was first seen closed, on the elapsed clock; 0: it was not
}

// take returns the gate of a middleware: the one that is there, if its configuration is the same.
func (g *gates) take(c Config, who string, ended <-chan struct{}) (*running, error) {
	g.building.Lock()
	defer g.building.Unlock()
	s, problems := readConfig(c)
	key := who + "\x00" + s.id
	r := g.find(key)
	if r == nil {
		var found []config.Problem
		r, found = g.open(s, who, config.Failed(problems))
		problems = append(problems, found...)
		if text := oneLine(problems, true); text != "" {
			log.Println("approovgate: " + who + ": warning: " + text)
		}
		if r == nil {
			return nil, errors.New(who + ": " + oneLine(problems, false))
		}
		r.keep() // its sources are asked while Traefik makes the rest
	}
	g.keep(key, r, ended)
	return r, nil
}

func (g *gates) find(key string) *running {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[key]
}

// open makes a gate. refused: there will be none, and all that is looked for is what else is wrong.
func (g *gates) open(s *setup, who string, refused bool) (*running, []config.Problem) {
	policy, problems := s.load()
	if refused || config.Failed(problems) {
		return nil, s.place(problems)
	}
	r := &running{setup: s, who: who, name: policy.Name, lines: newLines(policy.Name)}
	made, problems := gate.New(gate.Options{
		Load: s.load, Now: now, Elapsed: elapsed, Notify: r.lines.event, NewCache: newCache, CacheAll: true, Quiet: r.lines.quiet,
		Kin: g.kinOf(policy.Name),
	})
	problems = s.place(problems)
	if made == nil {
		return nil, problems
	}
	r.gate = made
	r.noted = oneLine(problems, true)
	r.filesDue = int64(elapsed() + refreshEvery)
	return r, problems
}

func (g *gates) kinOf(name string) *gate.Kin {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kin[name]
	if k == nil {
		k = &gate.Kin{}
		g.kin[name] = k
	}
	return k
}

// keep notes who uses a gate.
func (g *gates) keep(key string, r *running, ended <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.ended = ended
	r.idle = 0
	g.all[key] = r
	g.sweep()
	g.forgetNames()
	g.listen()
	g.publish()
}

// sweep forgets gates whose routers have been gone for a minute. Not sooner: Traefik ends the contexts of all routers
// before it makes those that replace them, and goes on serving with the old ones. mu is held.
func (g *gates) sweep() {
	for key, r := range g.all {
		if !isClosed(r.ended) {
			continue
		}
		if r.idle == 0 {
			r.idle = elapsed()
		} else if elapsed()-r.idle > forgetAfter {
			delete(g.all, key)
			r.gate.Close()
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	if c == nil {
		return false
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// forgetNames bounds what is kept of names that no policy has any more. Control in force is always kept: the
// policy may be back with the next reload. mu is held.
func (g *gates) forgetNames() {
	used := map[string]bool{}
	for _, r := range g.all {
		used[r.name] = true
	}
	for name, k := range g.kin {
		local, remote := k.Control(gate.Local), k.Control(gate.Remote)
		if len(g.kin) > maxNames+len(used) && !used[name] && local.At(now()).Empty() && remote.At(now()).Empty() {
			delete(g.kin, name)
			unpublish(name)
		}
	}
}

// names are the policies' names and what they share.
func (g *gates) names() map[string]*gate.Kin {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]*gate.Kin{}
	for name, k := range g.kin {
		all[name] = k
	}
	return all
}

// keep brings the gate up to date where that is due. No request waits for it: the one that finds it due is judged by
// what is in force. The goroutines end by themselves, those that ask sources after source.FetchTimeout.
func (r *running) keep() {
	due := atomic.LoadInt64(&r.filesDue)
	if int64(elapsed()) >= due && atomic.CompareAndSwapInt64(&r.filesDue, due, never) {
		go r.refresh()
	}
	if !r.gate.Due() {
		return
	}
	if atomic.AddInt32(&r.polls, 1) > maxPolls {
		atomic.AddInt32(&r.polls, -1)
		return
	}
	go r.poll()
}

// refresh reads the files again, and does what else is to be done now and then. What it finds is told once.
func (r *running) refresh() {
	defer r.refreshed()
	problems := r.setup.place(r.gate.Refresh())
	noted := oneLine(problems, true)
	if config.Failed(problems) {
		noted = "the last good policy stays in force: " + oneLine(problems, false)
	}
	if noted != r.noted && noted != "" {
		log.Println("approovgate: " + r.who + ": " + noted)
	}
	r.noted = noted
	r.lines.flush()
	shared.tidy()
}

func (g *gates) tidy() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep()
	g.listen()
}

func (r *running) refreshed() {
	if value := recover(); value != nil {
		log.Println("approovgate: " + r.who + ": a fault of the plugin while it read its files")
	}
	atomic.StoreInt64(&r.filesDue, int64(elapsed()+refreshEvery))
}

// poll asks the sources that are due.
func (r *running) poll() {
	defer r.polled()
	r.gate.Poll(context.Background())
}

func (r *running) polled() {
	if value := recover(); value != nil {
		log.Println("approovgate: " + r.who + ": a fault of the plugin while it asked its sources")
	}
	atomic.AddInt32(&r.polls, -1)
}
