package config

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// Each row is a list of routes, and which of them can never match.
var shadows = []struct {
	name   string
	routes string
	want   []int
}{
	{"a route after one that matches everything", `{}, {"paths": "/a"}`, []int{1}},
	{"the same route twice", `{"paths": "/a"}, {"paths": "/a/"}`, []int{1}},
	{"a route for everything comes last", `{"paths": "/a"}, {}`, nil},
	{"a path below an earlier prefix", `{"paths": "/a/**"}, {"paths": "/a/b"}`, []int{1}},
	{"a prefix takes its own base", `{"paths": "/a/**"}, {"paths": "/a"}`, []int{1}},
	{"a prefix below an earlier prefix", `{"paths": "/a/**"}, {"paths": "/a/b/**"}`, []int{1}},
	{"a prefix is not covered by paths in it", `{"paths": ["/a", "/a/b"]}, {"paths": "/a/**"}`, nil},
	{"a prefix ends at a segment", `{"paths": "/a/**"}, {"paths": "/ab"}`, nil},
	{"the prefix of everything takes routes without paths", `{"paths": "/**"}, {"methods": "GET"}`, []int{1}},
	{"the root alone takes nothing below it", `{"paths": "/"}, {"paths": "/**"}`, nil},
	{"GET takes HEAD", `{"methods": "GET"}, {"methods": "HEAD"}`, []int{1}},
	{"HEAD does not take GET", `{"methods": "HEAD"}, {"methods": "GET"}`, nil},
	{"methods in a list take no route without methods", `{"methods": ["GET", "POST"]}, {}`, nil},
	{"a host in another case", `{"hosts": "A.example"}, {"hosts": "a.EXAMPLE."}`, []int{1}},
	{"two routes together take a third", `{"methods": "GET"}, {"methods": "POST"}, {"methods": ["GET", "POST", "HEAD"]}`, []int{2}},
	{"two hosts together take a third route", `{"hosts": "a", "paths": "/x/**"}, {"hosts": "b"}, {"hosts": ["a", "b"], "paths": "/x/y"}`, []int{2}},
	{"two hosts leave one triple", `{"hosts": "a", "paths": "/x/**"}, {"hosts": "b", "methods": "GET"}, {"hosts": ["a", "b"], "paths": "/x/y"}`, nil},
	{"hosts in a list take no route without hosts", `{"hosts": ["a", "b"]}, {"paths": "/x"}`, nil},
	{"case matters in paths", `{"paths": "/A"}, {"paths": "/a"}`, nil},
	{"a route with a bad pattern takes nothing", `{"paths": "a"}, {"paths": "/a"}`, nil},
}

func TestShadowedRoutesAreRefused(t *testing.T) {
	for _, row := range shadows {
		t.Run(row.name, func(t *testing.T) {
			_, problems := Decode(withKey(t, `{"routes": [`+row.routes+`]}`))
			if got, want := fmt.Sprint(shadowed(problems)), fmt.Sprint(row.want); got != want {
				t.Errorf("shadowed %s, want %s; %q", got, want, lines(problems))
			}
		})
	}
}

// shadowed are the positions of the routes refused as shadowed.
func shadowed(problems []Problem) []int {
	var out []int
	for _, p := range problems {
		i := 0
		if _, err := fmt.Sscanf(p.Path, "routes[%d]", &i); err == nil && strings.HasPrefix(p.Text, "can never match") {
			out = append(out, i)
		}
	}
	return out
}

func TestFoldedPathsShadowEachOther(t *testing.T) {
	_, problems := Decode(withKey(t, `{"targets": {"path_case": "fold"}, "routes": [{"paths": "/A/**"}, {"paths": "/a/B"}]}`))
	sameProblems(t, problems, []string{`routes[1]: can never match: earlier routes take all of its requests ("route-1")`})
}

// TestShadowingAgreesWithTryingEveryRequest compares refuseShadowed with a first-match search over a space that
// has, for every pattern used, a request it matches and one it does not.
func TestShadowingAgreesWithTryingEveryRequest(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	hosts := []string{"a", "b", "c"}
	methods := []string{"GET", "HEAD", "POST", "PUT"}
	paths := []string{"/", "/x", "/x/y", "/x/y/z", "/**", "/x/**", "/x/y/**"}
	pick := func(list []string) []string {
		var out []string
		for _, s := range list {
			if random.Intn(len(list)) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	found := 0
	for round := 0; round < 3000; round++ {
		var routes []Route
		var sound []bool
		for i := 0; i < 5; i++ {
			routes = append(routes, Route{Name: fmt.Sprint(i), Hosts: pick(hosts[:2]), Methods: pick(methods[:3]), Paths: pick(paths)})
			sound = append(sound, true)
		}
		tr := NewTree(nil)
		refuseShadowed(tr, routes, sound, false)
		want := slowShadowed(routes, hosts, methods, []string{"/", "/q", "/x", "/x/q", "/x/y", "/x/y/q", "/x/y/z", "/x/y/z/q"})
		found += len(want)
		if got := shadowed(tr.Problems()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("shadowed %v, want %v, in %+v", got, want, routes)
		}
	}
	if found < 100 {
		t.Errorf("%d shadowed routes in all rounds, want at least 100 for the test to mean something", found)
	}
}

// slowShadowed finds the routes that are the first match of no request.
func slowShadowed(routes []Route, hosts, methods, paths []string) []int {
	first := map[int]bool{}
	for _, host := range hosts {
		for _, method := range methods {
			for _, path := range paths {
				for i, r := range routes {
					if slowMatch(r, host, method, path) {
						first[i] = true
						break
					}
				}
			}
		}
	}
	var out []int
	for i := range routes {
		if !first[i] {
			out = append(out, i)
		}
	}
	return out
}

func slowMatch(r Route, host, method, path string) bool {
	in := func(list []string, match func(s string) bool) bool {
		for _, s := range list {
			if match(s) {
				return true
			}
		}
		return len(list) == 0
	}
	return in(r.Hosts, func(s string) bool { return s == host }) &&
		in(r.Methods, func(s string) bool { return s == method || s == "GET" && method == "HEAD" }) &&
		in(r.Paths, func(s string) bool {
			if base, prefix := strings.CutSuffix(s, "/**"); prefix {
				return path == base || strings.HasPrefix(path, base+"/")
			}
			return path == s || path == s+"/"
		})
}
