package manage

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
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

// One account takes half of the places for looks at most, so that the others can still add domains.
func TestPlacesForLooks(t *testing.T) {
	l := looks{under: map[looker]int{}}
	for _, row := range []struct {
		account, token string
		want           string // code of the refusal; empty: there is a place
	}{
		{"a", "1", ""}, {"a", "1", ""}, {"a", "1", attestapi.CodeRateLimited},
		{"a", "2", ""}, {"a", "2", ""}, {"a", "3", attestapi.CodeRateLimited},
		{"b", "1", ""}, {"b", "1", ""}, {"c", "1", ""}, {"c", "1", ""}, {"d", "1", attestapi.CodeUnavailable},
	} {
		got := ""
		if p := l.begin(row.account, row.token); p != nil {
			got = p.Code
		}
		if got != row.want {
			t.Errorf("a look of account %s under token %s: got %q, want %q", row.account, row.token, got, row.want)
		}
	}
	l.end("a", "1")
	if p := l.begin("a", "3"); p != nil {
		t.Errorf("a look after one has ended: got %v, want a place", p)
	}
	for _, one := range [][2]string{{"a", "1"}, {"a", "2"}, {"a", "2"}, {"a", "3"}, {"b", "1"}, {"b", "1"}, {"c", "1"}, {"c", "1"}} {
		l.end(one[0], one[1])
	}
	if l.all != 0 || len(l.under) != 0 {
		t.Errorf("when all have ended: got %d and %v, want nothing left", l.all, l.under)
	}
}
