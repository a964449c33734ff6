package deploy

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

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
	name := regexp.MustCompile(`"(approovgate_[a-z_]+)"`)
	var registered []string
	for _, pattern := range []string{"../proxy/*.go", "../internal/host/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range name.FindAllSubmatch(text, -1) {
				if !strings.HasSuffix(file, "_test.go") {
					registered = append(registered, string(found[1]))
				}
			}
		}
	}
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(approovgate_[a-z_]+)` \\|").FindAllStringSubmatch(operations(t), -1) {
		named = append(named, row[1])
	}
	slices.Sort(registered)
	slices.Sort(named)
	if registered = slices.Compact(registered); !slices.Equal(named, registered) {
		t.Errorf("the page's metrics:\ngot  %q\nwant %q", named, registered)
	}
}

// TestAlertsNameMetricsThatAreThere reads the alerts of the page and looks for their metrics in its table.
func TestAlertsNameMetricsThatAreThere(t *testing.T) {
	text := operations(t)
	_, block, _ := strings.Cut(text, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(block), &file); err != nil || len(file.Groups) == 0 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("the page's alerts: %v, %d groups; want rules", err, len(file.Groups))
	}
	for _, rule := range file.Groups[0].Rules {
		metrics := regexp.MustCompile(`approovgate_[a-z_]+`).FindAllString(rule.Expr, -1)
		if rule.Alert == "" || len(metrics) == 0 {
			t.Errorf("got alert %q of %q, want a name and a metric", rule.Alert, rule.Expr)
		}
		for _, metric := range metrics {
			if !strings.Contains(text, "| `"+metric+"` |") {
				t.Errorf("%s asks for %s, which the page's table does not have", rule.Alert, metric)
			}
		}
		if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
		}
	}
}
