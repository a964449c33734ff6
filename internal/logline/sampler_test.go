package logline

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

// allowed is how many of n lines of a kind get through at a moment.
func allowed(s *Sampler, n int, now time.Time, kind Key) (got int) {
	for range n {
		if s.Allow(now, kind) {
			got++
		}
	}
	return got
}

func TestSampler(t *testing.T) {
	login := Key{"login", "token_missing", "reject"}
	type ask struct {
		after time.Duration // from noon
		lines int
		kind  Key
		want  int
	}
	for name, c := range map[string]struct {
		perSecond int
		asks      []ask
		skipped   []Skipped
	}{
		"a flood of one kind gets its lines a second, and the rest is counted": {3,
			[]ask{{0, 2, login, 2}, {900 * time.Millisecond, 8, login, 1}, {time.Second, 5, login, 3}}, []Skipped{{login, 9}}},
		"other kinds are not held back by a flood": {1,
			[]ask{{0, 9, login, 1}, {0, 1, Key{"login", "token_expired", "reject"}, 1}, {0, 1, Key{"login", "token_missing", "forward"}, 1},
				{0, 1, Key{"pay", "token_missing", "reject"}, 1}}, []Skipped{{login, 8}}},
		"0 lets everything through":                 {0, []ask{{0, 1000, login, 1000}}, nil},
		"a negative limit lets everything through":  {-1, []ask{{0, 1000, login, 1000}}, nil},
		"a huge limit lets everything through":      {1 << 40, []ask{{0, 1000, login, 1000}}, nil},
		"a request of the second before gives none": {2, []ask{{0, 3, login, 2}, {-time.Second, 3, login, 0}, {0, 3, login, 0}}, []Skipped{{login, 7}}},
		"a request of the second before does not begin it anew": {2,
			[]ask{{0, 1, login, 1}, {-time.Second, 1, login, 1}, {0, 1, login, 0}}, []Skipped{{login, 1}}},
		"a clock that was set back begins anew": {2, []ask{{0, 3, login, 2}, {-time.Hour, 3, login, 2}}, []Skipped{{login, 2}}},
	} {
		s := NewSampler(c.perSecond)
		for i, a := range c.asks {
			if got := allowed(s, a.lines, noon.Add(a.after), a.kind); got != a.want {
				t.Errorf("%s: ask %d: got %d lines, want %d", name, i, got, a.want)
			}
		}
		if got := s.Flush(); !slices.Equal(got, c.skipped) {
			t.Errorf("%s: got %v, want %v", name, got, c.skipped)
		}
		if got := s.Flush(); len(got) != 0 {
			t.Errorf("%s: second flush: got %v, want nothing", name, got)
		}
	}
}

func TestCountsComeInTheOrderOfTheKeys(t *testing.T) {
	s, letters := NewSampler(1), []string{"d", "c", "b", "a"}
	var want []Skipped
	for _, route := range letters {
		for _, reason := range letters {
			for _, action := range letters {
				kind := Key{route, reason, action}
				want = append([]Skipped{{kind, 1}}, want...)
				allowed(s, 2, noon, kind)
			}
		}
	}
	if got := s.Flush(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheZeroSamplerLetsEverythingThrough(t *testing.T) {
	var s Sampler
	if got := allowed(&s, 1000, noon, Key{}); got != 1000 {
		t.Errorf("got %d lines, want 1000", got)
	}
}

func TestKindsBeyondTheSamplersMemoryShareOneAccount(t *testing.T) {
	s := NewSampler(1)
	for i := range maxKeys + 10 {
		s.Allow(noon, Key{Route: strconv.Itoa(i)})
	}
	if got := len(*s.accounts.Load()); got != maxKeys {
		t.Errorf("got %d accounts, want %d", got, maxKeys)
	}
	if got, want := s.Flush(), []Skipped{{Key{}, 9}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !s.Allow(noon.Add(time.Second), Key{Route: "7"}) {
		t.Error("a kind with an account of its own: got no line in the next second, want one")
	}
}

func TestLinesAndCountsOfManyGoroutinesAddUp(t *testing.T) {
	const goroutines, each, limit = 8, 2000, 50
	kinds := []Key{{"a", "x", ""}, {"b", "x", ""}, {"c", "x", ""}}
	s := NewSampler(limit)
	var through atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				if s.Allow(noon, kinds[i%len(kinds)]) {
					through.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got, want := through.Load(), int64(limit*len(kinds)); got != want {
		t.Errorf("got %d lines, want %d", got, want)
	}
	skipped := uint64(0)
	for _, one := range s.Flush() {
		skipped += one.N
	}
	if want := uint64(goroutines*each - limit*len(kinds)); skipped != want {
		t.Errorf("got %d skipped, want %d", skipped, want)
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	s, kind := NewSampler(1), Key{"login", "token_missing", "reject"}
	s.Allow(noon, kind)
	if got := testing.AllocsPerRun(1000, func() { s.Allow(noon, kind) }); got != 0 {
		t.Errorf("denied: got %v allocations, want 0", got)
	}
	now := noon
	if got := testing.AllocsPerRun(1000, func() { now = now.Add(time.Second); s.Allow(now, kind) }); got != 0 {
		t.Errorf("allowed: got %v allocations, want 0", got)
	}
}
