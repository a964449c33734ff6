package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// controlVector is one file of testdata/control.
type controlVector struct {
	Name      string          `json:"name"`
	Policy    map[string]any  `json:"policy"` // without keys
	Control   map[string]any  `json:"control"`
	Now       time.Time       `json:"now"`
	Problems  []string        `json:"problems"`  // beginnings; of DecodeControl, or else of Check
	Effective map[string]Mode `json:"effective"` // by route; "": no route matched; absent when the control is refused
}

func TestControlVectors(t *testing.T) {
	files, err := filepath.Glob("../testdata/control/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d vectors (%v), want at least 10", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var v controlVector
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatal(err)
			}
			runControlVector(t, v)
		})
	}
}

func runControlVector(t *testing.T, v controlVector) {
	v.Policy["keys"] = []any{map[string]any{"name": "account", "alg": "HS256", "secret": "env:SECRET"}}
	p, problems := Decode(v.Policy)
	if Failed(problems) {
		t.Fatalf("the vector's policy: %q", lines(problems))
	}
	c, problems := DecodeControl(v.Control)
	if !Failed(problems) {
		problems = append(problems, c.Check(p, v.Now)...)
	}
	sameProblems(t, problems, v.Problems)
	if refused := v.Effective == nil; refused != Failed(problems) {
		t.Fatalf("refused %t, want %t", Failed(problems), refused)
	}
	c = c.At(v.Now)
	for name, want := range v.Effective {
		own, found := p.Default.Mode, name == ""
		for _, r := range p.Routes {
			if r.Name == name {
				own, found = r.Mode, true
			}
		}
		if !found {
			t.Errorf("the vector's route %q is not in its policy", name)
		}
		if got := c.Effective(name, own); got != want {
			t.Errorf("mode of route %q: %s, want %s", name, got, want)
		}
	}
}

func TestDecodeControlReadsEveryKey(t *testing.T) {
	got, problems := DecodeControl(tree(t, `{"version": 7, "mode": "log", "rollout": "50", "routes": {"a": "bypass", "b": {"mode": "enforce", "rollout": 0}, "c": {"rollout": 25}},
		"until": "2030-01-31T12:00:00Z", "reason": "incident 12", "by": "ops"}`))
	sameProblems(t, problems, nil)
	want := Control{Version: 7, Override: Override{Mode: Log, Rollout: 50, HasRollout: true},
		Routes: map[string]Override{"a": {Mode: Bypass}, "b": {Mode: Enforce, HasRollout: true}, "c": {Rollout: 25, HasRollout: true}},
		Until:  time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC), Reason: "incident 12", By: "ops"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("control %+v, want %+v", got, want)
	}
}

func TestDecodeControlReportsEveryProblem(t *testing.T) {
	got, problems := DecodeControl(tree(t, `{"version": 0, "mode": "off", "rollout": 101, "routes": {"a": "open", "b": null, "c": "log", "d": {}, "e": {"rollout": -1, "modes": "log"}},
		"until": "soon", "reason": "a\nb", "by": 1, "untill": "x"}`))
	sameProblems(t, problems, []string{
		"by: must be a string",
		`mode: must be enforce or log or bypass, is "off"`,
		"reason: must be one line",
		"rollout: must be from 0 to 100, is 101",
		`routes.a: must be enforce or log or bypass, is "open"`,
		"routes.b: has no value",
		"routes.d: overrides nothing",
		"routes.e.modes: unknown key; did you mean mode?",
		"routes.e.rollout: must be from 0 to 100, is -1",
		`until: must be an RFC 3339 time such as 2030-01-31T12:00:00Z, is "soon"`,
		"untill: unknown key; did you mean until?",
		"version: must be from 1 to 9007199254740992, is 0",
	})
	if !reflect.DeepEqual(got, Control{}) {
		t.Errorf("control %+v, want none", got)
	}
}

func TestCheckRefusesModesThatDoNotExist(t *testing.T) {
	p := Policy{Routes: []Route{{Name: "a"}}}
	c := Control{Version: 1, Override: Override{Mode: "off"}, Routes: map[string]Override{"a": {Mode: "ajar"}}}
	sameProblems(t, c.Check(p, time.Time{}), []string{"mode: must be enforce", "routes.a: must be enforce"})
}

func TestDecodeChange(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 500, time.UTC)
	log := Override{Mode: Log}
	for _, row := range []struct {
		name, doc string
		want      Control
		problems  []string
	}{
		{"a length in place of an end, rounded up to a second", `{"mode": "log", "for": "15m"}`, Control{Override: log, Until: time.Date(2030, 1, 31, 12, 15, 1, 0, time.UTC)}, nil},
		{"an end", `{"mode": "log", "until": "2030-01-31T12:00:00Z"}`, Control{Override: log, Until: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)}, nil},
		{"neither", `{"mode": "log", "reason": "a", "by": "b"}`, Control{Override: log, Reason: "a", By: "b"}, nil},
		{"nothing", `{}`, Control{}, nil},
		{"both", `{"mode": "log", "for": "1h", "until": "2030-01-31T12:00:00Z"}`, Control{}, []string{"for: stands beside until"}},
		{"the length of nothing", `{"for": "1h"}`, Control{}, []string{"for: there is nothing that could end"}},
		{"the length of no routes", `{"for": "1h", "routes": {}}`, Control{}, []string{"for: there is nothing that could end"}},
		{"the end of nothing", `{"until": "2030-01-31T12:00:00Z", "reason": "a"}`, Control{}, []string{"until: there is nothing that could end"}},
		{"a wrong mode is not nothing", `{"mode": "off", "for": "1h"}`, Control{}, []string{"mode: must be enforce or log or bypass"}},
		{"no length", `{"mode": "log", "for": "0s"}`, Control{}, []string{"for: must be from 1s to 24h0m0s, is 0s"}},
		{"a negative length", `{"mode": "log", "for": "-15m"}`, Control{}, []string{"for: must be from 1s"}},
		{"a length of more than a day", `{"mode": "log", "for": "24h1s"}`, Control{}, []string{"for: must be from 1s to 24h0m0s"}},
		{"a length without a unit", `{"mode": "log", "for": "15"}`, Control{}, []string{"for: must be a duration with its unit"}},
		{"a length of another type", `{"mode": "log", "for": 900}`, Control{}, []string{"for: must be a duration with its unit"}},
		{"a version", `{"version": 1, "mode": "log"}`, Control{}, []string{"version: is the gate's to give"}},
		{"null for a version", `{"version": null, "mode": "log"}`, Control{}, []string{"version: is the gate's to give"}},
		{"unknown keys", `{"mod": "log", "fr": "1h", "x": 1}`, Control{}, []string{"fr: unknown key; did you mean for?", "mod: unknown key; did you mean mode?",
			"x: unknown key; delete it, or use one of by, for, mode, reason, rollout, routes, until"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, problems := DecodeChange(tree(t, row.doc), now)
			sameProblems(t, problems, row.problems)
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}
