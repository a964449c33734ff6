//go:build linux

package reliability

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

const (
	hour = time.Hour
	year = 365 * 24 * time.Hour
	half = 30 * time.Minute

	headerTimeout = time.Second
	stepsCounted  = "approovgate_clock_steps_total"
)

// clock is that of a process, which the test sets.
type clock struct{ path string }

// set makes it differ from the machine's by so much from now on.
func (c clock) set(t *testing.T, by time.Duration) {
	t.Helper()
	if err := os.WriteFile(c.path+".next", []byte(by.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.path+".next", c.path); err != nil {
		t.Fatal(err)
	}
}

// settableCommand is the command line of a sidecar whose clock can be set.
func settableCommand(t *testing.T, file string) (*exec.Cmd, clock) {
	t.Helper()
	path, err := settable()
	if err != nil {
		t.Fatal(err)
	}
	c := clock{filepath.Join(t.TempDir(), "clock")}
	c.set(t, 0)
	command := exec.Command(path, "run", "--config", file)
	command.Env = append(os.Environ(), "APPROOVGATE_CLOCK="+c.path)
	return command, c
}

// moments are those around which keys of the ring have a window and tokens expire half an hour later.
var moments = []struct {
	name string
	at   time.Duration
}{{"a year ago", -year}, {"an hour ago", -hour}, {"now", 0}, {"in an hour", hour}, {"in a year", year}}

// timed is a request whose verdict depends on the clock alone.
type timed struct {
	errand
	from, to time.Duration // of the clock's offset: it passes from the one until the other
}

const ever = 10 * year

// timedRequests are one for each window, expiry and override.
func timedRequests(t *testing.T, begin time.Time) []timed {
	t.Helper()
	signed := func(key []byte, kid string, exp time.Duration) http.Header {
		minted, err := mint.Sign("HS256", kid, key, map[string]any{"exp": begin.Add(exp).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		return fields("Approov-Token", minted)
	}
	all := []timed{
		{errand{name: "a forged token", path: "/", header: signed(keyB, "", ever)}, ever, ever},
		{errand{name: "a token that expires in ten years", path: "/", header: signed(keyA, "", ever)}, -ever, ever},
		{errand{name: "no token, while the bypass lasts", path: "/transfers/7", header: fields()}, -ever, half},
	}
	for i, m := range moments {
		all = append(all, timed{errand{name: "a token that expired or expires half an hour after " + m.name, path: "/", header: signed(keyA, "", m.at+half)}, -ever, m.at + half},
			timed{errand{name: "a token of a key whose window is around " + m.name, path: "/", header: signed(generation(i), kid(i), ever)}, m.at - half, m.at + half})
	}
	return all
}

// kid is that of a key of the ring: without, more keys than a gate tries would have to be tried.
func kid(i int) string { return "k" + strconv.Itoa(i) }

// windows are the keys of the ring.
func windows(begin time.Time) []member {
	var all []member
	for i, m := range moments {
		all = append(all, member{name: kid(i), kid: kid(i), secret: generation(i), from: begin.Add(m.at - half), to: begin.Add(m.at + half)})
	}
	return all
}

// TestStepsOfTheClock sets the clock of a process by an hour and by a year, forth and back. Verdicts follow it: expiry,
// windows of keys, the end of a bypass. Nothing else does: requests go on, so do polls, slow clients are cut when they
// would have been; and each step is counted.
func TestStepsOfTheClock(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{hour, year} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			p, dir, backend, begin := newPlane(t), t.TempDir(), newAPI(t, 0, 0), time.Now()
			p.publish(controlPath, p.issuer.control(t, 1, bypass(begin.Add(half), "transfers")))
			p.publish(ringPath, p.issuer.ring(t, 1, windows(begin)...))
			g := gateFile{upstream: backend.url, more: []string{fmt.Sprintf("limits: {header_timeout: %v}", headerTimeout), "log: {sample: 1}"}, policy: fmt.Sprintf(
				"{name: %s, keys: [{name: account, alg: HS256, secret: file:account.secret}, {name: fleet, ring: %q}, {name: spare, alg: HS256, secret: file:spare.secret}], %s, routes: [{name: transfers, paths: [/transfers/**]}]}",
				gateName, p.url+ringPath, p.sources(t, dir, ""))}
			secret(t, filepath.Join(dir, "spare.secret"), generation(100))
			command, clock := settableCommand(t, g.write(t, dir))
			s := launch(t, command)
			s.serving(t)
			all := timedRequests(t, begin)
			load := &traffic{plain: s.listen, errands: []errand{{name: "a genuine token", path: "/", header: all[1].header, want: 200}, {name: "a forged one", path: "/", header: all[0].header, want: 401}}}
			load.begin()
			defer load.end() // a failed test must not leave it behind
			w := newWire(t, s.listen)
			load.lane("HTTP/1.1", 0, 1, 100, load.asking(0, w.run, w.close))

			c := &setting{sidecar: s, clock: clock, plane: p, dir: dir, all: all, client: newClient(t, 1, false)}
			c.wants(t, 0)
			for _, offset := range []time.Duration{by, 0, -by, 0} {
				c.step(t, offset)
			}
			load.end()
			phase := load.phase.Load()
			phase.judge(t, "while the clock was set")
			if n := s.log.count(`"msg":"the clock was set"`); n != c.steps {
				t.Errorf("got %d lines of steps, want %d", n, c.steps)
			}
			t.Logf("%d steps of %v, each counted: %d verdicts by the clock; requests meanwhile, on one connection: %s; slow clients cut after %v to %v, limit %v; %d polls in %v",
				c.steps, by, c.verdicts, phase.summary(), percentile(c.cuts, 0).Round(time.Millisecond), percentile(c.cuts, 100).Round(time.Millisecond), headerTimeout,
				p.polled(controlPath), time.Since(begin).Round(time.Second))
		})
	}
}

// setting is a gate whose clock is set.
type setting struct {
	*sidecar
	clock  clock
	plane  *plane
	dir    string
	all    []timed
	client *http.Client

	steps, verdicts int
	cuts            []time.Duration // after which slow clients were cut
}

// step sets the clock and looks at what follows it, and at what must not.
func (c *setting) step(t *testing.T, offset time.Duration) {
	t.Helper()
	cut := slowClient(t, c.listen)
	polls := c.plane.polled(controlPath)
	c.clock.set(t, offset)
	c.steps++
	until(t, "the step is counted", func() bool { return c.metric(t, stepsCounted) == float64(c.steps) })
	c.wants(t, offset)
	until(t, "polling goes on", func() bool { return c.plane.polled(controlPath) >= polls+2 }) // one may have been under way
	place := c.log.place()
	secret(t, filepath.Join(c.dir, "spare.secret"), generation(100+c.steps)) // a new snapshot, made at this time
	until(t, "the new secret is in force", func() bool { line, _ := c.log.since(place, reloaded); return line != "" })
	c.wants(t, offset)
	took := <-cut
	// It has patience's time at most: slowClient's deadline.
	if took < headerTimeout-100*time.Millisecond || took >= patience {
		t.Errorf("a slow client was cut after %v, want %v", took, headerTimeout)
	}
	c.cuts = append(c.cuts, took)
}

// wants compares the verdicts with those that the clock asks for.
func (c *setting) wants(t *testing.T, offset time.Duration) {
	t.Helper()
	for _, e := range c.all {
		c.verdicts++
		want := http.StatusUnauthorized
		if offset >= e.from && offset < e.to {
			want = http.StatusOK
		}
		if status, err := e.run(c.client, "http://"+c.listen); status != want {
			t.Errorf("the clock is set by %v: %s: got %d, %v; want %d", offset, e.name, status, err, want)
		}
	}
}

// slowClient sends half a header, and tells after how long it was cut.
func slowClient(t *testing.T, address string) <-chan time.Duration {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	begin, cut := time.Now(), make(chan time.Duration, 1)
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: api.test\r\nX-Half")); err != nil {
		t.Fatal(err)
	}
	go func() { // ended by the gate, or by the deadline
		defer func() { _ = conn.Close() }() // nothing is wanted of it
		_ = conn.SetReadDeadline(begin.Add(patience))
		_, _ = io.Copy(io.Discard, conn) // until it is cut
		cut <- time.Since(begin)
	}()
	return cut
}

// TestAStepOfTheClockDoesNotHurryOrHoldADrain sets the clock while the process drains. Requests in flight finish, and it
// ends when it would have.
func TestAStepOfTheClockDoesNotHurryOrHoldADrain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards exits
	var exits []time.Duration
	t.Run("steps", func(t *testing.T) { // returns when those inside have
		for _, by := range []time.Duration{hour, -hour, year, -year} {
			t.Run(by.String(), func(t *testing.T) {
				t.Parallel()
				backend := newAPI(t, time.Second, 0) // a request takes two
				file := gateFile{upstream: backend.url, more: []string{fmt.Sprintf("limits: {drain_delay: %v, grace: %v}", drainDelay, drainGrace)}}.write(t, t.TempDir())
				command, clock := settableCommand(t, file)
				s := launch(t, command)
				s.serving(t)
				genuine, client, done := token(t, keyA), newClient(t, 1, false), make(chan answer, 1)
				go func() { done <- get(client, "http://"+s.listen+"/", genuine) }() // ended by its answer
				until(t, "a request is in flight", func() bool { return backend.inside.Load() == 1 })
				s.signal(t, terminated)
				begin := time.Now()
				until(t, "/ready says 503", func() bool { return s.probe("/ready") == "503 draining" })
				clock.set(t, by)
				if a := <-done; a.err != nil || a.status != http.StatusOK {
					t.Errorf("the request in flight: got %d, %v; want 200", a.status, a.err)
				}
				if code := s.exitCode(t, drainDelay+drainGrace+patience); code != 0 {
					t.Errorf("got exit status %d, want 0", code)
				}
				took := time.Since(begin)
				if took < drainDelay || took > drainDelay+drainGrace {
					t.Errorf("ended after %v, want at least %v, the delay, and less than that and the grace", took, drainDelay)
				}
				mu.Lock()
				defer mu.Unlock()
				exits = append(exits, took)
			})
		}
	})
	t.Logf("%d drains with a step of the clock in them: ended after %v to %v", len(exits), percentile(exits, 0).Round(time.Millisecond), percentile(exits, 100).Round(time.Millisecond))
}
