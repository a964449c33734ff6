package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
)

// tableSizes are the numbers of hosts and routes that a rule must work alike in: implementations like to
// switch to another, subtly different, search above some size (Caddy CVE-2026-27588: above 100 hosts).
var tableSizes = [...]int{1, 99, 101, 1000}

// AllSizes is cases, each of those with AllSizes followed by its copies at every table size.
func AllSizes(cases []Case) []Case {
	var out []Case
	for _, c := range cases {
		out = append(out, c)
		if !c.AllSizes {
			continue
		}
		for _, n := range tableSizes {
			sized := c
			sized.File = fmt.Sprintf("%s/at-%d", c.File, n)
			sized.Name = fmt.Sprintf("%s, with %d routes and hosts", c.Name, n)
			sized.PadRoutes, sized.PadHosts = n, n
			out = append(out, sized)
		}
	}
	return out
}

// PaddedPolicy is the policy grown as PadRoutes and PadHosts say. Padding routes stand before all others and
// are exempt from checks, half of them by host and half by path, so that one that matched by mistake would show
// as a request forwarded unchecked. Padding hosts stand before a route's own. None of them matches anything
// that the corpus asks for.
func (c Case) PaddedPolicy() (string, error) {
	if c.PadRoutes == 0 && c.PadHosts == 0 {
		return c.Policy, nil
	}
	var policy map[string]any
	d := json.NewDecoder(strings.NewReader(c.Policy))
	d.UseNumber()
	if err := d.Decode(&policy); err != nil {
		return "", fmt.Errorf("grow policy: %w", err)
	}
	own, _ := policy["routes"].([]any)
	for _, r := range own {
		route, _ := r.(map[string]any)
		hosts, _ := route["hosts"].([]any)
		if len(hosts) == 0 {
			continue
		}
		var padded []any
		for i := len(hosts); i < c.PadHosts; i++ {
			padded = append(padded, fmt.Sprintf("pad-%d.example.net", i))
		}
		route["hosts"] = append(padded, hosts...)
	}
	var routes []any
	for i := len(own); i < c.PadRoutes; i++ {
		route := map[string]any{"name": fmt.Sprintf("pad-%d", i), "check": "none"}
		if i%2 == 0 {
			route["hosts"] = []any{fmt.Sprintf("pad-route-%d.example.net", i)}
		} else {
			route["paths"] = []any{fmt.Sprintf("/pad-%d/**", i)}
		}
		routes = append(routes, route)
	}
	policy["routes"] = append(routes, own...)
	text, err := json.Marshal(policy)
	if err != nil {
		return "", fmt.Errorf("grow policy: %w", err)
	}
	return string(text), nil
}
