package main

import (
	"sort"
	"strconv"
	"strings"
	"time"
)

// What a gate's admin interface says, as far as it is shown. Members that this version does not know are passed over:
// gates may be newer.

// controlState is the answer of /control.
type controlState struct {
	InForce  string           `json:"in_force"` // policy, local or remote
	Local    *controlDocument `json:"local"`    // nil: there never was one
	Remote   *controlDocument `json:"remote"`
	Warnings []string         `json:"warnings"`
}

// controlDocument is the document in a slot.
type controlDocument struct {
	Version int64 `json:"version"`
	override
	Routes  map[string]override `json:"routes"`
	Until   time.Time           `json:"until"` // zero: no end
	Reason  string              `json:"reason"`
	By      string              `json:"by"`
	InForce bool                `json:"in_force"`
}

// override is what is said of routes.
type override struct {
	Mode    string `json:"mode,omitempty"`
	Rollout *int   `json:"rollout,omitempty"`
}

func (o override) none() bool { return o.Mode == "" && o.Rollout == nil }

// String is such as "bypass" or "enforce (25 % of devices)".
func (o override) String() string {
	if o.Rollout == nil {
		return shown(o.Mode)
	}
	share := strconv.Itoa(*o.Rollout) + " % of devices"
	if o.Mode == "" {
		return "rollout " + share
	}
	return shown(o.Mode) + " (" + share + ")"
}

// empty reports whether a document overrides nothing, as after resume.
func (d *controlDocument) empty() bool { return d.none() && len(d.Routes) == 0 }

// ahead reports whether a document overrides something and its end has not come.
func (d *controlDocument) ahead(now time.Time) bool {
	return d != nil && !d.empty() && (d.Until.IsZero() || now.Before(d.Until))
}

// forAll is how an override of all routes reads. The one that opens everything is not to be overlooked.
func (o override) forAll() string {
	if o.Mode == "bypass" {
		return strings.ToUpper(o.Mode) + " FOR ALL ROUTES"
	}
	return o.String() + " for all routes"
}

// what is what a document does, in words.
func (d *controlDocument) what() string {
	if d.empty() {
		return "no override"
	}
	routes := map[string][]string{}
	for name, o := range d.Routes {
		routes[o.String()] = append(routes[o.String()], name)
	}
	var parts []string
	for says, list := range routes {
		parts = append(parts, says+" for "+names(list))
	}
	sort.Strings(parts)
	some := strings.Join(parts, "; ")
	switch {
	case d.none():
		return some
	case some == "":
		return d.forAll()
	}
	return d.forAll() + ", but " + some
}

// end is when a document ends, in words.
func (d *controlDocument) end(now time.Time, zone *time.Location) string {
	if d.Until.IsZero() {
		return "without an end"
	}
	return "until " + clockAndSpan(d.Until, now, zone)
}

// who is who made a document and why, in words.
func (d *controlDocument) who() string {
	by := "by " + shown(d.By)
	if d.By == "" {
		by = "by nobody known"
	}
	if d.Reason == "" {
		return by + ", no reason given"
	}
	return by + ": " + shown(d.Reason)
}

// gateStatus is the answer of /status.
type gateStatus struct {
	Name    string       `json:"name"`
	Program string       `json:"program"`
	Ready   bool         `json:"ready"`
	Routes  []gateRoute  `json:"routes"`
	Control controlState `json:"control"`
	Keys    []gateKey    `json:"keys"`
	Sources []gateSource `json:"sources"`
	Config  gateConfig   `json:"config"`
	Clock   time.Time    `json:"clock"`
}

type gateRoute struct {
	Name    string `json:"name"` // empty: requests that no route matches
	Exempt  bool   `json:"exempt"`
	Mode    string `json:"mode"`
	Rollout int    `json:"rollout"`
	OwnMode string `json:"own_mode"`
	Says    string `json:"says"` // policy, local or remote
}

type gateKey struct {
	Name      string    `json:"name"`
	Kid       string    `json:"kid"`
	Alg       string    `json:"alg"`
	Usable    bool      `json:"usable"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	PerMinute int64     `json:"tokens_per_minute"`
	LastUse   time.Time `json:"last_use"`
}

type gateSource struct {
	Name    string    `json:"name"`
	Tried   time.Time `json:"tried"`
	Good    time.Time `json:"good"`
	Kept    bool      `json:"kept"`
	Failure string    `json:"failure"`
	Tries   int64     `json:"tries"`
	Fails   int64     `json:"fails"`
}

type gateConfig struct {
	Generation int           `json:"generation"`
	Loaded     time.Time     `json:"loaded"`
	Failing    bool          `json:"failing"`
	Problems   []gateProblem `json:"problems"`
}

type gateProblem struct {
	Path    string `json:"path"`
	Text    string `json:"text"`
	Warning bool   `json:"warning"`
}
