package logline

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxKeys bounds the memory of a Sampler: about as many kinds of line as 70 routes can make with every
// reason and action. Later kinds share one account.
const maxKeys = 4096

// Key is the kind of a line. Its words come from the policy and from the list of reasons, never from
// what a client sends.
type Key struct {
	Route, Reason, Action string
}

// Skipped is how many lines of a kind were not written.
type Skipped struct {
	Key
	N uint64
}

// Sampler lets a limited number of lines of each kind through in a second, and counts the others: a
// flood of one kind hides no other. The zero value lets every line through.
type Sampler struct {
	limit    uint32
	accounts atomic.Pointer[map[Key]*account] // replaced, never changed, so that reading takes no lock
	others   account                          // of kinds beyond maxKeys
	growing  sync.Mutex                       // held by whoever replaces accounts
}

// account is one kind's.
type account struct {
	second  atomic.Uint64 // the Unix second's low 32 bits, above the lines let through in it
	_       [56]byte      // keeps what a flood only reads off the cache line that it writes
	skipped atomic.Uint64
}

// NewSampler returns a sampler that lets perSecond lines of each kind through in a second; 0 or less
// means all.
func NewSampler(perSecond int) *Sampler {
	const most = 1 << 30 // as good as all, and far from the counter's end
	return &Sampler{limit: uint32(max(0, min(perSecond, most)))}
}

// Allow reports whether a line of this kind may be written now. If not, it has counted it.
func (s *Sampler) Allow(now time.Time, kind Key) bool {
	if s.limit == 0 {
		return true
	}
	a := s.account(kind)
	if a.spend(uint32(now.Unix()), s.limit) {
		return true
	}
	a.skipped.Add(1)
	return false
}

// Flush returns what was not let through since the last Flush, in the order of the keys; kinds beyond
// the sampler's memory come under the empty key. The owner calls it once a second and writes one line
// for each.
func (s *Sampler) Flush() []Skipped {
	var all []Skipped
	add := func(kind Key, a *account) {
		if n := a.skipped.Swap(0); n > 0 {
			all = append(all, Skipped{kind, n})
		}
	}
	add(Key{}, &s.others)
	if accounts := s.accounts.Load(); accounts != nil {
		for kind, a := range *accounts {
			add(kind, a)
		}
	}
	slices.SortFunc(all, func(a, b Skipped) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Action, b.Action))
	})
	return all
}

// account finds the account of a kind, or opens it.
func (s *Sampler) account(kind Key) *account {
	if accounts := s.accounts.Load(); accounts != nil {
		if a := (*accounts)[kind]; a != nil {
			return a
		}
		if len(*accounts) >= maxKeys {
			return &s.others
		}
	}
	return s.open(kind)
}

// open adds an account, unless another goroutine was faster or there are too many.
func (s *Sampler) open(kind Key) *account {
	s.growing.Lock()
	defer s.growing.Unlock()
	grown := map[Key]*account{}
	if accounts := s.accounts.Load(); accounts != nil {
		if a := (*accounts)[kind]; a != nil {
			return a
		}
		if len(*accounts) >= maxKeys {
			return &s.others
		}
		grown = maps.Clone(*accounts)
	}
	a := new(account)
	grown[kind] = a
	s.accounts.Store(&grown)
	return a
}

// spend takes one of the second's lines, and reports whether there was one left. Goroutines may come
// with moments slightly out of order: the second before the present one counts as the present one, but
// an earlier one, after the clock was set back, begins anew.
func (a *account) spend(second, limit uint32) bool {
	for {
		old := a.second.Load()
		current, spent := uint32(old>>32), uint32(old)
		if ahead := int32(second - current); ahead == 0 || ahead == -1 {
			second = current
			if spent >= limit {
				return false
			}
		} else {
			spent = 0
		}
		if a.second.CompareAndSwap(old, uint64(second)<<32|uint64(spent+1)) {
			return true
		}
	}
}
