package deploy

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/proxy"
)

func operations(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// defaults are the limits of a gate file that says nothing about them, or what the given ones make of them.
func defaults(t *testing.T, limits map[string]any) proxy.Limits {
	t.Helper()
	c, problems := proxy.DecodeConfig(map[string]any{"listen": "127.0.0.1:0", "upstream": "http://127.0.0.1:9000", "limits": limits,
		"policy": map[string]any{"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "env:SECRET"}}}})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	return c.Limits
}

// TestThePagesLimitsAreTheDefaults decodes the page's table of limits and compares it with an empty one.
func TestThePagesLimitsAreTheDefaults(t *testing.T) {
	limits := map[string]any{}
	for _, row := range regexp.MustCompile("(?m)^\\| `limits\\.(\\w+)` \\| (\\S+) \\|").FindAllStringSubmatch(operations(t), -1) {
		limits[row[1]] = row[2]
	}
	want := defaults(t, map[string]any{})
	if got := defaults(t, limits); got != want {
		t.Errorf("the page's limits: got %+v, want %+v", got, want)
	}
	if fields := reflect.TypeOf(want).NumField(); len(limits) != fields {
		t.Errorf("the page has %d limits, want all %d", len(limits), fields)
	}
}

// TestThePageNamesEveryMetric compares the page's table with the names in the code that registers metrics.
func TestThePageNamesEveryMetric(t *testing.T) {
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(approovgate_[a-z_]+)` \\|").FindAllStringSubmatch(operations(t), -1) {
		named = append(named, row[1])
	}
	slices.Sort(named)
	if want := slices.Sorted(maps.Keys(registered(t))); !slices.Equal(named, want) {
		t.Errorf("the page's metrics:\ngot  %q\nwant %q", named, want)
	}
}
