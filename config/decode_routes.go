package config

import (
	"fmt"
	"strings"
)

// decodeRoutes reads the routes and refuses those that can never match.
func decodeRoutes(t *Tree, inherited Rule, keys []Key, foldCase bool) []Route {
	var routes []Route
	var sound []bool // the patterns are as written, none was refused
	first := map[string]int{}
	for i, sub := range t.Subs("routes") {
		r := Route{Name: readName(sub, "name", fmt.Sprintf("route-%d", i+1))}
		if j, taken := first[r.Name]; taken {
			sub.Refuse("name", fmt.Sprintf("is already the name of routes[%d]; names must be unique", j))
		} else {
			first[r.Name] = i
		}
		before := len(t.report.problems)
		const everything = "could mean everything or nothing"
		r.Hosts = patterns(sub, "hosts", matchList(sub, "hosts", everything), hostPattern)
		r.Methods = patterns(sub, "methods", matchList(sub, "methods", everything), methodPattern)
		r.Paths = patterns(sub, "paths", matchList(sub, "paths", everything), pathPattern)
		sound = append(sound, sub.values != nil && len(t.report.problems) == before)

		r.Rule = decodeRule(sub, inherited)
		r.Exempt = sub.Choice("check", "token", "token", "none") == "none"
		r.Keys = routeKeys(sub, keys)
		checkRoute(sub, r, keys)
		routes = append(routes, r)
	}
	refuseShadowed(t, routes, sound, foldCase)
	return routes
}

// routeKeys reads the names of the keys a route accepts.
func routeKeys(t *Tree, keys []Key) []string {
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, k.Name)
	}
	list := matchList(t, "keys", "accepts no token at all")
	for i, name := range list {
		if contains(names, name) {
			continue
		}
		text := "no key has this name"
		if near := nearest(name, names); near != "" {
			text += "; did you mean " + shortened(near) + "?"
		} else {
			text += "; use the name of one of the policy's keys"
		}
		t.Refuse(element("keys", i), text)
	}
	return list
}

// checkRoute looks for values that contradict each other.
func checkRoute(t *Tree, r Route, keys []Key) {
	if (t.Has("format") || t.Has("keys")) && !opens(r.Rule, keys) {
		at := "keys"
		if t.Has("format") {
			at = "format"
		}
		t.Refuse(at, needsJWE)
	}
	for _, p := range r.Paths {
		if strings.Contains(p, ",/") {
			t.Warn("paths", "has an entry with a comma before a slash; if these are two paths, write two entries")
		}
	}
	if !r.Exempt {
		return
	}
	for _, field := range []string{"mode", "rollout", "format", "keys", "audience", "binding", "deny_annotations",
		"deny_issuers", "allow_issuers"} {
		if t.Has(field) {
			t.Warn(field, "has no effect beside check: none; delete one of the two")
		}
	}
	if len(r.Hosts) == 0 && len(r.Methods) == 0 && len(r.Paths) == 0 {
		t.Warn("check", "exempts every request that no earlier route matches; name hosts, methods or paths")
	}
}
