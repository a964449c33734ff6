package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

// naiveMatch is the oracle of the route index: every route is tried in turn.
func naiveMatch(routes []config.Route, host, method, path string) int {
	for position, route := range routes {
		if naiveHost(route, host) && naiveMethod(route, method) && naivePath(route, path) {
			return position
		}
	}
	return len(routes)
}

func naiveHost(route config.Route, host string) bool {
	for _, pattern := range route.Hosts {
		if pattern == host || pattern == "["+host+"]" {
			return true
		}
	}
	return len(route.Hosts) == 0
}

func naiveMethod(route config.Route, method string) bool {
	for _, pattern := range route.Methods {
		if pattern == method || pattern == "GET" && method == "HEAD" {
			return true
		}
	}
	return len(route.Methods) == 0
}

func naivePath(route config.Route, path string) bool {
	for _, pattern := range route.Paths {
		prefix, everythingBelow := strings.CutSuffix(pattern, "/**")
		if everythingBelow && (path == prefix || strings.HasPrefix(path, prefix+"/")) {
			return true
		}
		if !everythingBelow && (path == pattern || path == pattern+"/") {
			return true
		}
	}
	return len(route.Paths) == 0
}

// Tables of these sizes are tried: an index must not read requests differently than a list does, however
// long it is.
var tableSizes = []int{0, 1, 2, 7, 99, 101, 1000}

// draw makes random route tables and requests over a small world, so that they meet often.
type draw struct{ *rand.Rand }

func newDraw(seed uint64) draw { return draw{rand.New(rand.NewPCG(seed, 1))} }

func (d draw) some(from []string, most int) []string {
	var all []string
	for n := d.IntN(most + 1); n > 0; n-- {
		all = append(all, from[d.IntN(len(from))])
	}
	return all
}

var (
	drawnMethods  = []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"}
	drawnSegments = []string{"a", "b", "api", "api.", "apifoo", "A", "v1", "%", "..a", "x y", "\u00e9"}
)

// path has a first segment of which there are more the larger the table, so that all of it is used.
func (d draw) path(size int) string {
	if d.IntN(size+12) == 0 {
		return "/"
	}
	path := fmt.Sprintf("/s%d", d.IntN(size+1))
	for n := d.IntN(4); n > 0; n-- {
		path += "/" + drawnSegments[d.IntN(len(drawnSegments))]
	}
	return path
}

func (d draw) host(size int) string {
	if d.IntN(8) == 0 {
		return "2001:db8::1"
	}
	return fmt.Sprintf("h%d.example", d.IntN(size/2+1))
}

func (d draw) table(size int) []config.Route {
	routes := make([]config.Route, 0, size)
	for len(routes) < size {
		route := config.Route{Name: fmt.Sprintf("r%d", len(routes)), Methods: d.some(drawnMethods, 2)}
		for n := d.IntN(3); n > 0; n-- {
			host := d.host(size)
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			route.Hosts = append(route.Hosts, host)
		}
		for n := d.IntN(3); n > 0; n-- {
			path := d.path(size)
			if d.IntN(2) == 0 {
				path = strings.TrimSuffix(path, "/") + "/**"
			}
			route.Paths = append(route.Paths, path)
		}
		if len(route.Hosts)+len(route.Paths) == 0 && d.IntN(size) > 0 {
			continue // what matches everything hides the rest of the table; keep it rare
		}
		routes = append(routes, route)
	}
	return routes
}

func TestRouteIndexFindsWhatTryingEveryRouteFinds(t *testing.T) {
	for _, size := range tableSizes {
		t.Run(fmt.Sprintf("%d routes", size), func(t *testing.T) {
			d := newDraw(uint64(size))
			tables, requests := 40, 200
			if size >= 1000 {
				tables = 6
			}
			matched, last := 0, 0
			for range tables {
				routes := d.table(size)
				index := newRoutes(routes, false)
				for range requests {
					host, method, path := d.host(size), drawnMethods[d.IntN(len(drawnMethods))], d.path(size)
					got, want := index.match(host, method, path), naiveMatch(routes, host, method, path)
					if got != want {
						t.Fatalf("%s %s %s: got position %d, want %d", method, host, path, got, want)
					}
					if got < size {
						matched++
						last = max(last, got)
					}
				}
			}
			if size > 1 && (matched < tables*requests/10 || last < size/2) {
				t.Fatalf("the requests tell little: got %d of %d matching, the last at %d", matched, tables*requests, last)
			}
		})
	}
}

// FuzzRoutes makes a table and a request of what the fuzzer draws and compares the two ways to find a route.
func FuzzRoutes(f *testing.F) {
	f.Add(uint64(1), uint16(3), "h0.example", "GET", "/api/v1")
	f.Add(uint64(2), uint16(1000), "h7.example", "HEAD", "/")
	f.Add(uint64(3), uint16(101), "2001:db8::1", "get", "/api./v1/")
	f.Fuzz(func(t *testing.T, seed uint64, size uint16, host, method, path string) {
		if path == "" || path[0] != '/' || strings.Contains(path, "//") {
			return // never a canonical path
		}
		path = trimSlash(path)
		routes := newDraw(seed).table(int(size) % 1001)
		index := newRoutes(routes, false)
		if got, want := index.match(host, method, path), naiveMatch(routes, host, method, path); got != want {
			t.Fatalf("%q %q %q: got position %d, want %d", method, host, path, got, want)
		}
	})
}

func TestRoutesMatchAsWritten(t *testing.T) {
	routes := []config.Route{
		{Name: "exact", Paths: []string{"/v1/transfers"}},
		{Name: "below", Paths: []string{"/api/**"}},
		{Name: "get", Methods: []string{"GET"}, Paths: []string{"/m"}},
		{Name: "host", Hosts: []string{"a.example"}},
		{Name: "literal", Hosts: []string{"[2001:db8::1]"}},
		{Name: "root", Paths: []string{"/"}},
	}
	index := newRoutes(routes, false)
	for _, row := range []struct{ name, host, method, path, want string }{
		{"an exact path matches", "x", "GET", "/v1/transfers", "exact"},
		{"nothing below an exact path matches", "x", "GET", "/v1/transfers/1", ""},
		{"a path for everything below matches itself", "x", "GET", "/api", "below"},
		{"a path for everything below matches below", "x", "PUT", "/api/a/b", "below"},
		{"a longer name is not below", "x", "GET", "/apifoo", ""},
		{"two dots behind a name are part of it", "x", "GET", "/api..", ""},
		{"letter case of a path counts", "x", "GET", "/API", ""},
		{"GET covers HEAD", "x", "HEAD", "/m", "get"},
		{"methods are matched exactly", "x", "get", "/m", ""},
		{"a host matches", "a.example", "GET", "/z", "host"},
		{"an earlier route wins over one that names the host", "a.example", "GET", "/api", "below"},
		{"an IPv6 host matches without its brackets", "2001:db8::1", "GET", "/z", "literal"},
		{"the root is not above everything", "x", "GET", "/", "root"},
		{"nothing matches", "x", "GET", "/z", ""},
	} {
		got := ""
		if position := index.match(row.host, row.method, row.path); position < len(routes) {
			got = routes[position].Name
		}
		if got != row.want {
			t.Errorf("%s: got route %q, want %q", row.name, got, row.want)
		}
	}
}
