package config

import (
	"strconv"
	"strings"
)

// refuseShadowed refuses every route whose requests the earlier ones take, all of them.
//
// The test is exact. A route's requests are all (host, method, path) triples of its lists, where a missing list
// and a /x/** pattern stand for infinitely many values. Each of those is represented by one value that no route
// names: whatever an earlier route says to match that one, matches every other value in its place too. GET needs
// no companion for HEAD, because every route that takes GET takes HEAD.
func refuseShadowed(t *Tree, routes []Route, sound []bool, foldCase bool) {
	var earlier []matcher
	for i, r := range routes {
		if !sound[i] {
			continue
		}
		m := newMatcher(r, foldCase)
		if by, all := m.covered(earlier); all {
			quoted := make([]string, 0, len(by))
			for _, name := range by {
				quoted = append(quoted, strconv.Quote(name))
			}
			t.Refuse(element("routes", i), "can never match: earlier routes take all of its requests ("+
				strings.Join(quoted, ", ")+"); move it up or delete it")
		}
		earlier = append(earlier, m)
	}
}

// unnamed stands for a host, a method or a path segment that no pattern names.
const unnamed = "\x00"

// matcher is a route's lists prepared for comparison. A nil map matches everything.
type matcher struct {
	hosts   map[string]bool
	methods map[string]bool
	route   Route           // whose lists give the order of the values
	exact   map[string]bool // paths without their trailing slash, "/" being ""
	below   map[string]bool // /x/** as /x
	paths   []string        // the representatives, in the route's order
}

func newMatcher(r Route, foldCase bool) matcher {
	m := matcher{route: r, hosts: set(r.Hosts), methods: set(r.Methods)}
	if len(r.Paths) == 0 {
		m.paths = []string{"/" + unnamed}
		return m
	}
	m.exact = map[string]bool{}
	m.below = map[string]bool{}
	for _, p := range r.Paths {
		if foldCase {
			p = strings.ToLower(p)
		}
		if strings.HasSuffix(p, "/**") {
			base := strings.TrimSuffix(p, "/**")
			m.below[base] = true
			m.paths = append(m.paths, base+"/"+unnamed)
			continue
		}
		p = strings.TrimSuffix(p, "/")
		m.exact[p] = true
		m.paths = append(m.paths, p)
	}
	return m
}

// covered reports whether the earlier routes together match everything m does, and the first few that do.
func (m matcher) covered(earlier []matcher) ([]string, bool) {
	var by []string
	for _, host := range representatives(m.route.Hosts) {
		var atHost []matcher
		for _, e := range earlier {
			if e.hosts == nil || e.hosts[host] {
				atHost = append(atHost, e)
			}
		}
		for _, method := range representatives(m.route.Methods) {
			for _, path := range m.paths {
				name := taker(atHost, method, path)
				if name == "" {
					return nil, false
				}
				if !contains(by, name) && len(by) < 3 {
					by = append(by, name)
				}
			}
		}
	}
	return by, true
}

// taker names the first route that matches method and path, or returns "".
func taker(routes []matcher, method, path string) string {
	for _, e := range routes {
		takes := e.methods == nil || e.methods[method] || method == "HEAD" && e.methods["GET"]
		if takes && e.matchesPath(path) {
			return e.route.Name
		}
	}
	return ""
}

func (m matcher) matchesPath(path string) bool {
	if m.exact == nil || m.exact[path] {
		return true
	}
	for {
		if m.below[path] {
			return true
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return false
		}
		path = path[:i]
	}
}

// representatives are the values of a list, or the one that stands for all values.
func representatives(list []string) []string {
	if len(list) == 0 {
		return []string{unnamed}
	}
	return list
}

// set is a list for look-ups; nil when it is empty.
func set(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]bool, len(list))
	for _, s := range list {
		out[s] = true
	}
	return out
}
