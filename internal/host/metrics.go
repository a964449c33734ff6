package host

import (
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/approovgate/approovgate/gate"
)

// Metrics are what Prometheus sees of a gate. No label holds anything a client sends: routes, modes and
// reasons are the policy's words and ours.
type Metrics struct {
	Registry *prometheus.Registry // holds the gate's collectors and those of Go and the process
	*Reloads
}

// NewMetrics makes the metrics of a gate, and more of its host's, in a registry of their own.
func NewMetrics(g View, more ...prometheus.Collector) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry(), Reloads: NewReloads()}
	m.Registry.MustRegister(m.Reloads, GateMetrics(g), buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Registry.MustRegister(more...)
	return m
}

// Reloads counts attempts to take changed files into force.
type Reloads struct{ *prometheus.CounterVec }

// NewReloads starts at nought.
func NewReloads() *Reloads {
	r := &Reloads{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "approovgate_config_reloads_total",
		Help: "Attempts to take a changed policy or key into force, by result: success or failure.",
	}, []string{"result"})}
	for _, result := range []string{"success", "failure"} {
		r.WithLabelValues(result) // present from the start, for rate()
	}
	return r
}

// Reloaded counts an attempt to take a changed policy or key into force.
func (r *Reloads) Reloaded(ok bool) {
	result := "failure"
	if ok {
		result = "success"
	}
	r.WithLabelValues(result).Inc()
}

// gateCollector reads a gate's counters and status when Prometheus asks.
type gateCollector struct{ gate View }

// GateMetrics are the metrics of a gate alone, for hosts that have a registry already.
func GateMetrics(g View) prometheus.Collector { return gateCollector{g} }

var (
	decisionsDesc = prometheus.NewDesc("approovgate_decisions_total",
		"Decisions by route (empty: none matched), mode, verdict, reason and action.",
		[]string{"route", "mode", "verdict", "reason", "action"}, nil)
	unboundDesc = prometheus.NewDesc("approovgate_unbound_total",
		"Tokens without pay that a bound route accepted, as its missing_pay allows.", []string{"route"}, nil)
	loadedDesc = prometheus.NewDesc("approovgate_config_last_success_timestamp_seconds",
		"When the policy in force was taken into force, Unix seconds.", nil, nil)
	failingDesc = prometheus.NewDesc("approovgate_config_failing",
		"1 when policy or keys could not be loaded again and older ones are in force.", nil, nil)
	keysDesc = prometheus.NewDesc("approovgate_keys",
		"Keys of the policy in force, by whether they are inside their window.", []string{"usable"}, nil)
)

var (
	keyUsableDesc = prometheus.NewDesc("approovgate_key_usable",
		"Keys of this name that are inside their window.", []string{"key"}, nil)
	keyLoadedDesc = prometheus.NewDesc("approovgate_key_loaded_timestamp_seconds",
		"Since when the key is in force as it is, Unix seconds.", []string{"key"}, nil)
	keyEndDesc = prometheus.NewDesc("approovgate_key_not_after_timestamp_seconds",
		"When the key's window ends, Unix seconds; absent where it does not.", []string{"key"}, nil)
)

// Describe announces the metrics of a gate.
func (c gateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{decisionsDesc, unboundDesc, loadedDesc, failingDesc, keysDesc, keyUsableDesc, keyLoadedDesc, keyEndDesc}, controlDescs...) {
		out <- d
	}
}

// Collect reads them.
func (c gateCollector) Collect(out chan<- prometheus.Metric) {
	for _, n := range c.gate.Counters() {
		out <- prometheus.MustNewConstMetric(decisionsDesc, prometheus.CounterValue, float64(n.N),
			n.Route, string(n.Mode), string(n.Verdict), string(n.Reason), string(n.Action))
	}
	for _, n := range c.gate.BindingCounts() {
		if n.Unbound > 0 {
			out <- prometheus.MustNewConstMetric(unboundDesc, prometheus.CounterValue, float64(n.Unbound), n.Route)
		}
	}
	status := c.gate.Status()
	failing := 0.0
	if status.Failing {
		failing = 1
	}
	keys := map[bool]int{}
	for _, key := range status.Keys {
		keys[key.Usable]++
	}
	out <- prometheus.MustNewConstMetric(loadedDesc, prometheus.GaugeValue, float64(status.Loaded.UnixMilli())/1000)
	out <- prometheus.MustNewConstMetric(failingDesc, prometheus.GaugeValue, failing)
	collectKeys(status.Keys, out)
	collectUses(status.Keys, out)
	collectControl(&status, out)
	collectSources(&status, out)
	for _, usable := range []bool{true, false} {
		out <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(keys[usable]), strconv.FormatBool(usable))
	}
}

// collectKeys reads what is known of each key. A key set has several of one name.
func collectKeys(keys []gate.KeyStatus, out chan<- prometheus.Metric) {
	usable, newest := map[string]int{}, map[string]gate.KeyStatus{}
	for _, key := range keys {
		if key.Usable {
			usable[key.Name]++
		}
		if one, known := newest[key.Name]; !known || one.Loaded.Before(key.Loaded) {
			newest[key.Name] = key
		}
	}
	for name, key := range newest {
		out <- prometheus.MustNewConstMetric(keyUsableDesc, prometheus.GaugeValue, float64(usable[name]), name)
		out <- prometheus.MustNewConstMetric(keyLoadedDesc, prometheus.GaugeValue, float64(key.Loaded.Unix()), name)
		if !key.NotAfter.IsZero() {
			out <- prometheus.MustNewConstMetric(keyEndDesc, prometheus.GaugeValue, float64(key.NotAfter.Unix()), name)
		}
	}
}

// buildInfo is a constant 1 whose labels tell which program this is.
func buildInfo() prometheus.Collector {
	b := build()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "approovgate_build_info", Help: "Always 1; the labels are the program's.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "go": b.goVersion},
	}, func() float64 { return 1 })
}

// Version is this program's version, revision and Go version, in one line.
func Version() string {
	b := build()
	parts := []string{b.version}
	if b.revision != "" {
		parts = append(parts, b.revision)
	}
	return strings.Join(append(parts, b.goVersion), " ")
}

type buildFacts struct{ version, revision, goVersion string }

// build reads what the Go tool has written into the program. A program built outside a checkout has
// no revision, one built from a checkout without a tag the version "(devel)".
func build() buildFacts {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return buildFacts{version: "(unknown)"}
	}
	b := buildFacts{version: info.Main.Version, goVersion: info.GoVersion}
	if b.version == "" {
		b.version = "(devel)"
	}
	const short = 12 // digits of a commit id
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) > short {
			b.revision = setting.Value[:short]
		}
	}
	return b
}
