package controlsign_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/controlsign"
)

var forEdge = controlsign.Terms{Audience: []string{"edge"}, Now: noon}

func TestControlIsOpenedByTheGatesItNames(t *testing.T) {
	key := signer(t)
	tree := map[string]any{"mode": "log", "until": "2030-01-31T13:00:00+01:00", "reason": "INC-42 <é>", "by": "ops",
		"routes": map[string]any{"transfers": "bypass", "a b": map[string]any{"mode": "enforce", "rollout": "25"}}}
	terms := controlsign.Terms{Audience: []string{"edge", "edge-2"}, Now: noon.Add(-time.Hour)}
	envelope, problems := controlsign.Control(key, tree, terms)
	if len(problems) != 0 {
		t.Fatalf("problems: got %v, want none", problems)
	}
	want := config.Control{Version: noon.Add(-time.Hour).Unix(), Override: config.Override{Mode: "log"}, Until: noon, Reason: "INC-42 <é>", By: "ops",
		Routes: map[string]config.Override{"transfers": {Mode: "bypass"}, "a b": {Mode: "enforce", Rollout: 25, HasRollout: true}}}
	for _, name := range terms.Audience {
		got, err := gate.OpenControl(envelope+"\n", verifier(t, "p256-account.public.pem"), name, noon)
		if err != nil || !got.Same(want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	if _, err := gate.OpenControl(envelope, verifier(t, "p256-account.public.pem"), "other", noon); err == nil {
		t.Error("a gate that is not named opens it")
	}
	if _, err := gate.OpenControl(envelope, verifier(t, "p256-foreign.public.pem"), "edge", noon); err == nil {
		t.Error("a gate with another key opens it")
	}
	claims := openIndependently(t, envelope, "approov-control+jwt", &key.PublicKey)
	if claims["iat"] != float64(noon.Unix()-3600) || !reflect.DeepEqual(claims["aud"], []any{"edge", "edge-2"}) {
		t.Errorf("got iat %v and aud %v", claims["iat"], claims["aud"])
	}
	if len(tree) != 5 {
		t.Errorf("the caller's tree has changed: %v", tree)
	}
}

func TestControlVersions(t *testing.T) {
	for _, row := range []struct {
		name  string
		tree  map[string]any
		given int64
		want  int64
	}{
		{"none: the time", map[string]any{}, 0, noon.Unix()},
		{"the document's", map[string]any{"version": "7"}, 0, 7},
		{"the caller's", map[string]any{}, 8, 8},
	} {
		terms := forEdge
		terms.Version = row.given
		envelope, problems := controlsign.Control(signer(t), row.tree, terms)
		got, err := gate.OpenControl(envelope, verifier(t, "p256-account.public.pem"), "edge", noon)
		if err != nil || got.Version != row.want || !got.Empty() || len(problems) != 0 {
			t.Errorf("%s: got %+v, %v, %v, want a resume of version %d", row.name, got, err, problems, row.want)
		}
	}
}

// A resume and an override that has ended are documents like any other.
func TestControlWarnsOfAnEndThatHasPassed(t *testing.T) {
	envelope, problems := controlsign.Control(signer(t), map[string]any{"mode": "log", "until": "2030-01-31T12:00:00Z"}, forEdge)
	if envelope == "" || len(problems) != 1 || !problems[0].Warning || problems[0].Path != "until" {
		t.Errorf("got %.10q, %v, want an envelope and a warning at until", envelope, problems)
	}
}

func TestControlRefuses(t *testing.T) {
	for _, row := range []struct {
		name  string
		tree  map[string]any
		terms controlsign.Terms
		want  []string // paths
	}{
		{"an override without an end", map[string]any{"mode": "log"}, forEdge, []string{"until"}},
		{"a stricter one, too", map[string]any{"routes": map[string]any{"a": "enforce"}}, forEdge, []string{"until"}},
		{"a rollout alone", map[string]any{"rollout": "5"}, forEdge, []string{"until"}},
		{"all that is wrong at once", map[string]any{"mode": "off", "modes": "log", "until": "noon"},
			controlsign.Terms{Now: noon}, []string{"mode", "modes", "until", "aud"}},
		{"claims of the envelope", map[string]any{"aud": "edge", "iat": "1"}, forEdge, []string{"aud", "iat"}},
		{"two versions", map[string]any{"version": "1"}, controlsign.Terms{Audience: []string{"edge"}, Version: 1, Now: noon}, []string{"version"}},
		{"a version below 1", map[string]any{}, controlsign.Terms{Audience: []string{"edge"}, Version: -1, Now: noon}, []string{"version"}},
		{"an empty name", nil, controlsign.Terms{Audience: []string{"edge", ""}, Now: noon}, []string{"aud"}},
		{"a name with a space behind it", nil, controlsign.Terms{Audience: []string{"edge "}, Now: noon}, []string{"aud"}},
		{"a name that stands twice", nil, controlsign.Terms{Audience: []string{"edge", "edge"}, Now: noon}, []string{"aud"}},
	} {
		envelope, problems := controlsign.Control(signer(t), row.tree, row.terms)
		if got := errorPaths(problems); envelope != "" || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %.10q, %v, want no envelope and errors at %v", row.name, envelope, problems, row.want)
		}
	}
	if _, problems := controlsign.Control(nil, map[string]any{}, forEdge); !config.Failed(problems) {
		t.Error("no key: got no problem")
	}
}

func errorPaths(problems []config.Problem) []string {
	var paths []string
	for _, p := range problems {
		if !p.Warning {
			paths = append(paths, p.Path)
		}
	}
	return paths
}

// FuzzControl signs documents. Oracle: what is signed is opened by a gate as the decoder reads it, and what the
// decoder refuses is not signed.
func FuzzControl(f *testing.F) {
	f.Add(`{"version":7,"mode":"log","until":"2030-01-31T13:00:00Z","routes":{"pay":"bypass"},"reason":"x","by":"y"}`)
	f.Add(`{"routes":{"é\u2028":{"rollout":0}},"until":"2030-01-31T13:00:00.123456789+14:00"}`)
	f.Add(`{"mode":"log"}`)
	f.Fuzz(func(t *testing.T, text string) {
		tree := map[string]any{}
		if json.Unmarshal([]byte(text), &tree) != nil {
			return
		}
		envelope, problems := controlsign.Control(signer(t), tree, forEdge)
		if tree != nil && tree["version"] == nil {
			tree["version"] = noon.Unix()
		}
		want, refused := config.DecodeControl(tree)
		endless := want.Until.IsZero() && !want.Empty()
		if config.Failed(refused) || endless {
			if envelope != "" {
				t.Errorf("%s: signed, want %v, endless %v", text, refused, endless)
			}
			return
		}
		got, err := gate.OpenControl(envelope, verifier(t, "p256-account.public.pem"), "edge", noon)
		if err != nil || !got.Same(want) {
			t.Errorf("%s: got %+v, %v, want %+v; problems %v", text, got, err, want, problems)
		}
	})
}
