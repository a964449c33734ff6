package host

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/mint"
)

// start is where the test's clock stands: Unix second 1800000000.
var start = time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)

// liveMetrics are what the tests below look at.
var liveMetrics = []string{
	"approovgate_control_active", "approovgate_control_until_timestamp_seconds", "approovgate_control_version", "approovgate_control_changes_total",
	"approovgate_route_mode", "approovgate_route_rollout_percent",
	"approovgate_source_up", "approovgate_source_last_success_timestamp_seconds", "approovgate_source_fetches_total",
	"approovgate_key_tokens_total", "approovgate_key_last_use_timestamp_seconds", "approovgate_clock_steps_total",
}

const livePolicy = `control: {file: control.yaml}
rollout: 25
routes:
- {name: health, paths: [/health], check: none}
- {name: transfers, paths: [/transfers], mode: log, rollout: 50}
`

// metricsAtFirst are those of livePolicy with two key sets that were not asked yet.
const metricsAtFirst = `
# HELP approovgate_clock_steps_total Times that the wall clock was set forward or back by more than 2 s.
# TYPE approovgate_clock_steps_total counter
approovgate_clock_steps_total 0
# HELP approovgate_control_active 1 while an override in this slot lasts; while both do, local wins.
# TYPE approovgate_control_active gauge
approovgate_control_active{slot="local"} 0
approovgate_control_active{slot="remote"} 0
# HELP approovgate_control_changes_total Control documents by slot and what became of them: set, cleared, ended or refused.
# TYPE approovgate_control_changes_total counter
approovgate_control_changes_total{kind="cleared",slot="local"} 0
approovgate_control_changes_total{kind="cleared",slot="remote"} 0
approovgate_control_changes_total{kind="ended",slot="local"} 0
approovgate_control_changes_total{kind="ended",slot="remote"} 0
approovgate_control_changes_total{kind="refused",slot="local"} 0
approovgate_control_changes_total{kind="refused",slot="remote"} 0
approovgate_control_changes_total{kind="set",slot="local"} 0
approovgate_control_changes_total{kind="set",slot="remote"} 0
# HELP approovgate_control_version Version of the control document in this slot; 0: there never was one.
# TYPE approovgate_control_version gauge
approovgate_control_version{slot="local"} 0
approovgate_control_version{slot="remote"} 0
# HELP approovgate_key_tokens_total Tokens that keys of this name have opened; expired ones do not count.
# TYPE approovgate_key_tokens_total counter
approovgate_key_tokens_total{key="account"} 0
# HELP approovgate_route_mode Always 1; the labels are the route (empty: none matched), the mode in force and whose it is: policy, local or remote. Exempt routes have none.
# TYPE approovgate_route_mode gauge
approovgate_route_mode{mode="enforce",route="",says="policy"} 1
approovgate_route_mode{mode="log",route="transfers",says="policy"} 1
# HELP approovgate_route_rollout_percent Percent of the devices that mode enforce holds for on this route.
# TYPE approovgate_route_rollout_percent gauge
approovgate_route_rollout_percent{route=""} 25
approovgate_route_rollout_percent{route="transfers"} 50
# HELP approovgate_source_fetches_total Attempts to fetch from this source, by result: success or failure.
# TYPE approovgate_source_fetches_total counter
approovgate_source_fetches_total{result="failure",source="keys[1].jwks"} 0
approovgate_source_fetches_total{result="failure",source="keys[2].jwks"} 0
approovgate_source_fetches_total{result="success",source="keys[1].jwks"} 0
approovgate_source_fetches_total{result="success",source="keys[2].jwks"} 0
# HELP approovgate_source_up 1 when the last attempt to read this source of keys or control brought something good; absent before the first.
# TYPE approovgate_source_up gauge
approovgate_source_up{source="control.file"} 1
`

// metricsLater are those after all that the test does.
const metricsLater = `
# HELP approovgate_clock_steps_total Times that the wall clock was set forward or back by more than 2 s.
# TYPE approovgate_clock_steps_total counter
approovgate_clock_steps_total 2
# HELP approovgate_control_active 1 while an override in this slot lasts; while both do, local wins.
# TYPE approovgate_control_active gauge
approovgate_control_active{slot="local"} 1
approovgate_control_active{slot="remote"} 0
# HELP approovgate_control_changes_total Control documents by slot and what became of them: set, cleared, ended or refused.
# TYPE approovgate_control_changes_total counter
approovgate_control_changes_total{kind="cleared",slot="local"} 1
approovgate_control_changes_total{kind="cleared",slot="remote"} 0
approovgate_control_changes_total{kind="ended",slot="local"} 0
approovgate_control_changes_total{kind="ended",slot="remote"} 1
approovgate_control_changes_total{kind="refused",slot="local"} 0
approovgate_control_changes_total{kind="refused",slot="remote"} 2
approovgate_control_changes_total{kind="set",slot="local"} 2
approovgate_control_changes_total{kind="set",slot="remote"} 1
# HELP approovgate_control_until_timestamp_seconds When the override in this slot ends, Unix seconds; absent where none lasts or it has no end.
# TYPE approovgate_control_until_timestamp_seconds gauge
approovgate_control_until_timestamp_seconds{slot="local"} 1.8000036e+09
# HELP approovgate_control_version Version of the control document in this slot; 0: there never was one.
# TYPE approovgate_control_version gauge
approovgate_control_version{slot="local"} 3
approovgate_control_version{slot="remote"} 1
# HELP approovgate_key_last_use_timestamp_seconds When a key of this name last opened a token, Unix seconds; absent: never.
# TYPE approovgate_key_last_use_timestamp_seconds gauge
approovgate_key_last_use_timestamp_seconds{key="account"} 1.80000002e+09
# HELP approovgate_key_tokens_total Tokens that keys of this name have opened; expired ones do not count.
# TYPE approovgate_key_tokens_total counter
approovgate_key_tokens_total{key="account"} 2
approovgate_key_tokens_total{key="good/one"} 0
# HELP approovgate_route_mode Always 1; the labels are the route (empty: none matched), the mode in force and whose it is: policy, local or remote. Exempt routes have none.
# TYPE approovgate_route_mode gauge
approovgate_route_mode{mode="bypass",route="transfers",says="local"} 1
approovgate_route_mode{mode="enforce",route="",says="policy"} 1
# HELP approovgate_route_rollout_percent Percent of the devices that mode enforce holds for on this route.
# TYPE approovgate_route_rollout_percent gauge
approovgate_route_rollout_percent{route=""} 25
approovgate_route_rollout_percent{route="transfers"} 50
# HELP approovgate_source_fetches_total Attempts to fetch from this source, by result: success or failure.
# TYPE approovgate_source_fetches_total counter
approovgate_source_fetches_total{result="failure",source="keys[1].jwks"} 0
approovgate_source_fetches_total{result="failure",source="keys[2].jwks"} 1
approovgate_source_fetches_total{result="success",source="keys[1].jwks"} 1
approovgate_source_fetches_total{result="success",source="keys[2].jwks"} 0
# HELP approovgate_source_last_success_timestamp_seconds When this source last brought something good, in this run or an earlier one, Unix seconds.
# TYPE approovgate_source_last_success_timestamp_seconds gauge
approovgate_source_last_success_timestamp_seconds{source="keys[1].jwks"} 1.8e+09
# HELP approovgate_source_up 1 when the last attempt to read this source of keys or control brought something good; absent before the first.
# TYPE approovgate_source_up gauge
approovgate_source_up{source="control.file"} 0
approovgate_source_up{source="keys[1].jwks"} 1
approovgate_source_up{source="keys[2].jwks"} 0
`

func TestMetricsOfLiveControl(t *testing.T) {
	server, dir := newKeySets(t), t.TempDir()
	do(t, os.Mkdir(dir+"/secrets", 0o700), os.WriteFile(dir+"/secrets/account", []byte(secretText), 0o600))
	c := &clocks{wall: start}
	k := newKept(t, dir, server.policy("good", "missing")+livePolicy, gate.Options{Now: c.now, Elapsed: c.since})
	m := NewMetrics(k.Gate, &k.events, k.Keeper)
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(metricsAtFirst), liveMetrics...); err != nil {
		t.Errorf("at first: %v", err)
	}
	k.First(t.Context())
	set := func(slot gate.Slot, document string, refused bool) {
		t.Helper()
		tree, _ := ParseTree([]byte(document))
		control, problems := config.DecodeControl(tree)
		problems = append(problems, k.Gate.SetControl(slot, control)...)
		if config.Failed(problems) != refused {
			t.Fatalf("%s: got problems %v, want a refusal: %v", document, problems, refused)
		}
	}
	set(gate.Remote, `{version: 1, mode: bypass, until: "2027-01-15T08:00:10Z"}`, false)
	set(gate.Remote, `{version: 1, mode: log, until: "2027-01-15T08:00:10Z"}`, true)
	set(gate.Remote, `{version: 9, mode: log}`, true)
	set(gate.Local, `{version: 1, mode: log, until: "2027-01-15T09:00:00Z"}`, false)
	set(gate.Local, `{version: 2}`, false)
	k.put("control.yaml", `{version: 3, routes: {transfers: bypass}, until: "2027-01-15T09:00:00Z"}`)
	k.loader.Refresh(k.Gate)
	k.put("control.yaml", `{version: 3, mode: bypass, until: "2027-01-15T09:00:00Z"}`) // another document of the same version
	k.loader.Refresh(k.Gate)
	c.pass(20*time.Second, 0)
	token, err := mint.Sign("HS256", "", []byte("test key of package host, never used for anything else..........!"), map[string]any{"exp": start.Unix() + 600})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header.Set("Approov-Token", token)
		if a := k.Gate.Ask(r); a.Reason != "ok" {
			t.Fatalf("a genuine request: got %s, want ok", a.Reason)
		}
	}
	k.steps.Add(2)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	k.Gate.Poll(stopped) // notices the end, and asks nobody
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(metricsLater), liveMetrics...); err != nil {
		t.Errorf("later: %v", err)
	}
	problems, err := testutil.GatherAndLint(m.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: promlint says %s", p.Metric, p.Text)
	}
}

// statusCollector collects what is known of a gate that nobody has.
type statusCollector gate.Status

func (s statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range controlDescs {
		out <- d
	}
}

func (s statusCollector) Collect(out chan<- prometheus.Metric) {
	status := gate.Status(s)
	collectControl(&status, out)
}

func TestACacheThatCannotBeWrittenIsMeasured(t *testing.T) {
	const name = "approovgate_control_cache_failing"
	const help = "# HELP " + name + " 1 when what sources brought could not be kept in control.cache, so that a restart would not find it.\n# TYPE " + name + " gauge\n"
	for failure, want := range map[string]string{"": "0", "keys[1].ring: no space left on device": "1"} {
		if err := testutil.CollectAndCompare(statusCollector{KeepFailure: failure}, strings.NewReader(help+name+" "+want+"\n"), name); err != nil {
			t.Errorf("failure %q: %v", failure, err)
		}
	}
}
