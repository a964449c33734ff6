package engine

import (
	"strings"

	"github.com/approovgate/approovgate/config"
)

// routes finds the first route that matches a request. It is an index, and gives the answer that trying
// every route in turn would give: each route stands in the lists of all hosts and paths it names, lists
// are in the policy's order, and the lowest position found in any list wins.
type routes struct {
	methods  []map[string]bool // by route; nil: every method
	anyHost  table
	byHost   map[string]*table
	byMethod bool // some route names methods
	fold     bool
}

// table indexes routes by path. Positions in a list ascend.
type table struct {
	all    []int            // routes without paths
	exact  map[string][]int // by path
	prefix map[string][]int // by what stands before "/**"
}

const below = "/**" // ends a pattern for a path and everything below it

func newRoutes(list []config.Route, fold bool) routes {
	rs := routes{anyHost: newTable(), byHost: map[string]*table{}, fold: fold}
	for position, route := range list {
		methods := set(route.Methods)
		if methods["GET"] {
			methods["HEAD"] = true // RFC 9110 §9.3.2: the same resource, without content
		}
		rs.methods = append(rs.methods, methods)
		rs.byMethod = rs.byMethod || methods != nil
		if len(route.Hosts) == 0 {
			rs.anyHost.add(position, route.Paths, fold)
		}
		for _, host := range route.Hosts {
			host = strings.Trim(host, "[]")
			if rs.byHost[host] == nil {
				t := newTable()
				rs.byHost[host] = &t
			}
			rs.byHost[host].add(position, route.Paths, fold)
		}
	}
	return rs
}

func newTable() table {
	return table{exact: map[string][]int{}, prefix: map[string][]int{}}
}

func (t *table) add(position int, paths []string, fold bool) {
	if len(paths) == 0 {
		t.all = append(t.all, position)
	}
	for _, path := range paths {
		if fold {
			path = strings.ToLower(path)
		}
		if strings.HasSuffix(path, below) {
			path = strings.TrimSuffix(path, below)
			t.prefix[path] = append(t.prefix[path], position)
		} else {
			path = trimSlash(path)
			t.exact[path] = append(t.exact[path], position)
		}
	}
}

// match is the position of the first route for a host, method and path, or the number of routes if
// there is none, which is the position of the default rule.
func (rs *routes) match(host, method, path string) int {
	best := len(rs.methods)
	if best == 0 {
		return 0
	}
	best = rs.search(&rs.anyHost, method, path, best)
	if t := rs.byHost[host]; t != nil {
		best = rs.search(t, method, path, best)
	}
	return best
}

// search is the lowest position below best in one table.
func (rs *routes) search(t *table, method, path string, best int) int {
	best = rs.first(t.all, method, best)
	if len(t.exact) > 0 {
		best = rs.first(t.exact[path], method, best)
	}
	if len(t.prefix) == 0 {
		return best
	}
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		best = rs.first(t.prefix[path[:end]], method, best)
	}
	return rs.first(t.prefix[""], method, best)
}

func (rs *routes) first(list []int, method string, best int) int {
	for _, position := range list {
		if position >= best {
			break
		}
		if methods := rs.methods[position]; methods == nil || methods[method] {
			return position
		}
	}
	return best
}

// place is where a request goes.
type place struct {
	rule         int
	host, target string // canonical
}

// locate reads a request's target, host and method and finds its rule. It refuses what cannot be read,
// and what backends may read in ways that fall under different rules.
func (e *Engine) locate(req *Request) (place, bool) {
	authority, path, query, ok := splitTarget(req.Target)
	if !ok || req.Method == "CONNECT" {
		return place{}, false
	}
	canonical, clean := path, true
	if !e.cacheAll || !isPlainByCalls(path) {
		canonical, clean, ok = canonicalPath(path, e.targets)
	}
	if !ok {
		return place{}, false
	}
	name, host, ok := e.readHost(req.Host, authority)
	if !ok {
		return place{}, false
	}
	where := place{host: host, target: req.Target}
	if canonical != path || authority != "" {
		where.target = canonical + query
	}
	where.rule, ok = e.findRule(req, name, canonical, clean)
	return where, ok
}

// findRule is the position of the rule for a request, and whether every way to read the request leads
// to it. Nearly always there is one way.
func (e *Engine) findRule(req *Request, host, canonical string, clean bool) (int, bool) {
	if len(e.routes.methods) == 0 {
		return 0, true
	}
	methods := e.methodReadings(req)
	if methods == nil && clean && !e.targets.Semicolon && !e.targets.FoldCase {
		return e.routes.match(host, req.Method, trimSlash(canonical)), true
	}
	paths, ok := readings(canonical, e.targets)
	if !ok {
		return 0, false
	}
	rule := e.routes.match(host, req.Method, paths[0])
	methods = append(methods, req.Method)
	for _, path := range paths {
		for _, method := range methods {
			if e.routes.match(host, method, path) != rule {
				return 0, false
			}
		}
	}
	return rule, true
}

// readHost is the canonical host of a request. The authority of an absolute-form target must agree with
// the host (RFC 9112 §3.2.2). A request without a host cannot be told apart where routes name hosts.
func (e *Engine) readHost(received, authority string) (name, full string, ok bool) {
	name, full, ok = canonicalHost(received)
	if ok && authority != "" {
		var inTarget string
		_, inTarget, ok = canonicalHost(authority)
		if received == "" {
			return e.readHost(authority, "")
		}
		ok = ok && inTarget == full
	}
	return name, full, ok && (full != "" || len(e.routes.byHost) == 0)
}

// methodReadings are the methods, besides its own, that a backend may take a request for. Nil: none.
func (e *Engine) methodReadings(req *Request) []string {
	if !e.routes.byMethod {
		return nil
	}
	others := overrides(req.Header)
	if upper := strings.ToUpper(req.Method); upper != req.Method {
		others = append(others, upper)
	}
	return others
}

// overrideHeaders let a client ask for another method than the request's, on backends that heed them.
var overrideHeaders = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

// overrides are the methods asked for by such headers, under any alias of their names.
func overrides(header map[string][]string) []string {
	var methods []string
	for name, values := range header {
		if len(name) < 13 || name[0] != 'X' && name[0] != 'x' {
			continue
		}
		if !OverridesMethod(name) {
			continue
		}
		for _, value := range values {
			methods = append(methods, strings.ToUpper(strings.TrimSpace(value)))
		}
	}
	return methods
}

// OverridesMethod reports whether a header field of that name asks for another method, on backends that heed it.
func OverridesMethod(name string) bool {
	for _, override := range overrideHeaders {
		if SameHeader(name, override) {
			return true
		}
	}
	return false
}

// SameHeader reports whether two header names may be taken for each other: servers that turn headers
// into variables fold letter case, "-", "_" and "." together.
func SameHeader(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_' || c == '.':
		return '-'
	}
	return c
}
