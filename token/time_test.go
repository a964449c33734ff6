package token_test

import (
	"math"
	"testing"
	"time"

	"github.com/approovgate/approovgate/token"
)

// at is a moment in seconds and nanoseconds since 1970.
func at(seconds, nanoseconds int64) time.Time { return time.Unix(seconds, nanoseconds) }

func TestAt(t *testing.T) {
	const noon = 1_700_000_000
	far := time.Duration(math.MaxInt64)
	for _, row := range []struct {
		name     string
		exp, nbf float64
		now      time.Time
		leeway   time.Duration
		want     token.Fault
	}{
		{"a second before exp it is valid", noon, 0, at(noon-1, 0), 0, ""},
		{"a nanosecond before exp it is valid", noon, 0, at(noon, -1), 0, ""},
		{"at exp it is expired", noon, 0, at(noon, 0), 0, token.Expired},
		{"a nanosecond after exp it is expired", noon, 0, at(noon, 1), 0, token.Expired},
		{"a second after exp it is expired", noon, 0, at(noon+1, 0), 0, token.Expired},
		{"before the fraction of exp it is valid", noon + 0.5, 0, at(noon, 499_999_999), 0, ""},
		{"at the fraction of exp it is expired", noon + 0.5, 0, at(noon, 500_000_000), 0, token.Expired},
		{"in the second of a fractional exp it is valid", noon + 0.75, 0, at(noon, 0), 0, ""},
		{"with leeway it is valid until then", noon, 0, at(noon+30, -1), 30 * time.Second, ""},
		{"with leeway it is expired from then on", noon, 0, at(noon+30, 0), 30 * time.Second, token.Expired},
		{"leeway counts in fractions", noon, 0, at(noon, 250_000_000), 250 * time.Millisecond, token.Expired},
		{"leeway counts in fractions, before", noon, 0, at(noon, 249_999_999), 250 * time.Millisecond, ""},
		{"a clock an hour behind finds it valid", noon, 0, at(noon-3600, 0), 0, ""},
		{"a clock an hour ahead finds it expired", noon, 0, at(noon+3599, 0), 0, token.Expired},

		{"exp far in the future is valid", 2.001e206, 0, at(noon, 0), 0, ""},
		{"exp of 1e18 is valid", 1e18, 0, at(noon, 0), 0, ""},
		{"exp above 2^63 is valid", math.MaxInt64 * 2.0, 0, at(noon, 0), 0, ""},
		{"the largest exp is valid", math.MaxFloat64, 0, at(noon, 0), 0, ""},
		{"the published exp is valid until 2119", 4708683205.891912, 0, at(4708683205, 891_000_000), 0, ""},
		{"the published exp is expired then", 4708683205.891912, 0, at(4708683205, 892_000_000), 0, token.Expired},
		{"the smallest exp is expired", 5e-324, 0, at(noon, 0), 0, token.Expired},
		{"exp in the future is expired by the largest leeway's clock too", noon, 0, at(noon*2, 0), 0, token.Expired},
		{"the largest leeway keeps an old token valid", 1, 0, at(noon, 0), far, ""},

		{"at nbf it is valid", noon * 2, noon, at(noon, 0), 0, ""},
		{"a nanosecond before nbf it is not yet valid", noon * 2, noon, at(noon, -1), 0, token.NotYet},
		{"a second before nbf it is not yet valid", noon * 2, noon, at(noon-1, 0), 0, token.NotYet},
		{"before the fraction of nbf it is not yet valid", noon * 2, noon + 0.5, at(noon, 0), 0, token.NotYet},
		{"at the fraction of nbf it is valid", noon * 2, noon + 0.5, at(noon, 500_000_000), 0, ""},
		{"with leeway nbf is that much earlier", noon * 2, noon + 30, at(noon, 0), 30 * time.Second, ""},
		{"with leeway nbf is no earlier than that", noon * 2, noon + 30, at(noon, -1), 30 * time.Second, token.NotYet},
		{"nbf in ages is not yet valid", math.MaxFloat64, 1e300, at(noon, 0), 0, token.NotYet},
		{"nbf before 1970 is valid", noon * 2, -1e300, at(noon, 0), 0, ""},
		{"expired and not yet valid is expired", noon - 1, noon + 1, at(noon, 0), 0, token.Expired},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := token.Claims{Exp: row.exp, NotBefore: row.nbf}
			if got := c.At(row.now, row.leeway); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// TestNoClaimsAreExpired: the zero value passes nowhere.
func TestNoClaimsAreExpired(t *testing.T) {
	if got := new(token.Claims).At(time.Now(), 0); got != token.Expired {
		t.Errorf("got %q, want %q", got, token.Expired)
	}
}

// TestAtUsesTheWallClock: a time that carries a monotonic reading is judged by its wall clock.
func TestAtUsesTheWallClock(t *testing.T) {
	now := time.Now()
	c := token.Claims{Exp: float64(now.Unix() + 1)}
	for _, step := range []time.Duration{-time.Hour, 0, 2 * time.Second, time.Hour} {
		want := token.Fault("")
		if step > 0 {
			want = token.Expired
		}
		if got := c.At(now.Add(step), 0); got != want {
			t.Errorf("clock at %v: got %q, want %q", step, got, want)
		}
	}
}
