package gate_test

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// everydayCache is the least there is.
type everydayCache map[string]any

func (c everydayCache) Get(key string) (any, bool) { value, ok := c[key]; return value, ok }
func (c everydayCache) Add(key string, value any)  { c[key] = value }

// An interpreted gate looks everyday headers up. What it strips must be the same, also where a policy gives such a
// header a meaning of its own.
func TestAnInterpretedGateStripsWhatOthersDo(t *testing.T) {
	for name, policy := range map[string]tree{
		"plain":                  {},
		"token in Authorization": {"token": tree{"header": "Authorization", "scheme": "Bearer", "forward": "never"}},
		"device in X-Request-Id": {"upstream_headers": tree{"device": "X-Request-Id"}},
		"bound to an alias":      {"binding": tree{"from": "header:X_Real-Ip"}},
	} {
		policy["routes"] = []any{tree{"name": "pay", "paths": "/pay", "check": "none"}}
		kept := map[bool]http.Header{}
		for _, interpreted := range []bool{false, true} {
			o := newDesk(policy).options()
			if interpreted {
				o.CacheAll = true
				o.NewCache = func() engine.Cache { return everydayCache{} }
			}
			g, problems := gate.New(o)
			if g == nil {
				t.Fatal(problems)
			}
			r := incoming("GET", "/pay")
			for _, header := range []string{"Accept", "Authorization", "User-Agent", "X-Request-Id", "X-Request_id", "X-Real-Ip", "X-Forwarded-For", "X-Approov-Verdict",
				"X_approov-Verdict", "Approov_token", "X-Original-Url", "Cookie"} {
				r.Header[header] = []string{"x"}
			}
			a := g.Ask(r)
			a.Apply(r)
			kept[interpreted] = r.Header
		}
		if !reflect.DeepEqual(kept[true], kept[false]) {
			t.Errorf("%s: got %v kept, want %v", name, kept[true], kept[false])
		}
	}
}
