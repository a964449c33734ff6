package caddymodule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"
)

// storm reloads this process's Caddy again and again, with good configurations and bad ones.
type storm struct {
	*front
	name    string // of the gate: another for each storm, because control and counts outlive configurations
	gated   bool   // else Caddy alone, to compare with
	backend string
	admin   string // address of Caddy's admin endpoint
	weak    string // path of a secret that is too short

	change, unrelated int // what of the configuration is different each time
	refused           int
	counted           map[string]float64 // approovgate_decisions_total when last looked at, by labels
	heap              [2]uint64          // in use after the first reloads and after all
}

func newStorm(t *testing.T, gated bool, backend string) *storm {
	t.Helper()
	s := &storm{front: &front{t: t, secret: filepath.Join(t.TempDir(), "secret")}, name: fmt.Sprintf("storm-%d", time.Now().UnixNano()), gated: gated, backend: backend,
		counted: map[string]float64{}}
	s.weak = s.secret + ".weak"
	for path, secret := range map[string][]byte{s.secret: frontKey, s.weak: []byte("TEST KEY, short")} {
		if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.admin, err = porttest.FindAt("127.0.0.1"); err != nil { // Caddy's admin endpoint only answers under the usual names
		t.Fatal(err)
	}
	s.address = porttest.Free(t)
	return s
}

// config is the configuration as it should be, of a policy whose verdicts on the crowd's errands are always the same.
func (s *storm) config(spoil func(policy tree)) tree {
	handlers := []any{
		tree{"handler": "headers", "response": tree{"set": tree{"X-Unrelated": []any{fmt.Sprint(s.unrelated)}}}},
		tree{"handler": "reverse_proxy", "upstreams": []any{tree{"dial": s.backend}},
			// A transport that is replaced keeps the connections that were in use then, until they have been idle.
			"transport": tree{"protocol": "http", "keep_alive": tree{"idle_timeout": "50ms"}}},
	}
	policy := tree{
		"name": s.name,
		"keys": []any{tree{"name": "account", "alg": "HS256", "secret": "{file." + s.secret + "}"}},
		"routes": []any{
			tree{"name": "incident", "paths": []any{"/incident/**"}},
			tree{"name": "changing", "paths": []any{fmt.Sprintf("/changing/%d", s.change)}, "mode": []string{"log", "enforce"}[s.change%2]},
		},
	}
	spoil(policy)
	if s.gated {
		handlers = append([]any{tree{"handler": "approov", "policy": policy}}, handlers...)
	} else if policy["name"] != s.name {
		handlers = append(handlers, tree{"handler": "reverse_proxy", "upstream": "no such key"})
	}
	config := quiet(s.address, tree{"handle": handlers})
	config["admin"] = tree{"listen": s.admin, "config": tree{"persist": false}}
	http := config["apps"].(tree)["http"].(tree)
	delete(http, "grace_period")
	http["servers"].(tree)["api"].(tree)["protocols"] = []any{"h1", "h2c"}
	return config
}

func good(_ tree) {}

// spoilers make a policy that Caddy must refuse. Each has a name of its own, which the gate's must not take over.
func (s *storm) spoilers() []func(policy tree) {
	secret := func(reference string) func(tree) {
		return func(policy tree) {
			policy["name"] = "spoilt"
			policy["keys"] = []any{tree{"name": "account", "alg": "HS256", "secret": reference}}
		}
	}
	return []func(tree){
		func(policy tree) { policy["name"], policy["no_such_key"] = "spoilt", true },
		secret("{file." + s.secret + ".missing}"),
		secret("{file." + s.weak + "}"),
		secret("env:TEST_NO_SUCH_VARIABLE"),
	}
}

// reload loads the next configuration: the same once more, one with another policy, one that differs elsewhere, and one
// that is refused, in turn.
func (s *storm) reload(number int) {
	s.t.Helper()
	spoil, bad := good, number%4 == 3
	switch number % 4 {
	case 1:
		s.change++
	case 2:
		s.unrelated++
	case 3:
		spoil = s.spoilers()[number/4%4]
	}
	err := load(s.config(spoil))
	if (err != nil) != bad {
		s.t.Fatalf("reload %d: got %v, want an error %t", number, err, bad)
	}
	if bad {
		s.refused++
	}
}

// count is how many decisions are counted. Nothing that was counted may get less.
func (s *storm) count() (sum float64) {
	s.t.Helper()
	active := caddy.ActiveContext()
	families, err := active.GetMetricsRegistry().Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "approovgate_decisions_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels, value := fmt.Sprint(metric.GetLabel()), metric.GetCounter().GetValue()
			if before := s.counted[labels]; value < before {
				s.t.Fatalf("counter %s: got %v after %v, want no less", labels, value, before)
			}
			s.counted[labels] = value
			if strings.Contains(labels, s.name) {
				sum += value
			}
		}
	}
	return sum
}

// blow reloads so many times under load and judges what became of the requests.
func (s *storm) blow(c *crowd, reloads int) {
	s.t.Helper()
	c.start(s.front)
	defer c.end()
	for number := range reloads {
		s.reload(number)
		c.more(s.t, 25)
		s.count()
		if number == 9 {
			s.heap[0] = heapInUse()
		}
	}
	s.heap[1] = heapInUse()
}

// calm stops Caddy, whose admin endpoint only ends when a configuration has none.
func (s *storm) calm() {
	s.t.Helper()
	if err := errors.Join(load(quiet(s.address)), caddy.Stop()); err != nil {
		s.t.Fatal(err)
	}
}

// heapInUse is what is alive, in bytes, give or take what requests under way have allocated.
func heapInUse() uint64 {
	least := uint64(1) << 62
	for range 3 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	return least
}

// gates is how many gates are in use.
func gates() (n int) {
	lives.Range(func(_, _ any) bool { n++; return true })
	return n
}

// control asks the admin endpoint for a change of the storm's gate.
func (s *storm) control(document string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPut, "http://"+s.admin+"/approov/"+s.name+"/control", strings.NewReader(document))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	if got := s.send(client, r); got.status != 200 {
		s.t.Fatalf("PUT control: got %d %s, want 200", got.status, got.body)
	}
}

// status is what a forged token gets on a path.
func (s *storm) status(path, token string) int {
	s.t.Helper()
	return s.send(s.client(1), s.request("GET", path, nil, "Approov-Token", token)).status
}

// testClock sets the clock of all gates that are made from now on, until the test ends.
func testClock(t *testing.T) *atomic.Int64 {
	ahead := new(atomic.Int64) // nanoseconds
	now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	t.Cleanup(func() { now = time.Now })
	return ahead
}

// TestReloadStorm reloads Caddy under load, first alone and then with the gate. The gate must cost no request, no
// verdict, no count, no goroutine and no memory, and what an operator has switched must stay switched.
func TestReloadStorm(t *testing.T) {
	reloads := 40
	if os.Getenv("APPROOVGATE_RELIABILITY") == "long" {
		reloads = 1000
	}
	backend := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	ahead := testClock(t)

	plain := newStorm(t, false, backend.Listener.Addr().String())
	alone := &crowd{base: plain.url(""), errands: []crowdErrand{{"/", "", 200}}}
	if err := load(plain.config(good)); err != nil {
		t.Fatal(err)
	}
	plain.blow(alone, reloads)
	alone.judge(t, "Caddy alone")
	plain.calm()
	left := goleak.IgnoreCurrent()

	s := newStorm(t, true, backend.Listener.Addr().String())
	genuine := s.token("HS256", map[string]any{"exp": time.Now().Add(100 * time.Hour).Unix()})
	forged := genuine[:strings.LastIndexByte(genuine, '.')] + ".TEST-forged-signature-of-forty-three-octets-aA"[:44]
	gated := &crowd{base: s.url(""), errands: []crowdErrand{
		{"/", genuine, 200}, {"/", forged, 401}, {"/orders/7", genuine, 200}, {"/", "", 401}, {"/incident/1", forged, 200},
	}}
	if err := load(s.config(good)); err != nil {
		t.Fatal(err)
	}
	if got := s.status("/incident/1", forged); got != 401 {
		t.Errorf("before the bypass: got %d, want 401", got)
	}
	s.control(`{"routes": {"incident": "bypass"}, "for": "1h", "reason": "TEST", "by": "test"}`)
	before := s.count()
	s.blow(gated, reloads)
	gated.judge(t, "with the gate")
	if s.refused != reloads/4 {
		t.Errorf("got %d configurations refused, want %d", s.refused, reloads/4)
	}
	if n, least, most := int64(s.count()-before), gated.answered.Load(), gated.tries.Load(); n < least || n > most {
		t.Errorf("got %d decisions counted, want as many as requests: %d answered, %d sent", n, least, most)
	}
	if n := gates(); n != 1 {
		t.Errorf("got %d gates in use after the storm, want 1", n)
	}
	for _, at := range []struct {
		after time.Duration
		want  int
	}{{59 * time.Minute, 200}, {time.Hour + time.Second, 401}} {
		ahead.Store(int64(at.after))
		if got := s.status("/incident/1", forged); got != at.want {
			t.Errorf("%v after the bypass of an hour: got %d, want %d", at.after, got, at.want)
		}
	}
	s.calm()
	backend.CloseClientConnections() // on a slow machine a transport may keep one longer than it should
	judgeRest(t, plain, s, left)
	if most := alone.again()*3/2 + 100; gated.again() > most {
		t.Errorf("got %d requests that had to be sent again, want at most %d: half as many again as with Caddy alone, and 100", gated.again(), most)
	}
}

// judgeRest demands that nothing is left of the gates, and that the heap has not grown.
func judgeRest(t *testing.T, plain, s *storm, left goleak.Option) {
	t.Helper()
	if n := gates(); n != 0 {
		t.Errorf("got %d gates in use when Caddy has stopped, want none", n)
	}
	defer func() {
		if t.Failed() {
			t.Log(goleak.Find(left))
		}
	}()
	eventually(t, "what Caddy alone leaves running, and nothing more", func() bool { return goleak.Find(left) == nil })
	for _, one := range []*storm{plain, s} {
		grown := float64(one.heap[1]) / float64(one.heap[0])
		t.Logf("heap, gate %t: %d kB after 10 reloads, %d kB at the end, %.2f times", one.gated, one.heap[0]>>10, one.heap[1]>>10, grown)
		if one.gated && grown > 1.3 {
			t.Errorf("heap: got %.2f times what it was after 10 reloads, want at most 1.3", grown)
		}
	}
}
