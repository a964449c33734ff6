package main

import (
	"fmt"
	"strings"
)

// step is one request of the walk and what the demo announces will come of it.
type step struct {
	what    string   // what is special about the request, for people
	request string   // request line without the version, such as "GET /v1/shapes"
	headers []string // header lines after Host
	control string   // what an operator puts into force before it, as PUT /control has it; empty: nothing
	why     string   // what approov explain says of its token; empty: that is not shown

	verdict string
	reason  string
	status  int
	reaches bool   // whether the API gets the request
	tells   string // the verdict header the API sees; empty: none
}

// section is a group of steps under one heading.
type section struct {
	title string
	steps []step
}

// The demo's user, and one who stole a token.
const (
	alice   = "Bearer alice"
	mallory = "Bearer mallory"
)

// sections are the walk. Each token is minted once, for this walk; those in fetched come from the attestation service.
func sections(a account, fetched tokens) ([]section, error) {
	var failure error
	mint := func(kind, bind string) string {
		minted, err := a.token(kind, bind)
		if err != nil {
			failure = fmt.Errorf("mint a token: %w", err)
		}
		return "Approov-Token: " + minted
	}
	valid := mint("valid", "")
	bound := mint("valid", alice)
	failover := mint("failover", "")
	const shapes = "GET /v1/shapes"
	all := []section{
		{"Attestation: what an app gets that fetches a token", []step{
			ask("the registered app", shapes, "Approov-Token: "+fetched.genuine).passes(),
			ask("a patched copy of it", shapes, "Approov-Token: "+fetched.patched).denied("signature_invalid", 401).explained(fetched.whyPatched),
			ask("somebody who sent the app's attestation again", shapes, "Approov-Token: "+fetched.replayed).denied("signature_invalid", 401),
			ask("the registered app on a blacklisted device", shapes, "Approov-Token: "+fetched.blacklisted).denied("signature_invalid", 401).explained(fetched.whyBlacklisted),
		}},
		{"Tokens", tokenSteps(mint)},
		{"Binding: the token belongs to one user", []step{
			ask("token bound to this Authorization, with it", "POST /v1/transfers", bound, "Authorization: "+alice).passes(),
			ask("the same token with another user's", "POST /v1/transfers", bound, "Authorization: "+mallory).denied("binding_mismatch", 401),
			ask("the same token without Authorization", "POST /v1/transfers", bound).denied("binding_missing", 401),
			ask("token that is not bound", "POST /v1/transfers", valid, "Authorization: "+alice).denied("pay_missing", 401),
			ask("failover token, route accepts it", "GET /v1/accounts/1", failover, "Authorization: "+alice).passes(),
			ask("failover token, route does not", "POST /v1/transfers", failover, "Authorization: "+alice).denied("pay_missing", 401),
		}},
		{"Encrypted tokens", []step{
			ask("encrypted token on a route for them", "GET /v1/vault", mint("jwe", "")).passes(),
			ask("signed token on that route", "GET /v1/vault", valid).denied("algorithm_refused", 401),
			ask("encrypted token on any other route", "GET /v1/shapes", mint("jwe", "")).denied("algorithm_refused", 401),
		}},
		{"Routes and modes", []step{
			ask("health check, exempt", "GET /healthz").unchecked("exempt"),
			ask("CORS preflight", "OPTIONS /v1/shapes", "Origin: https://app.example", "Access-Control-Request-Method: GET").unchecked("preflight"),
			ask("no token on a log-mode route: reported only", "GET /beta/shapes").logged("token_missing"),
		}},
		{"Tricks", []step{
			ask("doubled slashes", "GET //v1//shapes").denied("token_missing", 401),
			ask("out of the exempt route by dot segments", "GET /healthz/../v1/shapes").denied("token_missing", 401),
			ask("the same with an encoded slash", "GET /healthz/..%2fv1/shapes").denied("target_refused", 400),
			ask("tunnel", "CONNECT api.example.com:443").denied("target_refused", 405),
			ask("asterisk", "OPTIONS *").denied("target_refused", 400),
			ask("forged verdict header, no token", "GET /v1/shapes", "X-Approov-Verdict: pass").denied("token_missing", 401),
			ask("forged verdict header, exempt: replaced", "GET /healthz", "X-Approov-Verdict: pass").unchecked("exempt"),
			ask("forged verdict header, log mode: taken out", "GET /beta/shapes", "X-Approov-Verdict: pass", "X_Approov_Verdict: pass").logged("token_missing"),
		}},
		{"The live switch: an operator, while requests go on", []step{
			ask("bypass for one route", "POST /v1/transfers").bypassed().after(`{"routes":{"transfers":"bypass"},"for":"1m","reason":"demo"}`),
			ask("the other routes", "GET /v1/shapes").denied("token_missing", 401),
			ask("log for all: reported only", "GET /v1/shapes").logged("token_missing").after(`{"mode":"log","for":"1m","reason":"demo"}`),
			ask("enforced for no device yet: rollout 0", "GET /v1/shapes").logged("token_missing").after(`{"mode":"enforce","rollout":0,"for":"1m"}`),
			ask("resume: the policy rules again", "GET /v1/shapes").denied("token_missing", 401).after(`{}`),
		}},
	}
	return all, failure
}

// tokenSteps are about the token itself, on a route that needs nothing but a valid one.
func tokenSteps(mint func(kind, bind string) string) []step {
	const request = "GET /v1/shapes"
	valid := mint("valid", "")
	return []step{
		ask("no token", request).denied("token_missing", 401),
		ask("genuine token", request, valid).passes(),
		ask("expired token", request, mint("expired", "")).denied("token_expired", 401),
		ask("signed with the decoy secret: failed attestation", request, mint("badsig", "")).denied("signature_invalid", 401),
		ask("alg none", request, withHeader(valid, noneHeader)).denied("algorithm_refused", 401),
		ask("alg HS512 in place of HS256", request, withHeader(valid, hs512Header)).denied("algorithm_refused", 401),
		ask("two tokens", request, valid, valid).denied("token_repeated", 401),
		ask("status word in place of a token", request, "Approov-Token: NO_NETWORK").denied("token_status", 401),
		ask("not a token", request, "Approov-Token: let.me-in").denied("token_malformed", 401),
	}
}

// Token headers (RFC 7515 §4) in base64url: {"alg":"none"} and {"alg":"HS512"}.
const (
	noneHeader  = "eyJhbGciOiJub25lIn0"
	hs512Header = "eyJhbGciOiJIUzUxMiJ9"
)

// withHeader is a token header line with another first part in its token.
func withHeader(line, header string) string {
	name, compact, _ := strings.Cut(line, ": ")
	_, rest, _ := strings.Cut(compact, ".")
	return name + ": " + header + "." + rest
}

// ask is a step without an announcement yet.
func ask(what, request string, headers ...string) step {
	return step{what: what, request: request, headers: headers}
}

func (s step) passes() step {
	s.verdict, s.reason, s.status, s.reaches, s.tells = "pass", "ok", 200, true, "pass"
	return s
}

func (s step) denied(reason string, status int) step {
	s.verdict, s.reason, s.status = "fail", reason, status
	return s
}

func (s step) unchecked(reason string) step {
	s.verdict, s.reason, s.status, s.reaches, s.tells = "none", reason, 200, true, "none"
	return s
}

// bypassed announces a request that is not even checked, invisibly to the API.
func (s step) bypassed() step {
	s.verdict, s.reason, s.status, s.reaches = "none", "bypassed", 200, true
	return s
}

// after has an operator put a control document into force before the request.
func (s step) after(control string) step {
	s.control = control
	return s
}

// logged announces a fail that the mode lets through, invisibly to the API.
func (s step) logged(reason string) step {
	s.verdict, s.reason, s.status, s.reaches = "fail", reason, 200, true
	return s
}

// explained shows below the step why the service refused its app or device.
func (s step) explained(why string) step {
	s.why = why
	return s
}
