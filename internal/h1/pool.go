package h1

import (
	"sync"
	"time"
)

// pool keeps idle connections: the last one in is the first one out, so that under less load the rest
// times out. A connection is never looked at while it is idle; whoever takes it probes it first.
type pool struct {
	mu      sync.Mutex
	idle    []*conn     // guarded by mu; the longest idle one first
	closing bool        // guarded by mu; connections that come back are closed
	sweeper *time.Timer // guarded by mu; nil unless armed; ended by closeAll, or by finding nothing left
}

// take returns the connection that became idle last, or nil. Those it finds too old it closes.
func (p *pool) take(timeout time.Duration) *conn {
	p.mu.Lock()
	p.closing = false
	last := len(p.idle) - 1
	if last < 0 {
		p.mu.Unlock()
		return nil
	}
	c := p.idle[last]
	if timeout > 0 && c.age()-c.idleSince > timeout {
		old := p.idle // the others have been idle even longer
		p.idle = nil
		p.mu.Unlock()
		closeConns(old)
		return nil
	}
	p.idle[last] = nil
	p.idle = p.idle[:last]
	p.mu.Unlock()
	return c
}

// put keeps c for later, or closes it if there are limit connections already.
func (p *pool) put(c *conn, limit int, timeout time.Duration) {
	c.idleSince = c.age()
	p.mu.Lock()
	keep := !p.closing && len(p.idle) < limit
	if keep {
		p.idle = append(p.idle, c)
		if timeout > 0 && p.sweeper == nil {
			p.sweeper = time.AfterFunc(timeout, func() { p.sweep(timeout) })
		}
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

// sweep closes what has been idle for too long and comes again when the next connection will have been.
func (p *pool) sweep(timeout time.Duration) {
	p.mu.Lock()
	n := 0
	var next time.Duration
	for n < len(p.idle) {
		if next = timeout - (p.idle[n].age() - p.idle[n].idleSince); next > 0 {
			break
		}
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	kept := copy(p.idle, p.idle[n:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	switch {
	case p.sweeper == nil: // closeAll came first
	case kept > 0:
		p.sweeper.Reset(next)
	default:
		p.sweeper = nil
	}
	p.mu.Unlock()
	closeConns(old)
}

// closeAll closes what is idle, and what comes back before the next take.
func (p *pool) closeAll() {
	p.mu.Lock()
	all := p.idle
	p.idle, p.closing = nil, true
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	p.mu.Unlock()
	closeConns(all)
}

func closeConns(all []*conn) {
	for _, c := range all {
		c.close()
	}
}
