package gate

// Remembered is how many requests and names of header fields the memo has.
func (g *Gate) Remembered() (requests, names int) {
	m := g.snapshot().memo
	m.known.Range(func(_, _ any) bool { requests++; return true })
	return requests, len(m.harmless.Load().(map[string]bool))
}
