package attestserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func TestMetrics(t *testing.T) {
	r := newRig(t, nil)
	r.send(r.genuine(r.nonce("acme", deviceA)))
	calls := r.genuine(r.nonce("acme", deviceA))
	calls.request.Calls = attestapi.Calls{"calls-fetch-sync": 3, "result-success": 2, "made-up": 5, "result-no-network": maxCallCount}
	r.send(calls)
	r.send(calls) // a replay: its calls do not count again
	bad := r.genuine(r.nonce("acme", deviceA))
	bad.request.Flags, bad.key, bad.request.Calls = []string{"frida-hook", "made-up"}, []byte("x"), attestapi.Calls{"calls-fetch-sync": 100}
	r.send(bad)
	r.ask(http.MethodPost, attestapi.PathAttest, []byte("{"), nil)
	r.post(attestapi.PathAttest, attestapi.AttestRequest{Version: 1, Account: "made-up", DeviceID: deviceA})
	r.ask(http.MethodPost, attestapi.PathAttest, make([]byte, attestapi.MaxRequest+1), nil)
	lost := r.genuine(r.nonce("acme", deviceA))
	r.store.breakDown(errGone)
	r.send(lost)
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"attestserver_attestations_total acme pass":                2,
		"attestserver_attestations_total acme fail":                2,
		"attestserver_attestations_total acme error":               1,
		"attestserver_attestations_total  error":                   3,
		"attestserver_flags_total acme bad-nonce fail":             1,
		"attestserver_flags_total acme bad-hmac fail":              1,
		"attestserver_flags_total acme frida fail":                 1,
		"attestserver_flags_total acme frida-hook fail":            1,
		"attestserver_apps_total acme com.example.app pass 2.0[3]": 2,
		"attestserver_apps_total acme com.example.app fail 2.0[3]": 2,
		"attestserver_sdk_calls_total acme calls-fetch-sync":       3,
		"attestserver_sdk_calls_total acme result-success":         2,
		"attestserver_sdk_calls_total acme result-no-network":      maxCallsCounted,
		"attestserver_nonce_store_errors_total":                    1,
		"attestserver_refresh_errors_total":                        0,
		"attestserver_overload_total":                              0,
		"attestserver_failures_dropped_total":                      0,
		"attestserver_attest_seconds":                              7,
		"attestserver_snapshot_generation":                         0,
		"attestserver_snapshot_age_seconds":                        0,
		"attestserver_snapshot_accounts":                           2,
		"attestserver_ready":                                       0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %v, want %v", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("got besides %v, want no more", got)
	}
}

// A pipeline that registers one version after another makes no time series without end: the latest are counted each by
// itself, the others together.
func TestAppVersionsThatAreCounted(t *testing.T) {
	r := newRig(t, nil)
	fetch := func() {
		t.Helper()
		if good, _ := r.verdict(r.send(r.genuine(r.nonce("acme", deviceA)))); !good {
			t.Fatal("the app is not recognised")
		}
	}
	series := func() (all []string) {
		t.Helper()
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "attestserver_apps_total" {
					all = append(all, fmt.Sprint(m.Label[1].GetValue(), " ", m.Label[3].GetValue(), " ", m.GetCounter().GetValue()))
				}
			}
		}
		return all
	}
	register := func(n int) {
		r.change(func(a *account.Account) {
			at := r.clock().Add(time.Duration(n) * time.Second)
			a.Registrations = append(a.Registrations, account.Registration{Digest: digestOf(fmt.Sprint(n)), Package: "com.example.app", Version: fmt.Sprint(n), Library: "1001", Registered: at})
		})
		r.refresh()
	}
	fetch()
	if got, want := fmt.Sprint(series()), "[com.example.app 2.0[3] 1]"; got != want {
		t.Errorf("the latest: got %s, want %s", got, want)
	}
	for n := range countedApps - 1 {
		register(n)
	}
	fetch()
	if got, want := fmt.Sprint(series()), "[com.example.app 2.0[3] 2]"; got != want {
		t.Errorf("the last of the latest: got %s, want %s", got, want)
	}
	register(countedApps)
	if got := series(); len(got) != 0 {
		t.Errorf("no more among the latest: got %s, want none", got)
	}
	fetch()
	if got, want := fmt.Sprint(series()), "[other other 1]"; got != want {
		t.Errorf("no more among the latest: got %s, want %s", got, want)
	}
}

// What is logged tells an operator why an attestation failed, and nobody how to make one.
func TestLogLines(t *testing.T) {
	r := newRig(t, func(o *Options, _ *account.Account) { o.LogLines = 3 })
	var secrets []string
	for i := range 20 {
		a := r.genuine(r.nonce("acme", deviceA))
		a.digest = digestOf("x")
		a.request.App.Version = strings.Repeat("v", 120)
		a.request.Pay = "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="
		a.request.App.Package = fmt.Sprint("evil\n{}", i)
		answer := r.send(a)
		secrets = append(secrets, a.request.Nonce, answer.Nonce, answer.mac, answer.Header().Get(attestapi.HeaderMAC), a.request.Pay, deviceA, "192.0.2.7")
		for _, token := range answer.Tokens {
			secrets = append(secrets, token.Text)
		}
		if i == 0 && !strings.Contains(r.log.String(), `"rid":"`+answer.Request+`"`) {
			t.Errorf("got %s, want the request's id", r.log)
		}
	}
	r.send(r.genuine(r.nonce("acme", deviceA)))
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	if len(lines) != 3 {
		t.Errorf("got %d lines, want 3 of a flood, and none for what passes", len(lines))
	}
	for _, line := range lines {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if fields["account"] != "acme" || fmt.Sprint(fields["flags"]) != "[app-not-registered]" || len(fmt.Sprint(fields["device"])) != 16 || len(fmt.Sprint(fields["app_version"])) > 110 {
			t.Errorf("got %s, want account, flags and the device's hash", line)
		}
	}
	r.tellSkipped()
	if !strings.Contains(r.log.String(), `"attestations":17`) {
		t.Errorf("got %s, want the 17 that are not listed counted", r.log)
	}
	for _, secret := range secrets {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("got %s in the log, want nothing of the kind", secret)
		}
	}
}
