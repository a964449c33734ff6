package gate

import "sync"

// Remembered is how many requests and names of header fields the memo has.
func (g *Gate) Remembered() (requests, names int) {
	m := g.snapshot().memo
	for _, all := range []*sync.Map{m.spots, m.known, m.once, m.expired, m.refusals} {
		all.Range(func(_, _ any) bool { requests++; return true })
	}
	return requests, len(m.harmless.Load().(map[string]bool))
}
