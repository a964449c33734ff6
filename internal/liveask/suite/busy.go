package suite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	callers = 16
	patient = 60 * time.Second // for what takes moments
)

// wait waits until something is so.
func (p *player) wait(what string, so func() bool) {
	p.Helper()
	deadline := time.After(patient)
	for !so() {
		select {
		case <-deadline:
			p.Fatalf("%s: got it not in %v", what, patient)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tries is how often the gate has finished asking its only source.
func (p *player) tries() int {
	p.Helper()
	sources, _ := p.statusQuietly("sources").([]any)
	if len(sources) != 1 {
		p.Fatalf("got sources %v, want one", sources)
	}
	return int(sources[0].(tree)["tries"].(float64))
}

// onUse has requests alone see to the sources, as in a plugin: callers in goroutines of their own, and no goroutine
// of the gate's that would outlive its poll.
func onUse(p *player) {
	p.server.set("/control", serves(p.override(1, "log", time.Hour), `"1"`))
	p.open("edge", p.policy(tree{"control": p.control(nil)}))
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := p.driver.Handler(p.story+p.gate, next)
	if h == nil {
		p.Fatal("got no handler")
	}
	genuine, forged := p.token("account", "", "device", time.Hour), p.token("nobody", "", "device", time.Hour)
	serve := func(target, token string) int {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Approov-Token", token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	serve("/pay", forged) // does not wait for the poll, but may be slower than it
	p.wait("the first request's poll takes log into force", func() bool { return serve("/pay", forged) == http.StatusNoContent })
	p.server.set("/control", answers(http.StatusOK, p.document(tree{"version": 2})))
	p.run(tree{"do": "pass", "elapsed": long.Milliseconds()})
	p.wait("a request's poll resumes", func() bool { return serve("/pay", forged) == http.StatusUnauthorized })

	tries, asked := p.tries(), p.server.count("/control")
	before := runtime.NumGoroutine()
	const rounds, requests = 20, 10
	for round := range rounds {
		p.send(tree{"do": "pass", "elapsed": long.Milliseconds()})
		p.together(func(i int) string {
			token, want := genuine, http.StatusNoContent
			if i%2 == 1 {
				token, want = forged, http.StatusUnauthorized
			}
			if got := serve("/pay", token); got != want {
				return fmt.Sprintf("token %d: got %d, want %d", i%2, got, want)
			}
			return ""
		}, requests)
		p.wait("the round's poll", func() bool { return p.tries() > tries+round })
	}
	if got := p.server.count("/control"); got != asked+rounds {
		p.Errorf("got %d requests for the document, want one in each of %d rounds", got-asked, rounds)
	}
	p.wait("no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before })
	p.run(tree{"do": "counters"})
	p.script[len(p.script)-1] = fmt.Sprint("rounds: ", rounds) // how often log was met depends on the moment
}

// together does something so many times in each of the callers. It returns what was wrong, or nothing.
func (p *player) together(do func(i int) string, times int) {
	p.Helper()
	var all sync.WaitGroup
	wrong := make(chan string, callers)
	for range callers {
		all.Go(func() {
			for i := range times {
				if text := do(i); text != "" {
					wrong <- text
					return
				}
			}
		})
	}
	all.Wait()
	close(wrong)
	for text := range wrong {
		p.Error(text)
	}
}

// atOnce does everything at once. Whatever the moment, a genuine request passes, a forged one is never taken for
// genuine, and no request is lost from the counts.
func atOnce(p *player) {
	const changes, asks = 30, 40
	p.server.set("/ring", serves(p.ring(1, member("ring", 0, 0)), `"1"`))
	policy := p.kept("seal")
	policy["control"].(tree)["file"] = p.path("control.json")
	p.open("edge", policy)
	p.poll(0)
	genuine, fetched, forged := p.token("account", "", "device", time.Hour), p.token("ring", "", "device", time.Hour), p.token("nobody", "", "device", time.Hour)
	var changing sync.WaitGroup
	changing.Go(func() {
		modes := []string{"bypass", "log", "enforce"}
		for i := range changes {
			p.server.set("/control", serves(p.override(i+1, modes[i%3], time.Hour), fmt.Sprintf(`"%d"`, i)))
			p.server.set("/ring", serves(p.ring(i+1, member("ring", 0, 0), member(fmt.Sprint("other", i), 0, 0)), fmt.Sprintf(`"%d"`, i)))
			p.send(tree{"do": "pass", "elapsed": long.Milliseconds()})
			p.send(tree{"do": "poll"})
			p.send(tree{"do": "status"})
		}
	})
	changing.Go(func() {
		for i := range changes {
			other := p.named(policy, "edge")
			other["deny_annotations"] = []any{fmt.Sprint("annotation", i%3)}
			if i%5 == 4 {
				other["unknown"] = true
			}
			p.send(tree{"do": "policy", "policy": other})
			p.send(tree{"do": "refresh"})
			p.send(tree{"do": "set control", "slot": 0, "control": tree{"version": i + 1, "routes": tree{"feed": "bypass"}, "until": until(time.Hour)}})
			p.send(tree{"do": "set control", "slot": 0, "control": tree{"version": 1000 + i}})
			p.send(tree{"do": "counters"})
		}
	})
	p.together(func(i int) string {
		token := []string{genuine, fetched, forged}[i%3]
		answer := p.send(tree{"do": "ask", "request": request("/pay", token)})
		if token == forged && strings.Contains(answer, `"verdict":"pass"`) || token != forged && !strings.Contains(answer, `"action":"forward"`) {
			return fmt.Sprintf("token %d: got %s", i%3, answer)
		}
		return ""
	}, asks)
	changing.Wait()
	p.reason("after all", fetched, "ok")
	var counted struct{ Decisions []string }
	if err := json.Unmarshal([]byte(p.send(tree{"do": "counters"})), &counted); err != nil {
		p.Fatal(err)
	}
	total := 0
	for _, line := range counted.Decisions {
		n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
		if err != nil {
			p.Fatal(err)
		}
		total += n
	}
	if want := callers*asks + 1; total != want {
		p.Errorf("got %d decisions counted, want %d", total, want)
	}
	p.script = append(p.script, fmt.Sprint("decisions: ", total))
}
