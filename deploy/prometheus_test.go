package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The rules: of gates, and of the attestation service.
const (
	gateRules    = "alerts"
	serviceRules = "attestserver"
)

// alert is one rule of prometheus/alerts.yml or attestserver.yml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

type alertGroup struct {
	Name  string  `yaml:"name"`
	Rules []alert `yaml:"rules"`
}

type alertFile struct {
	Groups []alertGroup `yaml:"groups"`
}

// readAlerts reads rules: one file, or several as if they were one.
func readAlerts(t *testing.T, names ...string) (all alertFile) {
	t.Helper()
	for _, name := range names {
		var file alertFile
		readYAML(t, "prometheus/"+name+".yml", &file)
		if len(file.Groups) == 0 {
			t.Fatalf("prometheus/%s.yml has no groups", name)
		}
		all.Groups = append(all.Groups, file.Groups...)
	}
	return all
}

// all are the rules of all groups.
func (f alertFile) all() []alert {
	var rules []alert
	for _, group := range f.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func writeYAML(t *testing.T, path string, value any) {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPromtoolTakesConfigurationAndRules has promtool read the example, which names the rules.
func TestPromtoolTakesConfigurationAndRules(t *testing.T) {
	promtool := installed(t, "promtool", "prometheus")
	out, err := exec.Command(promtool, "check", "config", "prometheus/prometheus.yml").CombinedOutput()
	if err != nil || strings.Count(string(out), "SUCCESS") != 4 || !strings.Contains(string(out), "alerts.yml") || !strings.Contains(string(out), "attestserver.yml") {
		t.Errorf("promtool check config: %v, want success for configuration and rules\n%s", err, out)
	}
}

// TestEveryAlertFiresAndIsSilent runs the rules' own tests, and sees that each rule has one in which it fires and one in
// which it does not. promtool would compare annotations too, letter by letter; it gets the rules without them. Those
// are rendered in TestEveryExpressionHasSeries.
func TestEveryAlertFiresAndIsSilent(t *testing.T) {
	for _, name := range []string{gateRules, serviceRules} {
		t.Run(name, func(t *testing.T) { fireAll(t, name) })
	}
}

func fireAll(t *testing.T, name string) {
	tests := "prometheus/testdata/" + name + "_test.yml"
	var cases struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	readYAML(t, tests, &cases)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, group := range cases.Tests {
		for _, one := range group.Cases {
			if len(one.Expect) > 0 {
				fires[one.Alert] = true
			} else {
				silent[one.Alert] = true
			}
		}
	}
	rules := readAlerts(t, name)
	for _, rule := range rules.all() {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: fires in a test: %t, is silent in one: %t, want both", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
	}

	promtool := installed(t, "promtool", "prometheus")
	for _, group := range rules.Groups {
		for i := range group.Rules {
			group.Rules[i].Annotations = nil
		}
	}
	dir := t.TempDir()
	writeYAML(t, filepath.Join(dir, name+".yml"), rules)
	text, err := os.ReadFile(tests)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, filepath.Base(tests))
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// TestEveryAlertSaysWhatToDo looks for what a person needs who is woken by it.
func TestEveryAlertSaysWhatToDo(t *testing.T) {
	const link, page = "https://github.com/approovgate/approovgate/blob/main/", "docs/runbooks/alerts.md"
	text, err := os.ReadFile("../" + page)
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, found := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		headings = append(headings, found[1])
	}
	var names []string
	for _, rule := range readAlerts(t, gateRules, serviceRules).all() {
		names = append(names, rule.Alert)
		if want := []string{"critical", "warning", "info"}; !slices.Contains(want, rule.Labels["severity"]) {
			t.Errorf("%s: got severity %q, want one of %q", rule.Alert, rule.Labels["severity"], want)
		}
		for _, needed := range []string{"summary", "description"} {
			if rule.Annotations[needed] == "" {
				t.Errorf("%s has no %s", rule.Alert, needed)
			}
		}
		if got, want := rule.Annotations["runbook_url"], link+page+"#"+strings.ToLower(rule.Alert); got != want {
			t.Errorf("%s: got runbook_url %q, want %q", rule.Alert, got, want)
		}
	}
	if !slices.Equal(headings, names) {
		t.Errorf("the alerts in %s:\ngot  %q\nwant %q", page, headings, names)
	}
}

// metricNames are the metrics that an expression asks for. Those of histograms are returned as their page has them.
func metricNames(expression string) []string {
	plain := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(expression, "")
	var names []string
	for _, found := range regexp.MustCompile(`\b(?:(?:approovgate|go|process)_[a-z_]+|up\b|[a-z_]+\{)`).FindAllString(plain, -1) {
		found = strings.TrimSuffix(found, "{")
		if base, isBucket := strings.CutSuffix(found, "_bucket"); isBucket {
			found = base
		}
		names = append(names, found)
	}
	return names
}

// TestExpressionsNameMetricsThatAreDocumented looks for the metrics of dashboard and alerts in the page's table. Go's
// and the process's own are proved to be there by TestEveryExpressionHasSeries.
func TestExpressionsNameMetricsThatAreDocumented(t *testing.T) {
	known := map[string]bool{"up": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `(approovgate_[a-z_]+)` \\|").FindAllStringSubmatch(operations(t), -1) {
		known[row[1]] = true
	}
	asked := 0
	for where, expression := range allExpressions(t) {
		names := metricNames(expression)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric: %s", where, expression)
		}
		asked += len(names)
		for _, name := range names {
			if !known[name] && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
				t.Errorf("%s asks for %s, which the page's table does not have", where, name)
			}
		}
	}
	if asked < 100 {
		t.Errorf("got %d metrics in all expressions, want more than 100: is everything read?", asked)
	}
}

// allExpressions are those of gates' alerts, panels, annotations and variables, by where they stand. Those of the
// attestation service's alerts are asked of a service in package attestd.
func allExpressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, rule := range readAlerts(t, gateRules).all() {
		all["alert "+rule.Alert] = rule.Expr
	}
	for where, q := range readDashboard(t).queries() {
		all[where] = q.expr
	}
	return all
}

// registered are the metrics in the code that registers them.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
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
			for _, found := range regexp.MustCompile(`"(approovgate_[a-z_]+)"`).FindAllSubmatch(text, -1) {
				if !strings.HasSuffix(file, "_test.go") {
					names[string(found[1])] = true
				}
			}
		}
	}
	return names
}
