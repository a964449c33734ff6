package host

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

var (
	controlActiveDesc = prometheus.NewDesc("approovgate_control_active",
		"1 while an override in this slot lasts; while both do, local wins.", []string{"slot"}, nil)
	controlUntilDesc = prometheus.NewDesc("approovgate_control_until_timestamp_seconds",
		"When the override in this slot ends, Unix seconds; absent where none lasts or it has no end.", []string{"slot"}, nil)
	controlVersionDesc = prometheus.NewDesc("approovgate_control_version",
		"Version of the control document in this slot; 0: there never was one.", []string{"slot"}, nil)
	keepFailingDesc = prometheus.NewDesc("approovgate_control_cache_failing",
		"1 when what sources brought could not be kept in control.cache, so that a restart would not find it.", nil, nil)
	routeModeDesc = prometheus.NewDesc("approovgate_route_mode",
		"Always 1; the labels are the route (empty: none matched), the mode in force and whose it is: policy, local or remote. Exempt routes have none.",
		[]string{"route", "mode", "says"}, nil)
	routeRolloutDesc = prometheus.NewDesc("approovgate_route_rollout_percent",
		"Percent of the devices that mode enforce holds for on this route.", []string{"route"}, nil)
	sourceUpDesc = prometheus.NewDesc("approovgate_source_up",
		"1 when the last attempt to read this source of keys or control brought something good; absent before the first.", []string{"source"}, nil)
	sourceGoodDesc = prometheus.NewDesc("approovgate_source_last_success_timestamp_seconds",
		"When this source last brought something good, in this run or an earlier one, Unix seconds.", []string{"source"}, nil)
	sourceFetchesDesc = prometheus.NewDesc("approovgate_source_fetches_total",
		"Attempts to fetch from this source, by result: success or failure.", []string{"source", "result"}, nil)
	keyTokensDesc = prometheus.NewDesc("approovgate_key_tokens_total",
		"Tokens that keys of this name have opened; expired ones do not count.", []string{"key"}, nil)
	keyLastUseDesc = prometheus.NewDesc("approovgate_key_last_use_timestamp_seconds",
		"When a key of this name last opened a token, Unix seconds; absent: never.", []string{"key"}, nil)
)

// controlDescs are what the functions below collect.
var controlDescs = []*prometheus.Desc{controlActiveDesc, controlUntilDesc, controlVersionDesc, keepFailingDesc, routeModeDesc, routeRolloutDesc,
	sourceUpDesc, sourceGoodDesc, sourceFetchesDesc, keyTokensDesc, keyLastUseDesc}

// collectControl reads the slots, and what the routes do under them.
func collectControl(status *gate.Status, out chan<- prometheus.Metric) {
	for slot, c := range map[string]config.Control{slotNames[gate.Local]: status.Local, slotNames[gate.Remote]: status.Remote} {
		active := 0.0
		if now := c.At(status.Now); !now.Empty() {
			active = 1
			if !c.Until.IsZero() {
				gauge(out, controlUntilDesc, seconds(c.Until), slot)
			}
		}
		gauge(out, controlActiveDesc, active, slot)
		gauge(out, controlVersionDesc, float64(c.Version), slot)
	}
	failing := 0.0
	if status.KeepFailure != "" {
		failing = 1
	}
	gauge(out, keepFailingDesc, failing)
	collectRoutes(status.Routes, out)
}

// collectRoutes reads what routes do. Several policies under one name of a gate may have routes of one name: then
// every mode that one of them is in shows, and the lowest rollout.
func collectRoutes(routes []gate.RouteStatus, out chan<- prometheus.Metric) {
	type does struct{ name, mode, says string }
	modes, rollouts := map[does]bool{}, map[string]int{}
	for _, route := range routes {
		if route.Exempt {
			continue
		}
		modes[does{route.Name, string(route.Mode), route.Says}] = true
		if lowest, known := rollouts[route.Name]; !known || route.Rollout < lowest {
			rollouts[route.Name] = route.Rollout
		}
	}
	for d := range modes {
		gauge(out, routeModeDesc, 1, d.name, d.mode, d.says)
	}
	for name, rollout := range rollouts {
		gauge(out, routeRolloutDesc, float64(rollout), name)
	}
}

// collectSources reads what became of the sources of keys and control.
func collectSources(status *gate.Status, out chan<- prometheus.Metric) {
	up := func(name, failure string) {
		value := 0.0
		if failure == "" {
			value = 1
		}
		gauge(out, sourceUpDesc, value, name)
	}
	if status.File != "" {
		up("control.file", status.FileProblem)
	}
	for _, s := range status.Sources {
		if s.Tries > 0 {
			up(s.Name, s.Failure)
		}
		if !s.Good.IsZero() {
			gauge(out, sourceGoodDesc, seconds(s.Good), s.Name)
		}
		out <- prometheus.MustNewConstMetric(sourceFetchesDesc, prometheus.CounterValue, float64(s.Tries-s.Fails), s.Name, "success")
		out <- prometheus.MustNewConstMetric(sourceFetchesDesc, prometheus.CounterValue, float64(s.Fails), s.Name, "failure")
	}
}

// collectUses reads how often the keys were used. Keys of one name are counted together already.
func collectUses(keys []gate.KeyStatus, out chan<- prometheus.Metric) {
	known := map[string]bool{}
	for _, key := range keys {
		if known[key.Name] {
			continue
		}
		known[key.Name] = true
		out <- prometheus.MustNewConstMetric(keyTokensDesc, prometheus.CounterValue, float64(key.Tokens), key.Name)
		if !key.LastUse.IsZero() {
			gauge(out, keyLastUseDesc, seconds(key.LastUse), key.Name)
		}
	}
}

func gauge(out chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// seconds is a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
