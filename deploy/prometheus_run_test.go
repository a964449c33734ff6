//go:build linux

package deploy

import (
	"encoding/json"
	"fmt"
	"github.com/approovgate/approovgate/internal/porttest"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// allPatience is how long it may take until every expression has series, on a machine that does other things too.
const allPatience = 90 * time.Second

// noSeries are the alerts whose expressions have none while all is well, whatever the limit in them.
var noSeries = map[string]string{"ApproovGatesGone": "absent() has series only when there are no gates"}

// TestEveryExpressionHasSeries runs two gates with some traffic and a Prometheus that scrapes them, and asks it what
// Grafana would ask, and what the alerts do: a misspelt metric, label or value finds nothing. Alerts are asked with their
// limits lifted, so that they have series whatever the values are; that shows as well what their texts become.
func TestEveryExpressionHasSeries(t *testing.T) {
	program := installed(t, "prometheus", "prometheus")
	server := startPrometheus(t, program, startFleet(t))

	waiting := map[string]query{}
	maps.Copy(waiting, readDashboard(t).queries())
	silent := map[string]bool{}
	for _, rule := range readAlerts(t, gateRules).all() {
		if noSeries[rule.Alert] == "" {
			silent[rule.Alert] = true
		}
	}
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(allPatience)
	for {
		choice := server.choices(t, readDashboard(t))
		for where, q := range waiting {
			if len(choice) == 3 && server.hasSeries(t, q, choice) {
				delete(waiting, where)
			}
		}
		server.rules(t, silent)
		if len(waiting) == 0 && len(silent) == 0 {
			break
		}
		select {
		case <-again.C:
		case <-deadline:
			for where, q := range waiting {
				t.Errorf("%s: got no series, want some: %s", where, q.expr)
			}
			t.Fatalf("the variables' choices: %q; rules without series: %q", choice, slices.Sorted(maps.Keys(silent)))
		}
	}
	server.checkPods(t)
}

// promServer is a Prometheus of this test's own.
type promServer struct{ address string }

// ask calls Prometheus's API. Its errors end the test.
func (s promServer) ask(t *testing.T, path string, parameters url.Values, into any) {
	t.Helper()
	client := &http.Client{Timeout: allPatience}
	response, err := client.Get("http://" + s.address + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s %v: %s %v", path, parameters, body, err)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		t.Fatal(err)
	}
}

// choices are what the dashboard's variables stand for when all is chosen.
func (s promServer) choices(t *testing.T, d dashboard) map[string]string {
	t.Helper()
	chosen := map[string]string{}
	for _, v := range d.Templating.List {
		series, label, ok := v.labelValues()
		if !ok {
			continue
		}
		var values []string
		s.ask(t, "label/"+label+"/values", url.Values{"match[]": {interpolate(t, series, chosen)}}, &values)
		if len(values) == 0 {
			return chosen
		}
		for i := range values {
			values[i] = strings.ReplaceAll(regexp.QuoteMeta(values[i]), `\`, `\\`)
		}
		chosen[v.Name] = strings.Join(values, "|")
		if v.AllValue != nil {
			chosen[v.Name] = *v.AllValue
		}
	}
	return chosen
}

// interpolate puts values in the place of Grafana's variables.
func interpolate(t *testing.T, expression string, chosen map[string]string) string {
	t.Helper()
	pairs := []string{"$__rate_interval", "1m", "$__range", "1m"}
	for name, value := range chosen {
		pairs = append(pairs, "$"+name, value)
	}
	plain := strings.NewReplacer(pairs...).Replace(expression)
	if strings.Contains(plain, "$") {
		t.Fatalf("%s: got %s, which has a variable that no one sets", expression, plain)
	}
	return plain
}

// hasSeries asks for what a panel or an annotation shows and reports whether there is a value that is a number, of a series
// with the labels that are shown.
func (s promServer) hasSeries(t *testing.T, q query, chosen map[string]string) bool {
	t.Helper()
	expression := interpolate(t, q.expr, chosen)
	if q.mark {
		expression = unconditional(expression)
	}
	path, parameters := "query", url.Values{"query": {expression}}
	if !q.instant {
		now := time.Now()
		path = "query_range"
		parameters.Set("start", strconv.FormatInt(now.Add(-10*time.Second).Unix(), 10))
		parameters.Set("end", strconv.FormatInt(now.Unix(), 10))
		parameters.Set("step", "1")
	}
	var answer struct {
		Result []struct {
			Metric map[string]string
			Value  []any
			Values [][]any
		}
	}
	s.ask(t, path, parameters, &answer)
	for _, series := range answer.Result {
		if !hasAll(series.Metric, regexp.MustCompile(`\{\{(\w+)\}\}`), q.legend) {
			continue
		}
		for _, sample := range append(series.Values, series.Value) {
			if len(sample) == 2 && sample[1] != "NaN" {
				return true
			}
		}
	}
	return false
}

// hasAll reports whether there is a label for each name that pattern finds in text.
func hasAll(labels map[string]string, pattern *regexp.Regexp, text string) bool {
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		if labels[found[1]] == "" {
			return false
		}
	}
	return true
}

// rules looks at Prometheus's own judgement of the rules. Those that have series with the labels in their texts are struck
// off the list.
func (s promServer) rules(t *testing.T, silent map[string]bool) {
	t.Helper()
	var answer struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Name, Health, LastError string
				Annotations             map[string]string
				Alerts                  []struct{ Labels, Annotations map[string]string }
			}
		}
	}
	s.ask(t, "rules", nil, &answer)
	for _, group := range answer.Groups {
		for _, rule := range group.Rules {
			if rule.Health == "err" {
				t.Fatalf("%s: %s", rule.Name, rule.LastError)
			}
			name, isLifted := strings.CutPrefix(rule.Name, lifted)
			for _, alert := range rule.Alerts {
				for key, text := range alert.Annotations {
					if strings.ContainsAny(text, "{}") || strings.Contains(text, "<no value>") || strings.Contains(text, "<error") {
						t.Fatalf("%s: its %s is %q", rule.Name, key, text)
					}
				}
				if isLifted && hasAll(alert.Labels, regexp.MustCompile(`\$labels\.(\w+)`), fmt.Sprint(rule.Annotations)) {
					delete(silent, name)
				}
			}
		}
	}
}

const lifted = "Lifted" // begins the names of rules without limits, and of their groups

// unconditional lifts the limits of an expression: its comparisons no longer drop series, and there is no past to compare
// with.
func unconditional(expression string) string {
	expression = regexp.MustCompile(` offset \w+`).ReplaceAllString(expression, "")
	parts := regexp.MustCompile(`\{[^}]*\}|"[^"]*"|[^{"]+`).FindAllString(expression, -1)
	for i, part := range parts {
		if part[0] != '{' && part[0] != '"' {
			parts[i] = regexp.MustCompile(`[<>=!]=|[<>]`).ReplaceAllString(part, "$0 bool")
		}
	}
	return strings.Join(parts, "")
}

func TestUnconditionalLiftsLimits(t *testing.T) {
	for expression, want := range map[string]string{
		`a{b!="c",d="x>1"} == 0`:                  `a{b!="c",d="x>1"} == bool 0`,
		`rate(a[5m] offset 1h) >= 1 and b < 2`:    `rate(a[5m]) >= bool 1 and b < bool 2`,
		`max(a) != on (job) group_left () min(b)`: `max(a) != bool on (job) group_left () min(b)`,
	} {
		if got := unconditional(expression); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

// startPrometheus runs a Prometheus with the example's configuration, but for its targets and times, and the alerts beside
// it. It ends with the test.
func startPrometheus(t *testing.T, program string, targets []string) promServer {
	t.Helper()
	dir := t.TempDir()
	rules := readAlerts(t, gateRules)
	for i, group := range rules.Groups {
		rules.Groups[i].Name = lifted + group.Name
		for j, rule := range group.Rules {
			rules.Groups[i].Rules[j].Alert, rules.Groups[i].Rules[j].Expr, rules.Groups[i].Rules[j].For = lifted+rule.Alert, unconditional(rule.Expr), ""
		}
	}
	writeYAML(t, filepath.Join(dir, "lifted.yml"), rules)
	alerts, err := filepath.Abs("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var configuration, pods map[string]any
	readYAML(t, "prometheus/prometheus.yml", &configuration)
	configuration["global"] = map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}
	configuration["rule_files"] = []any{alerts, filepath.Join(dir, "lifted.yml")}
	jobs := configuration["scrape_configs"].([]any)
	jobs[0].(map[string]any)["static_configs"] = []any{map[string]any{"targets": targets}}
	readYAML(t, "prometheus/kubernetes.yml", &pods)
	job := pods["scrape_configs"].([]any)[0].(map[string]any)
	delete(job, "kubernetes_sd_configs") // Debian's Prometheus is built without it
	job["static_configs"] = discoveredPods(targets[0])
	configuration["scrape_configs"] = append(jobs[:1], job) // the gates; no attestation service runs here
	file := filepath.Join(dir, "prometheus.yml")
	writeYAML(t, file, configuration)

	for range 5 { // another program may take the free port first
		server := promServer{porttest.Free(t)}
		command := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"),
			"--web.listen-address="+server.address, "--log.level=warn")
		command.Stdout, command.Stderr = t.Output(), t.Output()
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { // ended by the process's end
			_ = command.Wait() // it is killed below
			close(ended)
		}()
		t.Cleanup(func() {
			_ = command.Process.Kill() // it may have ended by itself
			<-ended
		})
		if server.ready(ended) {
			return server
		}
	}
	t.Fatal("Prometheus did not start")
	return promServer{}
}

// ready waits until the server is, and reports whether it has come to that.
func (s promServer) ready(ended <-chan struct{}) bool {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(allPatience)
	for {
		if response, err := http.Get("http://" + s.address + "/-/ready"); err == nil {
			_ = response.Body.Close() // its status is all that counts
			if response.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-again.C:
		case <-ended:
			return false
		case <-deadline:
			return false
		}
	}
}

// discoveredPods are targets with the labels that Kubernetes' API would give them: two ports of a pod.
func discoveredPods(address string) []any {
	var targets []any
	for container, port := range map[string]string{"gate": "status", "api": "http"} {
		targets = append(targets, map[string]any{"targets": []any{address}, "labels": map[string]any{
			"__meta_kubernetes_namespace": "shop", "__meta_kubernetes_pod_label_app": "api", "__meta_kubernetes_pod_name": "api-7d9-x2",
			"__meta_kubernetes_pod_container_name": container, "__meta_kubernetes_pod_container_port_name": port,
		}})
	}
	return targets
}

// checkPods looks at what kubernetes.yml makes of them.
func (s promServer) checkPods(t *testing.T) {
	t.Helper()
	var answer struct {
		ActiveTargets []struct {
			ScrapePool string
			Labels     map[string]string
		}
		DroppedTargets []any
	}
	s.ask(t, "targets", nil, &answer)
	var got []string
	for _, target := range answer.ActiveTargets {
		if target.ScrapePool == "approovgate-pods" {
			got = append(got, fmt.Sprint(target.Labels))
		}
	}
	if want := []string{"map[instance:api-7d9-x2 job:approovgate-shop-api]"}; !slices.Equal(got, want) || len(answer.DroppedTargets) != 1 {
		t.Errorf("pods: got %q and %d dropped, want %q and one", got, len(answer.DroppedTargets), want)
	}
}
