package manage

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestALimiterIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := newLimiter(1, 1)
	if _, ok := l.take("kept", now); !ok {
		t.Fatal("the first is refused")
	}
	for i := range 5 * maxBuckets {
		l.take(strconv.Itoa(i), now)
		if i%(maxBuckets/2) == 0 {
			if _, ok := l.take("kept", now); ok {
				t.Fatalf("after %d others, one that asks on is forgotten", i)
			}
		}
	}
	if n := len(l.recent) + len(l.older); n > 2*maxBuckets {
		t.Errorf("got %d buckets, want at most %d", n, 2*maxBuckets)
	}
}

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[2001:db8::1]:5": "2001:db8::/64", "[::ffff:192.0.2.1]:5": "192.0.2.1", "[fe80::1%eth0]:5": "fe80::/64", "@": "@", "": "",
	} {
		if got := connectionAddress(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}
