package attestd_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// The clock of a running service is set a day forward, back, a day back and forward again. Each time apps attest at
// once, those who fail are explained, and domains are looked at by the new clock; nonces from before the step are good
// no more; and the account, the management tokens and the registrations are what they were.
func TestStepsOfTheWallClock(t *testing.T) {
	t.Parallel()
	clock := filepath.Join(t.TempDir(), "clock")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(clock+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(clock+".new", clock); err != nil {
			t.Fatal(err)
		}
	}
	set("0s")
	server, h := startAPI(t, "api.example.com"), startHook(t, nil)
	pin := server.renew()
	command := exec.Command(program(t, "attestserver"))
	command.Env = append(os.Environ(), "APPROOVGATE_CLOCK="+clock)
	s, err := launchAs(t, command, t.TempDir(), "--pin-check", "2m", "--pin-webhook", h.url, "--pin-ca", server.ca, "--pin-connect", "api.example.com="+server.address)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	app := newApps(t, s)
	s.manage(t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: "api.example.com", Pins: []string{pin}}}}, nil)
	now := func() time.Time { // the service's
		t.Helper()
		var c attestapi.ChallengeResponse
		if err := app.client(s, 0).post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: app.library.Account, Library: app.library.ID, DeviceID: newDevice(0)}, &c); err != nil {
			t.Fatal(err)
		}
		return time.Unix(c.Now, 0)
	}
	device := 0
	for _, step := range []struct {
		name   string
		offset time.Duration
		state  string // of the domain: its certificate is good for a day from when the test began
	}{
		{"a day forward", 24 * time.Hour, "untrusted"}, {"back", 0, "matched"},
		{"a day back", -24 * time.Hour, "untrusted"}, {"and forward", 0, "matched"},
	} {
		warm := app.client(s, 1000)
		if _, err := warm.attest(); err != nil {
			t.Fatalf("before %s: %v", step.name, err)
		}
		set(step.offset.String())
		eventually(t, step.name, func() string {
			if off := time.Until(now()) - step.offset; off.Abs() > time.Minute {
				return off.String()
			}
			return ""
		})
		answer, err := warm.attest()
		if err != nil {
			t.Fatalf("%s, warm: %v", step.name, err)
		}
		status, text := s.explain(t, answer.Request)
		if status != http.StatusOK || !strings.Contains(text, `"code":"bad-nonce"`) {
			t.Errorf("%s: a nonce from before: got %d %s, want that it is not good", step.name, status, text)
		}
		var sent attestapi.AttestRequest
		mustUnmarshal(t, warm.last.body, &sent)
		if replay, err := warm.send(warm.last, sent.Nonce); err != nil {
			t.Errorf("%s: a replay: %v", step.name, err)
		} else if _, text := s.explain(t, replay.Request); !strings.Contains(text, `"code":"bad-nonce"`) {
			t.Errorf("%s: a replay: got %s, want that the nonce is not good", step.name, text)
		}
		device++
		cold := app.client(s, device)
		if answer, err := cold.attest(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		} else if status, text := s.explain(t, answer.Request); status != http.StatusNotFound {
			t.Errorf("%s: a genuine app: got %d %s, want that it passed", step.name, status, text)
		}
		eventually(t, step.name+": the domain is looked at", func() string {
			var all attestapi.PinStatuses
			_, text := s.tryManage(t, http.MethodGet, attestapi.PathPinStatus, nil, &all)
			if len(all.Domains) != 1 || all.Domains[0].State != step.state || (time.Until(all.Domains[0].Checked)-step.offset).Abs() > 2*time.Minute {
				return text
			}
			return ""
		})
	}
	want := "api.example.com expiring matched, api.example.com problem untrusted, api.example.com problem untrusted, api.example.com recovered matched, api.example.com recovered matched"
	eventually(t, "the webhook is told", func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		got := slices.Sorted(slices.Values(h.got))
		if strings.Join(got, ", ") != want {
			return strings.Join(got, ", ")
		}
		return ""
	})
}
