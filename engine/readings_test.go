package engine

import (
	"path"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

// The oracle of the loosened targets: whatever a backend does with a canonical path, in whatever order,
// the path it ends at must fall under the rule that was applied.

// Escaped slashes and semicolons, as characters of their own.
const (
	escapedSlash     = "\ue000"
	escapedSemicolon = "\ue001"
)

// backendSteps are what servers are known to do to a path, each in some order with the others.
var backendSteps = []func(text string) string{
	func(text string) string { return strings.ReplaceAll(text, escapedSlash, "/") },
	func(text string) string { return strings.ReplaceAll(text, escapedSemicolon, ";") },
	func(text string) string { // drop path parameters
		segments := strings.Split(text, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		return strings.Join(segments, "/")
	},
	path.Clean,
}

// backendReadings are all paths that up to six steps lead to.
func backendReadings(canonical string, t config.Targets) map[string]bool {
	marked := strings.NewReplacer("%2F", escapedSlash, "%3B", escapedSemicolon).Replace(canonical)
	seen := map[string]bool{slowDecode(marked): true}
	for range 6 {
		for text := range seen {
			for _, step := range backendSteps {
				seen[step(text)] = true
			}
		}
	}
	resources := map[string]bool{}
	for text := range seen {
		text = path.Clean("/" + strings.NewReplacer(escapedSlash, "%2F", escapedSemicolon, "%3B").Replace(text))
		resources[text] = true
		if t.FoldCase {
			for _, folded := range []string{strings.ToLower(text), strings.ToUpper(text), strings.ToLower(strings.ToUpper(text))} {
				resources[folded] = true
			}
		}
	}
	return resources
}

var looseRoutes = []config.Route{
	{Name: "health", Paths: []string{"/api/health"}},
	{Name: "admin", Paths: []string{"/api/admin", "/api/keys/**"}},
	{Name: "api", Paths: []string{"/api/**"}},
	{Name: "public", Paths: []string{"/public/**", "/api.", "/"}},
}

var loosePieces = []string{
	"/", "/", "/", "//", "api", "public", "admin", "keys", "health", "x", "..", ".", "%2f", "%2F", "%2e%2e", ";", ";p=1", "%3b", "%3B", ";a;b",
	"..;", "..%3b", "%2e%2e%2f", "%252f", "%2f..", "a%2fb", "\u212A", "k", "K", "API", "Admin", "\u017f", "%20", ".;", "%2f%2f",
}

// climbingPieces are those that together lead from one rule to another.
var climbingPieces = []string{"/a%2fb", "/..;", "/..%2f", "/..%3b", "..%2f", "/api", "/public", "/x", "/x;y%2f", "/x%3by%2f", "%2fapi"}

func (d draw) looseTarget() string {
	target := []string{"/public", "/api", "/public/", "/"}[d.IntN(4)]
	pieces := loosePieces
	if d.IntN(2) == 0 {
		pieces = climbingPieces
	}
	for n := d.IntN(9); n > 0; n-- {
		target += pieces[d.IntN(len(pieces))]
	}
	return target
}

func TestEveryReadingOfALoosenedTargetFallsUnderTheRuleApplied(t *testing.T) {
	for bits := byte(1); bits < 8; bits++ {
		flags := targetFlags(bits)
		e := &Engine{targets: flags, routes: newRoutes(looseRoutes, flags.FoldCase)}
		d := newDraw(uint64(bits))
		read, several := 0, 0
		for range 6000 {
			target := d.looseTarget()
			where, ok := e.locate(&Request{Method: "GET", Host: "a.example", Target: target})
			if !ok {
				continue
			}
			read++
			readings := backendReadings(where.target, flags)
			if len(readings) > 1 {
				several++
			}
			for reading := range readings {
				if rule := looseRule(reading, flags); rule != where.rule {
					t.Fatalf("%+v: %q is forwarded as %q under rule %d, a backend may read it as %q, rule %d",
						flags, target, where.target, where.rule, reading, rule)
				}
			}
		}
		if read < 500 || several < 50 {
			t.Errorf("%+v: got %d targets read, %d of them in several ways; the test tells little", flags, read, several)
		}
	}
}

// looseRule is the rule of a resource. Without regard to case, paths are compared as strings.EqualFold
// does, on a backend that upper-cases as on one that lower-cases.
func looseRule(resource string, t config.Targets) int {
	if t.FoldCase {
		resource = strings.ToLower(resource)
	}
	return naiveMatch(looseRoutes, "a.example", "GET", resource)
}

func TestLoosenedTargets(t *testing.T) {
	for _, row := range []struct {
		name, target string
		flags        config.Targets
		want         string // route; "refused"
	}{
		{"an encoded slash inside one rule is allowed", "/api/x%2Fy", config.Targets{EncodedSlash: true}, "api"},
		{"an encoded slash that leads to another rule is refused", "/api%2Fx", config.Targets{EncodedSlash: true}, "refused"},
		{"encoded slashes that climb are refused", "/public/..%2Fapi/admin", config.Targets{EncodedSlash: true}, "refused"},
		{"a parameter inside one rule is allowed", "/api/x;v=1/y", config.Targets{Semicolon: true}, "api"},
		{"a parameter that hides another rule's path is refused", "/api/admin;v=1", config.Targets{Semicolon: true}, "refused"},
		{"dots before a parameter are refused", "/public/..;/api/admin", config.Targets{Semicolon: true}, "refused"},
		{"escaped and plain parameters read differently are refused", "/public/..;/api/x/..%3B/..%3B/public/y", config.Targets{Semicolon: true}, "refused"},
		{"dots that different servers resolve differently are refused", "/public/a%2Fb/..;/..%2Fapi/admin", config.Targets{EncodedSlash: true, Semicolon: true}, "refused"},
		{"letter case is folded", "/API/Admin", config.Targets{FoldCase: true}, "admin"},
		{"a character that folds to a rule's letter is refused", "/api/\u212Aeys/1", config.Targets{FoldCase: true}, "refused"},
		{"letter case counts by default", "/API/Admin", config.Targets{}, ""},
	} {
		e := &Engine{targets: row.flags, routes: newRoutes(looseRoutes, row.flags.FoldCase)}
		got := "refused"
		if where, ok := e.locate(&Request{Method: "GET", Host: "a.example", Target: row.target}); ok {
			got = ""
			if where.rule < len(looseRoutes) {
				got = looseRoutes[where.rule].Name
			}
		}
		if got != row.want {
			t.Errorf("%s: %q got %q, want %q", row.name, row.target, got, row.want)
		}
	}
}
