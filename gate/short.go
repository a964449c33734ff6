package gate

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
)

// Shortcut is the short way for hosts that are interpreted (Options.CacheAll): a handler that does with a request what
// Ask, and Apply or Refuse, would, if it agrees in all that a decision depends on with one that came before, and hands
// those that it forwards to next. All others it hands to long, which is to Ask, and then nothing has happened. That is
// so at least once a second, so that a host may look after what is due when it calls Ask.
//
// An interpreter makes room for every expression of a function when it is called, whether it comes to it or not, and
// takes longer to call a method than a function, and a function than something compiled. Hence functions that have
// compiled ones do the work, say nothing twice, and leave what is rare to others.
func (g *Gate) Shortcut(next, long http.Handler) http.Handler {
	if !g.o.CacheAll {
		return long
	}
	return &shortcut{front: &g.front, next: next, long: long}
}

type shortcut struct {
	front      *atomic.Value // *front
	next, long http.Handler
}

// front is what of a memo the short way needs first, for one second.
type front struct {
	second int64 // Unix time, in which Ask has been called; 0: it has not
	now    func() time.Time
	token  string    // name of the header field
	spots  *sync.Map // *spot
	known  *sync.Map // *passed
}

// ServeHTTP forwards requests that are known to be genuine.
func (c *shortcut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := c.front.Load().(*front)
	if found, ok := f.spots.Load(r.Method + "\n" + r.Host + "\n" + r.RequestURI); ok {
		now := f.now().Unix()
		if now == f.second {
			at := found.(*spot)
			values := r.Header[f.token]
			if len(values) == 1 {
				var matter strings.Builder
				r.Header.WriteSubset(&matter, at.harmless) // a Builder takes everything
				if found, ok = f.known.Load(at.key + values[0] + "\n" + matter.String()); ok {
					if pass(found.(*passed), r, now) {
						c.next.ServeHTTP(w, r)
						return
					}
				}
			}
			if turnAway(at, w, r, now) {
				return
			}
		}
	}
	c.long.ServeHTTP(w, r)
}

// pass makes a request that is known to be genuine what Apply would. If it reports false, nothing has happened.
func pass(p *passed, r *http.Request, now int64) bool {
	if now >= p.until || r.Trailer != nil || r.URL.String() != r.RequestURI || r.Header[p.token][0] != p.compact {
		return false
	}
	atomic.AddInt64(p.n, 1)
	if !p.keeps {
		delete(r.Header, p.token)
	}
	for _, one := range p.added {
		r.Header[one.name] = []string{one.value}
	}
	return true
}

// turnAway refuses a request that is known to be refused, or whose token is forged. If it reports false, nothing has
// happened.
func turnAway(at *spot, w http.ResponseWriter, r *http.Request, now int64) bool {
	all := at.refusals
	if all == nil || now >= at.until {
		return false
	}
	no := all.missing
	if values := r.Header[all.token]; len(values) > 0 {
		if len(values) > 1 {
			return false
		}
		if no = wrong(all, values[0], now); no == nil {
			return false
		}
	}
	if atomic.LoadInt64(no.quiet) != now || !all.simple && mayBeAnother(all, r) {
		return false
	}
	atomic.AddInt64(no.skipped, 1)
	atomic.AddInt64(no.n, 1)
	header := w.Header()
	values := append([]string(nil), no.values...)
	for i := range values {
		header[no.names[i]] = values[i : i+1 : i+1]
	}
	w.WriteHeader(no.status)
	if no.body != "" {
		_, _ = io.WriteString(w, no.body) // a client that has gone needs no answer
	}
	return true
}

// wrong is how requests with this token are refused; nil: they may not be.
func wrong(all *refusals, compact string, now int64) *refusal {
	parts := strings.SplitN(compact, ".", 4)
	if len(parts) != 3 || len(compact) > all.maxBytes {
		return nil
	}
	if trial := all.trials[parts[0]]; trial != nil && jose.Forged(trial, compact[:len(compact)-len(parts[2])-1], parts[2]) {
		return all.forged
	}
	if found, ok := all.expired.Load(all.key + compact); ok {
		if no := found.(*refusal); now < no.until {
			return no
		}
	}
	return nil
}

// mayBeAnother reports whether a request may be of another kind than its method says: a gRPC call, or one that asks to
// be taken for one of another method.
func mayBeAnother(all *refusals, r *http.Request) bool {
	return all.calls && grpcType(r) != "" || all.byMethod && engine.AsksMethod(r.Header)
}
