package sdk

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresInARowAreFollowedByPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.service.config.Network.Retries = 0
		w.host.set(refuses)
		c := w.start(nil)
		for range 6000 { // ten minutes of an app that tries ten times a second
			expect(t, c, NoApproovService)
			time.Sleep(100 * time.Millisecond)
		}
		if got := w.host.dials; got < 70 || got > 130 {
			t.Errorf("got %d connections in ten minutes, want one every six to eight seconds", got)
		}
		w.host.set(nil)
		time.Sleep(longestPause)
		fetch(t, c, "api.example.com")
	})
}

func TestTheServiceMayAskForAPause(t *testing.T) {
	for _, row := range []struct {
		name, retryAfter string
		least, most      time.Duration
	}{
		{"of 20 seconds", "20", 20 * time.Second, 20 * time.Second},
		{"of a day, which is too long", "86400", time.Minute, time.Minute},
		{"until a date, which the app's clock may have wrong", "Sat, 01 Jan 2000 00:10:00 GMT", time.Second, time.Second},
		{"of a number too large", strings.Repeat("9", 100), time.Minute, time.Minute},
		{"of none", "0", time.Second, time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.service.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if n == 1 {
						status(503, "Retry-After", row.retryAfter)(w, r)
					}
					return n == 1
				}
				c := w.start(nil)
				expect(t, c, PoorNetwork)
				time.Sleep(row.least - time.Millisecond)
				expect(t, c, PoorNetwork)
				if got := w.service.paths(); got != "challenge" {
					t.Errorf("got %s, want the service left alone", got)
				}
				time.Sleep(row.most - row.least + 2*time.Millisecond)
				fetch(t, c, "api.example.com")
			})
		})
	}
}
