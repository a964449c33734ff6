package host

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// setup are reasons for which the policy, the app's use of it or a clock is more likely to blame than a client, and what
// to do about each.
var setup = []struct {
	reason engine.Reason
	do     string
}{
	{engine.KeyUnknown, "add the key: a kid that the policy does not name, or a window that is over or has not begun"},
	{engine.AlgorithmRefused, "compare the format and alg of keys with what the account issues"},
	{engine.TokenExpired, "compare this machine's clock with the true time; then look whether the app keeps tokens instead of asking the SDK each time"},
	{engine.TokenNotYetValid, "set this machine's clock"},
	{engine.BindingMissing, "bind what the app really sends: the route's binding.from names something that is not in these requests"},
	{engine.BindingRepeated, "send the bound header once: a proxy or the app doubles it"},
	{engine.BindingMismatch, "have the app bind the very value it sends, and again when that changes, such as after a new login"},
	{engine.PayMissing, "have the app call setDataHashInToken before it fetches a token, or set missing_pay: failover"},
	{engine.ClaimDenied, "look whether the denied annotations, issuers or audience are those of genuine users"},
	{engine.TokenRepeated, "find what adds the token header a second time"},
	{engine.TokenTooLarge, "raise token.max_bytes, if these tokens are genuine"},
	{engine.TargetRefused, "look at the log for these targets: does the app ask for them?"},
}

// judge fills in what is in the way, and with that the answer.
func (r *Report) judge(status *gate.Status) {
	r.judgeGate(status)
	for i := range r.Routes {
		if route := &r.Routes[i]; !route.Exempt {
			r.judgeRoute(route)
		}
	}
	r.Ready = len(r.InTheWay) == 0
}

// block notes something in the way, in a route or, with nil, in none.
func (r *Report) block(route *string, do, what string, values ...any) {
	r.InTheWay = append(r.InTheWay, Obstacle{About: route, What: fmt.Sprintf(what, values...), Do: do})
}

// judgeGate looks at what is not about one route.
func (r *Report) judgeGate(status *gate.Status) {
	const soon = 7 * 24 * time.Hour
	if seen := r.To.Sub(r.From); seen.Hours() < r.Limits.Hours {
		r.block(nil, "wait, so that every kind of user has been seen", "only %s were watched, less than %g hours", seen.Round(time.Second), r.Limits.Hours)
	}
	if status.Failing {
		r.block(nil, "run approovgate check, and repair what it names", "policy or keys cannot be read again, and older ones are in force")
	}
	for _, source := range status.Sources {
		if source.Failure != "" {
			r.block(nil, "repair it before anything depends on it", "the source %s fails: %s", source.Name, gate.Printable(source.Failure))
		}
	}
	usable := 0
	for _, key := range status.Keys {
		if key.Usable {
			usable++
		}
		if key.Usable && key.LastUse.After(r.From) && !key.NotAfter.IsZero() && key.NotAfter.Sub(r.To) < soon {
			r.block(nil, "have its successor listed before that, unless it is being retired and the app's tokens come under the next one",
				"the key %s is in use and ends at %s", key.Name, key.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	if usable == 0 {
		r.block(nil, "look at the windows of the keys and at their sources", "no key is usable: every request would be rejected")
	}
	for _, route := range status.Routes {
		if !route.Exempt && route.Mode == config.Bypass {
			r.block(&route.Name, "set the mode log for a while, so that there is something to judge by", "is in mode bypass: nothing is checked")
		}
	}
}

// judgeRoute looks at one route that is checked.
func (r *Report) judgeRoute(route *RouteReport) {
	if route.Requests < r.Limits.Requests {
		// Requests that no route matches may well not exist.
		if route.Route != "" || route.Requests > 0 {
			r.block(&route.Route, "wait for more, or decide knowing that these requests were hardly seen", "requests that were checked: %d, less than %d", route.Requests, r.Limits.Requests)
		}
		if route.Requests == 0 {
			return
		}
	}
	r.judgeApps(route)
	for _, s := range setup {
		if n := route.byReason[s.reason]; route.share(n) > r.Limits.SetupShare {
			r.block(&route.Route, s.do, "%s of requests fail with %s", percent(route.share(n)), s.reason)
		}
	}
	wrong := route.byReason[engine.SignatureInvalid] + route.byReason[engine.DecryptionFailed]
	with := route.Requests - route.byReason[engine.TokenMissing] - route.byReason[engine.TokenEmpty] - route.byReason[engine.TokenStatus]
	if with > 0 && float64(wrong)/float64(with) > r.Limits.FailShare {
		r.block(&route.Route, "compare with the attestation service's own figures: builds that are not registered, rooted devices, or attackers, whom enforcing stops; "+
			"if it is nearly all, the secret is another account's",
			"%s of the tokens have a wrong signature", percent(float64(wrong)/float64(with)))
	}
	if route.Genuine == 0 {
		r.block(&route.Route, "look whether the app's requests come here, and with a token of this account", "not one request was genuine")
	}
	if b := route.Binding; b != nil && b.Unbound > 0 {
		r.block(&route.Route, "have the app always bind something, such as the word none where there is nothing; then set missing_pay: reject",
			"%s of genuine requests were accepted without being bound", percent(float64(b.Unbound)/float64(b.Genuine)))
	}
}

// judgeApps looks at requests without a token that come from clients which look like the app.
func (r *Report) judgeApps(route *RouteReport) {
	var n int64
	var kinds []string
	for _, c := range r.Clients {
		if c.Route != route.Route || c.Looks != "app" {
			continue
		}
		n += c.N
		if len(kinds) < 3 {
			kinds = append(kinds, strings.TrimSpace(c.Family+" "+c.AppVersion))
		}
	}
	if share := route.share(n); share > r.Limits.AppShare {
		r.block(&route.Route, "these are versions of the app from before it had Approov, or could not fetch a token: make them upgrade, or accept that they stop working",
			"%s of requests carry no token and come from clients that look like the app: %s", percent(min(share, 1)), strings.Join(kinds, ", "))
	}
}

// percent is a share as people write it.
func percent(share float64) string {
	switch p := share * 100; {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "under 0.1 %"
	case p < 10:
		return fmt.Sprintf("%.1f %%", p)
	case p > 99 && p < 100:
		return fmt.Sprintf("%.1f %%", math.Floor(p*10)/10) // never rounded up to all
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}
