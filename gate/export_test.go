package gate

// Remembered is how many requests and names of header fields the memo has.
func (g *Gate) Remembered() (requests, names int) {
	m := g.snapshot().memo
	return len(m.known), len(m.harmless.Load().(map[string]bool))
}
