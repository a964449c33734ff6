package suite

import (
	"os"
	"strings"
	"time"
)

// controlFile puts documents into control.file one after another.
func controlFile(p *player) {
	const end = `"until": "2030-01-31T13:00:00Z"`
	policy := p.policy(tree{"control": tree{"file": p.path("control.json")}})
	p.open("edge", policy)
	p.modes("no file", "enforce log enforce")
	for _, step := range []struct {
		name, text string
		mode       os.FileMode
		modes      string
		problem    string // of Refresh; empty: none
		events     []string
	}{
		{"a good one", `{"version": 1, "mode": "bypass", "reason": "INC-42", "by": "ops", ` + end + `}`, 0o600, "bypass bypass bypass", "", []string{"control_set local version 1"}},
		{"the same in other words", `{"mode":"bypass","version":"1","by":"ops","reason":"INC-42","until":"2030-01-31T14:00:00+01:00"}`, 0o644, "bypass bypass bypass", "", nil},
		{"another of the same version", `{"version": 1, "mode": "log", ` + end + `}`, 0o600, "bypass bypass bypass", "version: 1 is not higher", []string{"source_failing local from control.file: version: 1"}},
		{"a route alone", `{"version": 2, "routes": {"pay": "log"}, ` + end + `}`, 0o600, "log log enforce", "", []string{"control_set local version 2", "source_recovered"}},
		{"an older one", `{"version": 1, "mode": "bypass", ` + end + `}`, 0o600, "log log enforce", "version: 1 is not higher than 2", []string{"source_failing"}},
		{"a route as a map", `{"version": 3, "mode": "log", "routes": {"feed": {"mode": "enforce", "rollout": 100}}, ` + end + `}`, 0o600, "log enforce log", "", []string{"control_set local version 3", "source_recovered"}},
		{"garbled", `{"version": 4, "mode": "byp`, 0o600, "log enforce log", "strict JSON", []string{"source_failing"}},
		{"a member twice", `{"version": 4, "version": 5, "mode": "bypass", ` + end + `}`, 0o600, "log enforce log", "strict JSON", nil},
		{"a list", `[{"version": 4}]`, 0o600, "log enforce log", "strict JSON", nil},
		{"an unknown member", `{"version": 4, "modus": "bypass", ` + end + `}`, 0o600, "log enforce log", "modus: unknown key", []string{"source_failing"}},
		{"an unknown route", `{"version": 4, "routes": {"pya": "bypass"}, ` + end + `}`, 0o600, "log enforce log", "did you mean pay?", []string{"source_failing"}},
		{"a looser one without end", `{"version": 4, "mode": "bypass"}`, 0o600, "log enforce log", "until: is missing", []string{"source_failing"}},
		{"empty", ``, 0o600, "log enforce log", "is empty", []string{"source_failing"}},
		{"oversized", strings.Repeat(" ", 65537), 0o600, "log enforce log", "more than 65536 bytes", []string{"source_failing"}},
		{"writable by others", `{"version": 4, "mode": "bypass", ` + end + `}`, 0o666, "log enforce log", "can be written by others", []string{"source_failing"}},
		{"its permissions mended", `{"version": 4, "mode": "bypass", ` + end + `}`, 0o600, "bypass bypass bypass", "", []string{"control_set local version 4", "source_recovered"}},
		{"an empty one resumes", `{"version": 5, "reason": "over"}`, 0o600, "enforce log enforce", "", []string{"control_cleared local version 5"}},
		{"a stricter one without end", `{"version": 6, "mode": "enforce"}`, 0o600, "enforce enforce enforce", "", []string{"control_set local version 6"}},
		{"one to end soon", `{"version": 7, "mode": "log", ` + end + `}`, 0o600, "log log log", "", []string{"control_set local version 7"}},
	} {
		p.writeMode("control.json", step.text, step.mode)
		p.refresh(step.name, step.problem)
		p.modes(step.name, step.modes)
		p.events(step.name, step.events...)
		p.run(tree{"do": "get control", "slot": 0})
		p.run(tree{"do": "status"})
	}
	if err := os.Remove(p.path("control.json")); err != nil {
		p.Fatal(err)
	}
	p.refresh("the file is gone", "")
	p.modes("the file is gone", "log log log")
	p.at(time.Hour)
	p.modes("its end has come", "enforce log enforce")
	p.poll(time.Hour)
	p.events("its end has come", "control_ended local version 7")
}

// localSlot uses the slot as an admin interface does.
func localSlot(p *player) {
	p.open("edge", p.policy(nil))
	for _, step := range []struct {
		name    string
		control tree
		modes   string
		problem string
	}{
		{"a bypass", tree{"version": 1, "mode": "bypass", "until": until(time.Hour), "reason": "INC-42", "by": "root"}, "bypass bypass bypass", ""},
		{"a number as text", tree{"version": "2", "mode": "log", "until": until(time.Hour)}, "log log log", ""},
		{"no version", tree{"mode": "bypass", "until": until(time.Hour)}, "log log log", "version: is missing"},
		{"a version of no slot", tree{"version": -3, "mode": "bypass", "until": until(time.Hour)}, "log log log", "version: must be from 1"},
		{"a fraction", tree{"version": 2.5, "mode": "bypass", "until": until(time.Hour)}, "log log log", "version: must be a whole number"},
		{"the same version", tree{"version": 2, "mode": "bypass", "until": until(time.Hour)}, "log log log", "version: 2 is not higher than 2"},
		{"an unknown mode", tree{"version": 3, "mode": "off", "until": until(time.Hour)}, "log log log", "mode: must be enforce or log or bypass"},
		{"no end", tree{"version": 3, "mode": "bypass"}, "log log log", "until: is missing"},
		{"an end in another form", tree{"version": 3, "mode": "bypass", "until": "13:00"}, "log log log", "until: must be"},
		{"a rollout without end", tree{"version": 3, "mode": "enforce", "rollout": 99}, "log log log", "until: is missing"},
		{"routes of a wrong kind", tree{"version": 3, "routes": "pay", "until": until(time.Hour)}, "log log log", "routes: must be a map"},
		{"a route that overrides nothing", tree{"version": 3, "routes": tree{"pay": tree{}}, "until": until(time.Hour)}, "log log log", "overrides nothing"},
		{"two lines of reason", tree{"version": 3, "reason": "a\nb"}, "log log log", "reason: must be one line"},
		{"an end that has passed", tree{"version": 3, "mode": "bypass", "until": until(-time.Second)}, "enforce log enforce", "warning: until: has passed"},
		{"two routes", tree{"version": 4, "routes": tree{"pay": "bypass", "feed": tree{"mode": "enforce"}}, "until": until(time.Hour)}, "bypass enforce enforce", ""},
		{"resume", tree{"version": 5, "by": "root"}, "enforce log enforce", ""},
	} {
		p.wantIn(step.name, p.run(tree{"do": "set control", "slot": 0, "control": step.control})["problems"], step.problem)
		p.modes(step.name, step.modes)
		p.run(tree{"do": "events"})
		p.run(tree{"do": "get control", "slot": 0})
	}
	p.run(tree{"do": "status"})
}

// stricterPolicy has an override without an end, which must not loosen the stricter policy that comes later.
func stricterPolicy(p *player) {
	p.open("edge", p.policy(tree{"mode": "log", "routes": []any{tree{"name": "pay", "paths": "/pay", "mode": "log", "rollout": 10}}}))
	p.wantIn("as the policy", p.run(tree{"do": "set control", "slot": 0, "control": tree{"version": 1, "mode": "log", "routes": tree{"pay": tree{"rollout": 10}}}})["problems"], "")
	p.modes("as the policy", "log log log")
	p.change(p.policy(tree{"mode": "enforce"}), "")
	p.modes("a stricter policy", "enforce log enforce")
	p.change(p.policy(tree{"mode": "enforce", "routes": []any{tree{"name": "pay", "paths": "/pay", "rollout": 100}, tree{"name": "feed", "paths": "/feed", "mode": "enforce"}}}), "")
	p.modes("a policy stricter still", "enforce enforce enforce")
	p.run(tree{"do": "status"})
}

// clocks sets the wall clock about under an override. Verdicts follow it; what is due follows the other clock.
func clocks(p *player) {
	p.server.set("/control", serves(p.override(1, "bypass", 15*time.Minute), `"1"`))
	p.open("edge", p.policy(tree{"control": p.control(nil)}))
	p.poll(0)
	genuine, old := p.token("account", "", "device", 10*time.Minute), p.token("account", "", "device", -10*time.Minute)
	for _, step := range []struct {
		name  string
		clock time.Duration
		modes string
	}{
		{"as it is", 0, "bypass bypass bypass"},
		{"an hour on", time.Hour, "enforce log enforce"},
		{"an hour back", -time.Hour, "bypass bypass bypass"},
		{"a year on", 365 * 24 * time.Hour, "enforce log enforce"},
		{"a year back", -365 * 24 * time.Hour, "bypass bypass bypass"},
		{"a moment before the end", 15*time.Minute - time.Nanosecond, "bypass bypass bypass"},
		{"the end", 15 * time.Minute, "enforce log enforce"},
	} {
		p.at(step.clock)
		p.modes(step.name, step.modes)
		p.ask("/pay", genuine)
		p.ask("/pay", old)
		if due := p.run(tree{"do": "due"})["due"]; due != false {
			p.Errorf("%s: got due %v, want false: the clock that nobody sets has not moved", step.name, due)
		}
		p.run(tree{"do": "status"})
	}
	p.run(tree{"do": "pass", "elapsed": 10000})
	if due := p.run(tree{"do": "due"})["due"]; due != true {
		p.Errorf("ten seconds later: got due %v, want true", due)
	}
	p.at(20 * 365 * 24 * time.Hour)
	p.server.http.CloseClientConnections() // so that there is a handshake
	p.poll(long)
	p.source("decades later", "control.url", "certificate")
	p.at(0)
	p.poll(long)
	p.source("now", "control.url", "")
	p.modes("now", "bypass bypass bypass")
}
