package engine

import (
	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/token"
)

// Request is what the engine judges. Any HTTP stack can fill it in.
type Request struct {
	Method string              // as received
	Scheme string              // http or https, as the client used it
	Host   string              // the Host header, or the authority of an absolute-form target or of HTTP/2
	Target string              // the request target as received, undecoded (RFC 9112 §3.2)
	Header map[string][]string // keys in net/http's canonical form
	Peer   string              // the client's address, with or without a port
	Body   bool                // whether the request announces content
}

// Verdict is what the check found.
type Verdict string

// The verdicts. The zero value is no verdict and counts as a fail.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	None Verdict = "none" // not checked: exempt, preflight or bypassed
)

// Action is what happens to the request. Only Forward lets it through.
type Action string

// The actions.
const (
	Forward Action = "forward"
	Reject  Action = "reject"
)

// Decision is the answer to a Request. It holds copies, nothing of the request's buffers.
type Decision struct {
	Verdict Verdict
	Action  Action
	Reason  Reason
	Mode    config.Mode  // in force for this request: route, control and rollout considered
	Route   string       // name of the matched route; empty: none
	Key     string       // name of the key that verified the token; empty: none did
	Claims  token.Claims // of a verified token, also when a later check failed; zero otherwise
	Unbound bool         // passed without pay although a binding is set, as missing_pay allows
	Host    string       // canonical host, with the port as received: forward this
	Target  string       // canonical target: forward exactly this
}
