package manage

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates bound how often may be asked. A zero field is its default.
type Rates struct {
	Token        float64 // requests a second under one management token; default 10
	TokenBurst   int     // at once; default 100, which is more than the largest change of pins takes
	Address      float64 // requests a second from one address, with or without a token; default 20
	AddressBurst int     // default 200
	Look         float64 // looks at domains a second under one management token; default 0.5
	LookBurst    int     // default 50: every domain of an account, twice
}

func (r Rates) orDefault() Rates {
	for field, value := range map[*float64]float64{&r.Token: 10, &r.Address: 20, &r.Look: 0.5} {
		if *field == 0 {
			*field = value
		}
	}
	for field, value := range map[*int]int{&r.TokenBurst: 100, &r.AddressBurst: 200, &r.LookBurst: 50} {
		if *field == 0 {
			*field = value
		}
	}
	return r
}

// maxBuckets bounds how many keys a limiter remembers, twice over.
const maxBuckets = 10_000

// limiter is a token bucket for each key. It remembers a bounded number of them: when there are too many, it forgets
// those that have not been used since it had too many last.
type limiter struct {
	limit rate.Limit
	burst int

	mu            sync.Mutex // guards the fields below
	recent, older map[string]*rate.Limiter
}

func newLimiter(limit float64, burst int) *limiter {
	return &limiter{limit: rate.Limit(limit), burst: burst, recent: map[string]*rate.Limiter{}}
}

// take takes one from the key's bucket. If it is empty, wait is how long until there is one.
func (l *limiter) take(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.recent[key]
	if bucket == nil {
		if bucket = l.older[key]; bucket == nil {
			bucket = rate.NewLimiter(l.limit, l.burst)
		}
		if len(l.recent) >= maxBuckets {
			l.older, l.recent = l.recent, map[string]*rate.Limiter{}
		}
		l.recent[key] = bucket
	}
	if bucket.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - bucket.TokensAt(now)
	return time.Duration(missing / float64(l.limit) * float64(time.Second)), false
}

// retryAfter is a wait as Retry-After writes it: whole seconds (RFC 9110 §10.2.3).
func retryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

// connectionAddress is the address that the connection comes from. Of IPv6 it is the first half: the other half is
// one household's or machine's to choose.
func connectionAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if address = address.Unmap().WithZone(""); address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}
