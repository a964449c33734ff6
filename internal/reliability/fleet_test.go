//go:build linux

package reliability

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// reach notes when each gate of a fleet has heard of a version.
type reach struct {
	mu      sync.Mutex // guards the fields below
	heard   map[int64][]time.Time
	problem string // of a document or source
}

func (r *reach) note(e gate.Event) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case gate.ControlSet, gate.ControlCleared:
		r.heard[e.Control.Version] = append(r.heard[e.Control.Version], now)
	case gate.ControlRefused, gate.SourceFailing:
		r.problem = e.Text
	}
}

// of are the times at which a version was heard of.
func (r *reach) of(version int) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Time(nil), r.heard[int64(version)]...)
}

// member runs one gate of a fleet until ctx ends.
func (r *reach) member(ctx context.Context, t *testing.T, policy config.Policy, all *sync.WaitGroup) {
	t.Helper()
	g, problems := gate.New(gate.Options{Load: func() (config.Policy, []config.Problem) { return policy, nil }, Notify: r.note})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	k := &host.Keeper{Gate: g, Refresh: func(context.Context, bool) { g.Refresh() }}
	all.Go(func() { k.Run(ctx) })
}

// TestABypassReachesAFleet has many gates, each with its own connection, ask one server as often as they do by default,
// and publishes bypasses. All must have each in ten seconds.
func TestABypassReachesAFleet(t *testing.T) {
	size, interval, most := rounds(50, 1000), time.Duration(rounds(1, 5))*time.Second, 10*time.Second
	server := launchDocuments(t)
	signer, dir := newIssuer(t), t.TempDir()
	version := 1
	server.put(t, controlPath, signer.control(t, version, nil))
	secret(t, filepath.Join(dir, "account.secret"), keyA)
	policy, problems := config.Decode(map[string]any{
		"name": gateName, "keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "file:" + filepath.Join(dir, "account.secret")}},
		"control": map[string]any{"url": server.url + controlPath, "ca": filepath.Join(dir, server.authority.write(t, dir)),
			"keys": []any{"file:" + filepath.Join(dir, signer.write(t, dir))}, "interval": interval.String()},
	})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	r := &reach{heard: map[int64][]time.Time{}}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup // ended by cancel
	defer all.Wait()
	defer cancel()
	for range size {
		r.member(ctx, t, policy, &all)
	}
	until(t, "every gate has the first document", func() bool { return len(r.of(version)) == size })

	before := server.usage(t)
	<-time.After(time.Duration(rounds(3, 30)) * time.Second) // nothing is new
	idle := server.usage(t).less(before)

	before = server.usage(t)
	var delays []time.Duration
	for i := range rounds(2, 12) {
		version++
		<-time.After(interval * time.Duration(i*5%12) / 12) // not always when all have just asked
		published := time.Now()
		server.put(t, controlPath, signer.control(t, version, bypass(published.Add(time.Hour))))
		until(t, fmt.Sprintf("every gate has version %d", version), func() bool { return len(r.of(version)) == size })
		for _, at := range r.of(version) {
			delays = append(delays, at.Sub(published))
		}
	}
	used := server.usage(t).less(before)
	if r.problem != "" {
		t.Errorf("a gate reports %q, want no trouble", r.problem)
	}
	if worst := percentile(delays, 100); worst > most {
		t.Errorf("a bypass has reached all gates after %v, want at most %v", worst, most)
	}
	t.Logf("%d gates that ask every %v: %d bypasses reached half of them within %s, 99 of 100 within %s, all within %s", size, interval, version-1,
		milliseconds(percentile(delays, 50)), milliseconds(percentile(delays, 99)), milliseconds(percentile(delays, 100)))
	t.Logf("the server: %s; while bypasses were published: %s", idle, used)
}

// usage is what a server has done, and what that has cost.
type usage struct {
	CPU       time.Duration // user and system
	Polls     int64
	Unchanged int64 // of these
}

func (u usage) less(before usage) usage {
	return usage{u.CPU - before.CPU, u.Polls - before.Polls, u.Unchanged - before.Unchanged}
}

func (u usage) String() string {
	return fmt.Sprintf("%d polls, %.1f %% of them answered 304, %v of CPU for each", u.Polls, 100*float64(u.Unchanged)/float64(u.Polls),
		(u.CPU / time.Duration(u.Polls)).Round(time.Microsecond))
}

// documentServer is a process that serves documents.
type documentServer struct {
	url       string
	authority *authority
	client    *http.Client
}

func (s *documentServer) usage(t *testing.T) usage {
	t.Helper()
	a := get(s.client, s.url+usagePath, "")
	var u usage
	if err := json.Unmarshal([]byte(a.body), &u); err != nil {
		t.Fatalf("%d %s: %v, %v", a.status, a.body, a.err, err)
	}
	return u
}
