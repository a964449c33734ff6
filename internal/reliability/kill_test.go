//go:build linux

package reliability

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
)

// TestAKilledSidecarIsBackSoon kills the process under load and starts it again at the same addresses. What
// counts is the time from the start of the process to the first request that is let through, which the long form wants
// within a second, and that nothing is let through before that should not be.
func TestAKilledSidecarIsBackSoon(t *testing.T) {
	most := atMost(time.Second)
	backend := newAPI(t, 0, 0)
	g := gateFile{upstream: backend.url, listen: porttest.Free(t), status: porttest.Free(t)}
	file := g.write(t, t.TempDir())
	genuine, forged, url := token(t, keyA), token(t, keyB), "http://"+g.listen+"/"
	if _, err := program(); err != nil { // built before the clock runs
		t.Fatal(err)
	}
	var times []time.Duration
	for range rounds(5, 100) {
		t.Run("round", func(t *testing.T) {
			command := command(t, file)
			client := newClient(t, 8, false)
			begin := time.Now()
			s := launch(t, command)
			until(t, "a genuine request is let through", func() bool {
				a := get(client, url, genuine)
				if a.err == nil && a.status != http.StatusOK {
					t.Errorf("the first answer: got %d, want 200: whoever listens must know the keys", a.status)
				}
				s.alive(t)
				return a.err == nil
			})
			took := time.Since(begin)
			if took > most {
				t.Errorf("first good verdict after %v, want at most %v", took, most)
			}
			times = append(times, took)
			if a := refused(client, url, forged); a.status != http.StatusUnauthorized {
				t.Errorf("a forged token: got %d, %v; want 401", a.status, a.err)
			}
			var load sync.WaitGroup // ended by the kill
			for range 4 {
				load.Go(func() {
					for get(client, url, genuine).err == nil {
						continue
					}
				})
			}
			s.signal(t, killed)
			<-s.ended
			load.Wait()
		})
	}
	t.Logf("%d kills: first good verdict after %s in the median, %s at most", len(times),
		milliseconds(percentile(times, 50)), milliseconds(percentile(times, 100)))
}
