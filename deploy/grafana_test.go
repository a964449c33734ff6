package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dashboard is what these tests look at of grafana/dashboards/approovgate.json. Grafana itself is not run by them.
type dashboard struct {
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct{ List []annotation }
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  datasource
	GridPos     struct{ X, Y, W, H int }
	Targets     []target
	Collapsed   bool
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []json.RawMessage }
		}
	}
	Transformations []json.RawMessage
}

type target struct {
	RefID          string
	Expr           string
	LegendFormat   string
	Instant, Range bool
	Format         string
	Datasource     datasource
}

type datasource struct{ Type, UID string }

type variable struct {
	Name, Type, Definition string
	AllValue               *string
	IncludeAll             bool
	Query                  any
}

type annotation struct {
	Name, Expr, TitleFormat, TextFormat string
	BuiltIn                             int
	Enable                              bool
	Datasource                          datasource
}

const dashboardFile = "grafana/dashboards/approovgate.json"

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	if len(d.Panels) == 0 {
		t.Fatalf("%s has no panels", dashboardFile)
	}
	return d
}

// query is what Grafana would ask Prometheus.
type query struct {
	expr    string
	legend  string // shows labels of the series, as {{label}}
	instant bool
	mark    bool // an annotation: it has no series most of the time
}

// queries are those of panels, annotations and variables, by where they stand. A variable's is the series it reads.
func (d dashboard) queries() map[string]query {
	all := map[string]query{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[fmt.Sprintf("panel %d %q %s", p.ID, p.Title, target.RefID)] = query{expr: target.Expr, legend: target.LegendFormat, instant: target.Instant}
		}
	}
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			all["annotation "+a.Name] = query{expr: a.Expr, legend: a.TitleFormat + a.TextFormat, mark: true}
		}
	}
	for _, v := range d.Templating.List {
		if series, _, ok := v.labelValues(); ok {
			all["variable "+v.Name] = query{expr: series, instant: true}
		}
	}
	return all
}

// labelValues takes label_values(series, label) apart.
func (v variable) labelValues() (series, label string, ok bool) {
	inner, ok := strings.CutPrefix(v.Definition, "label_values(")
	comma := strings.LastIndex(inner, ", ")
	if !ok || comma < 0 || !strings.HasSuffix(inner, ")") {
		return "", "", false
	}
	return inner[:comma], strings.TrimSuffix(inner[comma+2:], ")"), true
}

func TestTheDashboardIsWellFormed(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion < 36 || d.SchemaVersion > 39 {
		t.Errorf("got schemaVersion %d, want what Grafana 10 and 11 both read: 36 to 39", d.SchemaVersion)
	}
	seen, titles := map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		if p.ID <= 0 || seen[p.ID] {
			t.Errorf("panel %q: id %d is not positive and unique", p.Title, p.ID)
		}
		if p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d: title %q is empty or used twice", p.ID, p.Title)
		}
		seen[p.ID], titles[p.Title] = true, true
		if p.Type == "row" {
			if p.Collapsed || len(p.Targets) > 0 {
				t.Errorf("row %q is collapsed or has targets; these tests read open rows only", p.Title)
			}
			continue
		}
		checkPanel(t, p)
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("panel %q: got description %q, unit %q, %d targets; want all of them", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	if slices.Contains([]string{"stat", "bargauge", "state-timeline"}, p.Type) && len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
		t.Errorf("panel %q has colours without thresholds", p.Title)
	}
	if !slices.Contains([]string{"stat", "bargauge", "state-timeline", "timeseries", "table"}, p.Type) {
		t.Errorf("panel %q is a %s, which is not known to be part of Grafana 10 and 11", p.Title, p.Type)
	}
	ids := map[string]bool{}
	for _, target := range p.Targets {
		if target.Expr == "" || target.LegendFormat == "" || target.RefID == "" || ids[target.RefID] {
			t.Errorf("panel %q: target %q has expression %q and legend %q, want an id of its own and both", p.Title, target.RefID, target.Expr, target.LegendFormat)
		}
		ids[target.RefID] = true
		if target.Instant == target.Range {
			t.Errorf("panel %q: target %s is instant %t, range %t, want one of the two", p.Title, target.RefID, target.Instant, target.Range)
		}
		if (target.Format == "table") != (p.Type == "table") {
			t.Errorf("panel %q: a %s gets the format %q", p.Title, p.Type, target.Format)
		}
		if target.Datasource != prometheusVariable || p.Datasource != prometheusVariable {
			t.Errorf("panel %q: got data sources %v and %v, want the variable's", p.Title, p.Datasource, target.Datasource)
		}
		if !strings.Contains(target.Expr, `job=~"$job"`) {
			t.Errorf("panel %q asks for gates of every fleet: %s", p.Title, target.Expr)
		}
	}
}

var prometheusVariable = datasource{"prometheus", "${datasource}"}

func TestPanelsDoNotOverlap(t *testing.T) {
	const columns = 24
	taken := map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if g := p.GridPos; g.X < 0 || g.W < 1 || g.H < 1 || g.X+g.W > columns {
			t.Errorf("panel %q lies at %+v, want inside %d columns", p.Title, g, columns)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap at column %d, line %d", other, p.Title, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestVariablesAndAnnotations(t *testing.T) {
	d := readDashboard(t)
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if _, _, ok := v.labelValues(); v.Type == "query" && (!ok || !v.IncludeAll) {
			t.Errorf("variable %s: got %q, all %t; want label_values and a choice of all", v.Name, v.Definition, v.IncludeAll)
		}
		if asked, isMap := v.Query.(map[string]any); isMap && asked["query"] != v.Definition {
			t.Errorf("variable %s: query %q and definition %q differ", v.Name, asked["query"], v.Definition)
		}
	}
	if want := []string{"datasource", "job", "instance", "route"}; !slices.Equal(names, want) {
		t.Errorf("got variables %q, want %q", names, want)
	}
	control := false
	for _, a := range d.Annotations.List {
		control = control || strings.Contains(a.Expr, "approovgate_control_changes_total") && a.Enable
		if a.BuiltIn == 0 && (a.TitleFormat == "" || a.Datasource != prometheusVariable) {
			t.Errorf("annotation %s: got title %q from %v, want both", a.Name, a.TitleFormat, a.Datasource)
		}
	}
	if !control {
		t.Error("no annotation marks changes of control")
	}
}

// TestTheProvisioningFilesAreRight reads them as far as Grafana's pages describe them.
func TestTheProvisioningFilesAreRight(t *testing.T) {
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	readYAML(t, "grafana/provisioning/dashboards/approovgate.yaml", &dashboards)
	if len(dashboards.Providers) != 1 || dashboards.APIVersion != 1 || dashboards.Providers[0].Type != "file" || !filepath.IsAbs(dashboards.Providers[0].Options.Path) {
		t.Errorf("dashboards: got %+v, want one provider of files", dashboards)
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, URL string
			JSONData        struct {
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
	readYAML(t, "grafana/provisioning/datasources/prometheus.yaml", &sources)
	var scrape struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
		}
	}
	readYAML(t, "prometheus/prometheus.yml", &scrape)
	if len(sources.Datasources) != 1 || sources.APIVersion != 1 || sources.Datasources[0].Type != "prometheus" ||
		sources.Datasources[0].JSONData.TimeInterval != scrape.Global.Interval {
		t.Errorf("data sources: got %+v, want one Prometheus that scrapes every %s", sources, scrape.Global.Interval)
	}
}
