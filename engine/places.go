package engine

import "sync"

// Bounds of places: some megabytes.
const (
	mostPlaces = 4096
	maxPlace   = 1024 // bytes of method, host and target
)

// places remembers where requests go, for an interpreted engine, to which looking that up is fifty times cheaper than
// finding it. nil remembers nothing.
type places struct {
	mu    sync.Mutex // guards the field below
	known map[string]place
}

// place is where a request goes, and whether that can be said.
func (e *Engine) place(req *Request) (place, bool) {
	if e.places == nil {
		return e.locate(req)
	}
	return e.places.find(e, req)
}

func newPlaces() *places { return &places{known: map[string]place{}} }

// find is Engine.place with a memory.
func (p *places) find(e *Engine, req *Request) (place, bool) {
	key := req.Method + "\n" + req.Host + "\n" + req.Target
	p.mu.Lock()
	where, ok := p.known[key]
	p.mu.Unlock()
	if ok && (!e.routes.byMethod || len(overrides(req.Header)) == 0) {
		return where, true
	}
	if where, ok = e.locate(req); ok {
		p.keep(e, req, key, where)
	}
	return where, ok
}

// keep remembers where a request goes, if that follows from the key alone.
func (p *places) keep(e *Engine, req *Request, key string, where place) {
	if len(key) > maxPlace || e.routes.byMethod && len(overrides(req.Header)) > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= mostPlaces {
		p.known = map[string]place{}
	}
	p.known[key] = where
}
