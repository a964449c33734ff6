package host

import (
	"sort"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// Report says what the gate has seen, and whether checks can be enforced. It holds shares and words, no secrets.
type Report struct {
	Gate     string        `json:"gate"`
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	Ready    bool          `json:"ready"` // nothing known is in the way of enforcing
	InTheWay []Obstacle    `json:"in_the_way"`
	Routes   []RouteReport `json:"routes"`
	Clients  []ClientCount `json:"clients_without_token"`
	Keys     []KeyReport   `json:"keys"`
	Limits   ReportLimits  `json:"limits"`
}

// ReportLimits are what Ready goes by.
type ReportLimits struct {
	Hours      float64 `json:"hours"`       // a day has every kind of user in it, a morning has not
	Requests   int64   `json:"requests"`    // for each route: fewer say little about one in a hundred
	AppShare   float64 `json:"app_share"`   // of a route's requests, that clients which look like the app send without a token
	SetupShare float64 `json:"setup_share"` // of a route's requests, that fail for what the policy or a clock is more likely to blame than a client
	FailShare  float64 `json:"fail_share"`  // of a route's requests with a token, whose token is wrong: attackers, or genuine apps that fail attestation
}

var reportLimits = ReportLimits{Hours: 24, Requests: 1000, AppShare: 0.01, SetupShare: 0.001, FailShare: 0.02}

// Obstacle is something to look at before checks are enforced.
type Obstacle struct {
	About *string `json:"route,omitempty"` // the route, empty for requests that none matches; absent: it is not about one
	What  string  `json:"what"`
	Do    string  `json:"do"`
}

// RouteReport is what became of a route's requests.
type RouteReport struct {
	Route     string         `json:"route"` // empty: requests that no route matches
	Mode      config.Mode    `json:"mode"`  // now
	Rollout   int            `json:"rollout"`
	Exempt    bool           `json:"exempt,omitempty"`
	Requests  int64          `json:"requests"`  // that were checked
	Unchecked int64          `json:"unchecked"` // bypassed, exempt or preflight
	Genuine   int64          `json:"genuine"`
	Rejected  int64          `json:"rejected"`     // failed, and were turned away
	Would     int64          `json:"would_reject"` // failed, and were let through
	Reasons   []ReasonCount  `json:"reasons"`      // of fails, the most frequent first
	Binding   *BindingReport `json:"binding,omitempty"`

	byReason map[engine.Reason]int64
}

// ReasonCount is how often requests failed for a reason.
type ReasonCount struct {
	Reason  engine.Reason `json:"reason"`
	N       int64         `json:"count"`
	Share   float64       `json:"share"` // of the route's checked requests
	Meaning string        `json:"meaning"`
}

// BindingReport is what a route's genuine tokens were bound to.
type BindingReport struct {
	Genuine int64 `json:"genuine"`
	WithPay int64 `json:"with_pay"` // could be checked against a binding
	Unbound int64 `json:"unbound"`  // accepted without pay, as the route's missing_pay allows
}

// ClientCount is how often a kind of client sent no token.
type ClientCount struct {
	Route      string `json:"route"`
	Family     string `json:"family"`
	AppVersion string `json:"app_version,omitempty"`
	N          int64  `json:"count"`
	AtMost     bool   `json:"at_most,omitempty"` // there were too many kinds to count each: the true number may be lower
	Looks      string `json:"looks_like"`        // app: genuine requests come from its family too; tool; or unknown
}

// KeyReport is how a key is used.
type KeyReport struct {
	Name      string     `json:"name"`
	Usable    bool       `json:"usable"`
	Tokens    int64      `json:"tokens"` // since the gate started
	PerMinute int64      `json:"tokens_per_minute"`
	LastUse   *time.Time `json:"last_use,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

// Report makes the report of the last hours; 0: since the gate started. It covers From to To, which may be less than was
// asked for.
func (r *Reporter) Report(hours float64) Report {
	begin, without, genuine := r.since(hours)
	now := r.mark()
	status := r.gate.Status()
	report := Report{Gate: status.Name, From: begin.at, To: now.at, InTheWay: []Obstacle{}, Clients: []ClientCount{}, Limits: reportLimits}
	for _, route := range status.Routes {
		report.Routes = append(report.Routes, routeReport(route, begin, now))
	}
	report.Clients = clientCounts(without, genuine)
	for _, key := range status.Keys {
		report.Keys = append(report.Keys, KeyReport{
			Name: key.Name, Usable: key.Usable, Tokens: key.Tokens, PerMinute: key.PerMinute, LastUse: moment(key.LastUse), NotAfter: moment(key.NotAfter),
		})
	}
	report.judge(&status)
	return report
}

// moment is a time that may be absent.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// routeReport is what became of a route's requests between two marks.
func routeReport(route gate.RouteStatus, begin, end mark) RouteReport {
	report := RouteReport{Route: route.Name, Mode: route.Mode, Rollout: route.Rollout, Exempt: route.Exempt, Reasons: []ReasonCount{}, byReason: map[engine.Reason]int64{}}
	for d, total := range end.counts {
		n := total - begin.counts[d]
		if d.route != route.Name || n == 0 {
			continue
		}
		reason := engine.Reason(d.reason)
		switch reason.Verdict() {
		case engine.None:
			report.Unchecked += n
			continue
		case engine.Pass:
			report.Genuine += n
		case engine.Fail:
			report.byReason[reason] += n
			if d.action == string(engine.Forward) {
				report.Would += n
			} else {
				report.Rejected += n
			}
		}
		report.Requests += n
	}
	for reason, n := range report.byReason {
		report.Reasons = append(report.Reasons, ReasonCount{Reason: reason, N: n, Share: report.share(n), Meaning: reason.Text()})
	}
	sort.Slice(report.Reasons, func(i, j int) bool {
		a, b := report.Reasons[i], report.Reasons[j]
		return a.N > b.N || a.N == b.N && a.Reason < b.Reason
	})
	was, is := begin.bindings[route.Name], end.bindings[route.Name]
	if is.Passes > was.Passes {
		report.Binding = &BindingReport{Genuine: is.Passes - was.Passes, WithPay: is.WithPay - was.WithPay, Unbound: is.Unbound - was.Unbound}
	}
	return report
}

// share is a part of the route's checked requests.
func (r *RouteReport) share(n int64) float64 {
	if r.Requests == 0 {
		return 0
	}
	return float64(n) / float64(r.Requests)
}

// clientCounts are the clients without a token, with what they look like.
func clientCounts(without, genuine tally) []ClientCount {
	const mostShown = 50
	apps := map[string]bool{}
	for _, c := range genuine.certain() {
		apps[c.Family] = true
	}
	all := []ClientCount{}
	for _, c := range without.certain() {
		if len(all) == mostShown {
			break
		}
		looks := "unknown"
		if apps[c.Family] {
			looks = "app"
		} else if tools[c.Family] {
			looks = "tool"
		}
		all = append(all, ClientCount{Route: c.Route, Family: c.Family, AppVersion: c.Version, N: without[c].n, AtMost: without[c].over > 0, Looks: looks})
	}
	return all
}
