package engine

import (
	"math"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

// Trials are what tells forged tokens from others on a route, empty: its default, for an interpreted gate that refuses
// them without a Check. strict: every fail is rejected there, whoever sends it. The trials may be used for requests
// that match the route, are no preflights, and have one token header of max_bytes at most, before until, in Unix seconds.
func (e *Engine) Trials(route string) (trials map[string]*jose.Trial, until int64, strict bool) {
	for i := range e.rules {
		r := &e.rules[i]
		if r.name != route {
			continue
		}
		if r.exempt || e.modes[i] != config.Enforce || e.rollouts[i] < 100 {
			break
		}
		if e.scheme != "" {
			return nil, math.MaxInt64, true
		}
		trials, until = r.ring.Trials(e.now().Unix(), r.accept)
		return trials, until, true
	}
	return nil, math.MaxInt64, false
}

// AsksMethod reports whether a request asks to be taken for one of another method.
func AsksMethod(header map[string][]string) bool { return len(overrides(header)) > 0 }
