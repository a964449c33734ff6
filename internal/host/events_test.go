package host

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func TestEventsAreOneLineEach(t *testing.T) {
	bypass := config.Control{Version: 7, Override: config.Override{Mode: config.Bypass, Rollout: 25, HasRollout: true}, Until: start.Add(time.Hour), Reason: "INC-42", By: "ops\u009b@\u202ehost",
		Routes: map[string]config.Override{"transfers": {Mode: config.Log}, "login": {Rollout: 5, HasRollout: true}, "both": {Mode: config.Enforce, Rollout: 0, HasRollout: true}}}
	many := config.Control{Version: 8, Routes: map[string]config.Override{}}
	for i := range 100 {
		many.Routes[fmt.Sprintf("route%02d", i)] = config.Override{Mode: config.Log}
	}
	for _, row := range []struct {
		event   gate.Event
		message string
		want    map[string]any
	}{
		{gate.Event{Kind: gate.ControlSet, Slot: gate.Remote, Control: bypass}, "control changed", map[string]any{"level": "WARN", "kind": "control_set", "slot": "remote", "version": 7.0,
			"mode": "bypass", "rollout": 25.0, "routes": "both=enforce 0%, login=5%, transfers=log", "until": "2027-01-15T09:00:00Z", "reason": "INC-42", "by": "ops\ufffd@\ufffdhost"}},
		{gate.Event{Kind: gate.ControlCleared, Control: config.Control{Version: 8, By: "ops"}}, "control cleared",
			map[string]any{"level": "WARN", "kind": "control_cleared", "slot": "local", "version": 8.0, "by": "ops"}},
		{gate.Event{Kind: gate.ControlEnded, Control: config.Control{Version: 9, Override: config.Override{Mode: config.Log}, Until: start}}, "control ended",
			map[string]any{"level": "WARN", "kind": "control_ended", "slot": "local", "version": 9.0, "mode": "log", "until": "2027-01-15T08:00:00Z"}},
		{gate.Event{Kind: gate.ControlRefused, Control: config.Control{Version: 1}, Text: "version: 1 is not higher"}, "control refused",
			map[string]any{"level": "WARN", "kind": "control_refused", "slot": "local", "version": 1.0, "problem": "version: 1 is not higher"}},
		{gate.Event{Kind: gate.KeysChanged, Source: "keys[1].ring"}, "keys changed", map[string]any{"level": "INFO", "kind": "keys_changed", "source": "keys[1].ring"}},
		{gate.Event{Kind: gate.SourceFailing, Source: "control.url", Text: "the server answers 500"}, "source failing",
			map[string]any{"level": "WARN", "kind": "source_failing", "source": "control.url", "problem": "the server answers 500"}},
		{gate.Event{Kind: gate.SourceFailing, Source: "control.url", Text: strings.Repeat("x", maxProblem-1) + "\u00e9\x1b[31m"}, "source failing",
			map[string]any{"level": "WARN", "kind": "source_failing", "source": "control.url", "problem": strings.Repeat("x", maxProblem-1) + "\u2026"}},
		{gate.Event{Kind: gate.SourceRecovered, Source: "control.url"}, "source recovered", map[string]any{"level": "INFO", "kind": "source_recovered", "source": "control.url"}},
		{gate.Event{Kind: "something_new"}, "something_new", map[string]any{"level": "WARN", "kind": "something_new"}},
	} {
		var log book
		LogEvents(slog.New(slog.NewJSONHandler(&log, nil)))(row.event)
		lines := log.lines(row.message)
		if len(lines) != 1 {
			t.Errorf("%s: got %d lines with %q, want 1", row.event.Kind, len(lines), row.message)
			continue
		}
		delete(lines[0], "time")
		row.want["msg"] = row.message
		if !maps.Equal(lines[0], row.want) {
			t.Errorf("%s: got %v, want %v", row.event.Kind, lines[0], row.want)
		}
	}
	var log book
	LogEvents(slog.New(slog.NewJSONHandler(&log, nil)))(gate.Event{Kind: gate.ControlSet, Control: many})
	if routes := fmt.Sprint(log.lines("control changed")[0]["routes"]); !strings.HasSuffix(routes, "route31=log, 68 more") {
		t.Errorf("100 routes: got %q, want 32 of them and how many more there are", routes)
	}
}

// A gate has events before its host has a log: those of the first load.
func TestEventsWaitForALog(t *testing.T) {
	var (
		e   Events
		log book
	)
	for range maxHeld + 10 {
		e.Notify(gate.Event{Kind: gate.ControlSet})
	}
	e.Notify(gate.Event{Kind: gate.KeysChanged})
	e.Log(slog.New(slog.NewJSONHandler(&log, nil)))
	if got := len(log.lines("control changed")); got != maxHeld {
		t.Errorf("lines when there is a log: got %d, want the first %d", got, maxHeld)
	}
	e.Notify(gate.Event{Kind: gate.ControlEnded})
	if got := len(log.lines("control ended")); got != 1 {
		t.Errorf("lines afterwards: got %d, want 1, at once", got)
	}
	if got := e.changes[change{"local", "set"}]; got != maxHeld+10 {
		t.Errorf("counted: got %d, want all %d", got, maxHeld+10)
	}
}
