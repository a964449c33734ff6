//go:build linux

package reliability

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// keyC is in the ring that the plane of these tests publishes, keyD was and its window is over.
var (
	keyC = generation(900001)
	keyD = generation(900002)
)

// The versions that are published before a source fails.
const (
	controlVersion = 5
	ringVersion    = 3
)

// healthyDocuments are those that a good run has.
func healthyDocuments(t *testing.T, p *plane) {
	t.Helper()
	now := time.Now()
	p.publish(controlPath, p.issuer.control(t, controlVersion, bypass(now.Add(time.Hour), "transfers")))
	p.publish(ringPath, p.issuer.ring(t, ringVersion, member{name: "c", secret: keyC}, member{name: "d", secret: keyD, to: now.Add(-time.Second)}))
}

// noDocuments say nothing that changes a verdict.
func noDocuments(t *testing.T, p *plane) {
	t.Helper()
	p.publish(controlPath, p.issuer.control(t, 1, nil))
	p.publish(ringPath, p.issuer.ring(t, 1, member{name: "x", secret: generation(900003), to: time.Now().Add(-time.Second)}))
}

// sourcesPolicy is one of a gate that has an account of its own, unless it is not to have one, and a fleet's ring.
func sourcesPolicy(t *testing.T, p *plane, dir string, account bool) string {
	t.Helper()
	own := ""
	if account {
		own = "{name: account, alg: HS256, secret: file:account.secret}, "
	}
	secret(t, filepath.Join(dir, "seal.secret"), generation(900004))
	if err := os.MkdirAll(filepath.Join(dir, "kept"), 0o700); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{name: %s, keys: [%s{name: fleet, ring: %q}], %s, routes: [{name: transfers, paths: [/transfers/**]}, {name: pinned, paths: [/pinned], keys: [fleet]}, {name: health, paths: [/health], check: none}]}",
		gateName, own, p.url+ringPath, p.sources(t, dir, ", cache: kept, seal: file:seal.secret"))
}

// startFrom runs a gate with such a policy in a folder.
func (p *plane) start(t *testing.T, api *api, dir string, account bool) *sidecar {
	t.Helper()
	return start(t, gateFile{upstream: api.url, policy: sourcesPolicy(t, p, dir, account), more: []string{"log: {sample: 1}"}}.write(t, dir))
}

// fixed is the mixture of requests whose verdicts are compared.
func fixed(t *testing.T) []errand {
	t.Helper()
	var all []errand
	header := map[string]http.Header{"no token": fields()}
	for name, key := range map[string][]byte{"the account's token": keyA, "a forged token": keyB, "a token of the ring": keyC, "a token of a key of the ring whose window is over": keyD} {
		header[name] = fields("Approov-Token", token(t, key))
	}
	for _, name := range []string{"no token", "the account's token", "a forged token", "a token of the ring", "a token of a key of the ring whose window is over"} {
		for _, path := range []string{"/", "/transfers/7", "/pinned", "/health"} {
			all = append(all, errand{name: name + " for " + path, path: path, header: header[name]})
		}
	}
	return all
}

// heard is what became of a request: the status, and what the API was told.
func heard(client *http.Client, base string, e errand) string {
	request, err := http.NewRequest(http.MethodGet, base+e.path, nil)
	if err != nil {
		return err.Error()
	}
	for name, values := range e.header {
		request.Header[name] = values
	}
	a := send(client, request)
	if a.err != nil {
		return a.err.Error()
	}
	words := []string{strconv.Itoa(a.status)}
	for _, name := range verdictHeaders {
		words = append(words, a.header.Get(heardPrefix+name))
	}
	return strings.Join(words, " ")
}

// pass sends all requests once. What it returns is comparable to another pass.
func pass(client *http.Client, s *sidecar, all []errand) []string {
	stream := make([]string, 0, len(all))
	for _, e := range all {
		stream = append(stream, heard(client, "http://"+s.listen, e))
	}
	return stream
}

// decisions are the gate's own count of its decisions, by their labels.
func (s *sidecar) decisions(t *testing.T) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for line := range strings.Lines(get(http.DefaultClient, "http://"+s.status+"/metrics", "").body) {
		if labels, ok := strings.CutPrefix(line, "approovgate_decisions_total"); ok {
			name, value, _ := strings.Cut(strings.TrimSpace(labels), "} ")
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			counts[name] = n
		}
	}
	return counts
}

// perPass is what was counted after an earlier look, for one of so many passes.
func perPass(before, after map[string]float64, passes int) map[string]float64 {
	counts := map[string]float64{}
	for name, n := range after {
		if n -= before[name]; n != 0 {
			counts[name] = n / float64(passes)
		}
	}
	return counts
}

// The states in which a gate may be when its sources begin to fail.
const (
	running = "running"                               // it has the documents
	kept    = "started with what an earlier run kept" // the documents, on its disk
	bare    = "started with nothing kept"             // it never had them
	keyless = "started with nothing kept and no keys of its own"
)

// subject is a gate whose verdicts are compared.
type subject struct {
	*sidecar
	state  string
	want   []string           // each pass
	counts map[string]float64 // of each pass
	client *http.Client
	before map[string]float64 // counted before the first pass
	passes int
}

// expected are the verdicts of healthy runs: one with the documents, one whose documents say nothing.
type expected struct {
	informed, bare             []string
	informedCounts, bareCounts map[string]float64
}

// healthyRuns finds out what is expected.
func healthyRuns(t *testing.T, api *api, all []errand) expected {
	t.Helper()
	var e expected
	for _, run := range []struct {
		documents func(*testing.T, *plane)
		stream    *[]string
		counts    *map[string]float64
	}{{healthyDocuments, &e.informed, &e.informedCounts}, {noDocuments, &e.bare, &e.bareCounts}} {
		p := newPlane(t)
		run.documents(t, p)
		s := p.start(t, api, t.TempDir(), true)
		client := newClient(t, 1, false)
		until(t, "both sources have answered", func() bool {
			return s.fetches(t, "success", "control.url") > 0 && s.fetches(t, "success", "keys[1].ring") > 0
		})
		before := s.decisions(t)
		*run.stream = pass(client, s, all)
		*run.counts = perPass(before, s.decisions(t), 1)
	}
	return e
}

// fetches are how often a source was asked, with such a result.
func (s *sidecar) fetches(t *testing.T, result, source string) float64 {
	t.Helper()
	return s.metric(t, fmt.Sprintf("approovgate_source_fetches_total{result=%q,source=%q}", result, source))
}

// TestFailingSourcesChangeNoVerdict compares verdicts with those of a healthy run, in each state of a gate and for each
// way in which its sources can fail, for as long as they fail.
func TestFailingSourcesChangeNoVerdict(t *testing.T) {
	t.Parallel()
	backend, all := newAPI(t, 0, 0), fixed(t)
	want := healthyRuns(t, backend, all)
	for i, e := range all { // the comparison shows nothing if all of this is the same
		t.Logf("healthy: %-66s %-16s; with nothing published: %s", e.name, want.informed[i], want.bare[i])
	}
	var gates, requests, failures, written atomic.Int64
	t.Run("ways", func(t *testing.T) { // returns when those inside have
		for _, way := range ills() {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				p := newPlane(t)
				subjects := misled(t, p, way, backend, want)
				requests.Add(int64(compare(t, way, subjects, all)))
				gates.Add(int64(len(subjects)))
				for _, s := range subjects {
					failures.Add(int64(s.fetches(t, "failure", "control.url") + s.fetches(t, "failure", s.ring())))
				}
				if n := p.written.Load(); n > 0 {
					written.Store(n / int64(p.polled(controlPath)+p.polled(ringPath)))
				}
			})
		}
	})
	t.Logf("%d ways to fail, %d gates: %d requests got the verdicts of a healthy run, while %d attempts to fetch failed; of 10 GB, %d KB were written for each request",
		len(ills()), gates.Load(), requests.Load(), failures.Load(), written.Load()>>10)
}

// misled starts a gate, has its sources fail, and then starts others in each of the other states.
func misled(t *testing.T, p *plane, way ill, api *api, want expected) []*subject {
	t.Helper()
	healthyDocuments(t, p)
	first := t.TempDir()
	subjects := []*subject{{state: running, want: want.informed, counts: want.informedCounts, sidecar: p.start(t, api, first, true)}}
	until(t, "both documents are kept", func() bool { return len(keptIn(t, first)) == 2 })
	if way.publish != nil {
		way.publish(t, p)
	}
	p.fail(way.fault)
	subjects = append(subjects, &subject{state: kept, want: want.informed, counts: want.informedCounts})
	if !way.known {
		subjects = append(subjects, &subject{state: bare, want: want.bare, counts: want.bareCounts}, &subject{state: keyless})
	}
	for _, s := range subjects[1:] {
		dir := t.TempDir()
		file := gateFile{upstream: api.url, policy: sourcesPolicy(t, p, dir, s.state != keyless), more: []string{"log: {sample: 1}"}}.write(t, dir)
		if s.state == kept {
			copyKept(t, first, dir)
		}
		s.sidecar = launch(t, command(t, file))
	}
	for _, s := range subjects[1:] {
		s.serving(t) // after a moment, in which it waits for its sources
	}
	return subjects
}

// keptIn are the documents that a gate keeps in a folder.
func keptIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "kept", "approovgate-*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func copyKept(t *testing.T, from, to string) {
	t.Helper()
	for _, path := range keptIn(t, from) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, filepath.Join(to, "kept"), filepath.Base(path), string(text))
	}
}

// compare sends the mixture again and again, until each source has failed so many times. It returns how many requests
// that were.
func compare(t *testing.T, way ill, subjects []*subject, all []errand) (requests int) {
	t.Helper()
	for _, s := range subjects {
		s.client, s.before = newClient(t, 1, false), s.decisions(t)
	}
	failures, least := float64(rounds(1, 4)), time.Now().Add(time.Duration(rounds(1, 20))*time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(3 * patience)
	for done := false; !done; {
		done = time.Now().After(least)
		for _, s := range subjects {
			s.judge(t, all)
			done = done && s.failing(t, way, failures)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got fewer than %v failures of each source", failures)
		}
	}
	for _, s := range subjects {
		if s.state != keyless && fmt.Sprint(perPass(s.before, s.decisions(t), s.passes)) != fmt.Sprint(s.counts) {
			t.Errorf("%s: got these decisions for each pass, by the gate's own count:\n%v\nwant\n%v", s.state, perPass(s.before, s.decisions(t), s.passes), s.counts)
		}
		if memory := s.resident(t); memory > 96<<20 {
			t.Errorf("%s: got %d MiB of memory, want at most 96", s.state, memory>>20)
		}
		requests += s.passes * len(all)
	}
	return requests
}

// judge sends the mixture once.
func (s *subject) judge(t *testing.T, all []errand) {
	t.Helper()
	s.passes++
	got := pass(s.client, s.sidecar, all)
	want := s.want
	if s.state == keyless {
		want = refusals(all)
		if probe := s.probe("/ready"); probe != noKey {
			t.Errorf("%s: /ready: got %q, want %q", s.state, probe, noKey)
		}
	} else if probe := s.probe("/ready"); probe != isReady {
		t.Errorf("%s: /ready: got %q, want %q", s.state, probe, isReady)
	}
	for i, e := range all {
		if got[i] != want[i] {
			t.Fatalf("%s, pass %d: %s: got %q, want %q", s.state, s.passes, e.name, got[i], want[i])
		}
	}
}

// refusals are the verdicts of a gate without a key: only what is exempt passes.
func refusals(all []errand) []string {
	var want []string
	for _, e := range all {
		if e.path == "/health" {
			want = append(want, "200 none exempt")
		} else {
			want = append(want, "401  ")
		}
	}
	return want
}

// ring is the field of the gate's policy that names its ring.
func (s *subject) ring() string {
	if s.state == keyless {
		return "keys[0].ring"
	}
	return "keys[1].ring"
}

// failing reports whether both sources have failed so often, and demands that it shows.
func (s *subject) failing(t *testing.T, way ill, failures float64) bool {
	t.Helper()
	done := true
	for _, source := range []string{"control.url", s.ring()} {
		if source == "control.url" && way.accepts && (s.state == bare || s.state == keyless) {
			continue
		}
		failed := s.fetches(t, "failure", source)
		done = done && failed >= failures
		if failed > 0 && s.metric(t, fmt.Sprintf("approovgate_source_up{source=%q}", source)) != 0 {
			t.Errorf("%s: %s has failed, and approovgate_source_up is not 0", s.state, source)
		}
	}
	return done
}
