package conformance

// InCaddy are the cases that come out differently in Caddy, by file, each with its reason: Caddy itself deals with them
// before the gate is asked. In none of them does the upstream get more than it may.
func InCaddy() map[string]string {
	const (
		host       = "Caddy answers 400 to a host it cannot read"
		star       = "Caddy answers OPTIONS * itself"
		underscore = "Caddy deletes header fields with an underscore"
	)
	return map[string]string{
		"hosts/refused-dot":                      host,
		"hosts/refused-empty":                    host,
		"targets/refused-options-star":           star,
		"targets/refused-options-star-preflight": star,
		"headers/preflight-override-alias":       underscore,
		"targets/method-override-alias":          underscore,
	}
}
