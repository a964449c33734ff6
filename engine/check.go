package engine

import (
	"net"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/token"
)

// Check decides on one request.
func (e *Engine) Check(req Request) Decision {
	last := len(e.rules) - 1
	d := Decision{Mode: e.modes[last]}
	rule := last
	d.Reason = e.check(&req, &d, &rule)
	d.Verdict = d.Reason.Verdict()
	e.act(&req, &d, e.rollouts[rule])
	return d
}

// check is the order of checks. It fills d on the way, notes which rule applied, and returns the
// reason for the first check that settles the matter.
func (e *Engine) check(req *Request, d *Decision, matched *int) Reason {
	// canonical target → route
	place, ok := e.place(req)
	if !ok {
		return TargetRefused
	}
	r := &e.rules[place.rule]
	*matched = place.rule
	d.Host, d.Target, d.Route, d.Mode = place.host, place.target, r.name, e.modes[place.rule]

	// mode → exempt, preflight
	switch {
	case r.exempt:
		return Exempt
	case d.Mode == config.Bypass:
		return Bypassed
	case e.preflight && isPreflight(req):
		return PreflightExempt
	}

	// exactly one token header → size
	compact, reason := e.compact(req.Header)
	if reason != "" {
		return reason
	}

	// (cache) → signature or decryption → claims
	now := e.now()
	if reason := e.open(r, compact, now, d); reason != "" {
		return reason
	}

	// binding
	if reason := r.binding.check(req, d); reason != "" {
		return reason
	}

	// The message signature is checked here, between binding and claim rules.

	// claim rules
	return r.judge(&d.Claims)
}

// act turns the verdict into an action. Only a fail is ever rejected, and only a refused target in
// every mode: it has no route, so no route's mode can speak for it.
func (e *Engine) act(req *Request, d *Decision, rollout int) {
	if d.Reason == TargetRefused {
		d.Action = Reject
		if e.allBypass {
			d.Reason, d.Verdict, d.Action = Bypassed, None, Forward
		}
		return
	}
	if d.Mode == config.Enforce && rollout < 100 && !enforced(req, d, rollout) {
		d.Mode = config.Log
	}
	d.Action = Forward
	if d.Verdict != Pass && d.Verdict != None && d.Mode != config.Log {
		d.Action = Reject
	}
}

// compact takes the token out of its header.
func (e *Engine) compact(header map[string][]string) (string, Reason) {
	values := header[e.header]
	switch {
	case len(values) == 0:
		return "", TokenMissing
	case len(values) > 1:
		return "", TokenRepeated
	}
	value := values[0]
	if e.scheme != "" {
		var ok bool
		if value, ok = cutScheme(value, e.scheme); !ok {
			if isStatus(value) {
				return "", TokenStatus
			}
			return "", TokenMalformed
		}
	}
	switch {
	case value == "":
		return "", TokenEmpty
	case len(value) > e.maxBytes:
		return "", TokenTooLarge
	case strings.IndexByte(value, '.') < 0 && isStatus(value):
		return "", TokenStatus
	}
	return value, ""
}

// cutScheme removes an authentication scheme and the spaces behind it (RFC 9110 §11.1).
func cutScheme(value, scheme string) (string, bool) {
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return value, value == ""
	}
	rest := value[len(scheme):]
	if rest != "" && rest[0] != ' ' {
		return value, false
	}
	return strings.TrimLeft(rest, " "), true
}

// opened is what the cache keeps of a token: never the verdict, which depends on the moment.
type opened struct {
	claims token.Claims
	key    string
}

// open verifies or decrypts the token and judges the claims that every token must have.
func (e *Engine) open(r *rule, compact string, now time.Time, d *Decision) Reason {
	entry := ""
	if e.cache != nil && (e.cacheAll || !r.ring.Expected(compact)) {
		entry = r.cacheKey(compact)
		if value, ok := e.cache.Get(entry); ok && r.recall(value.(*opened), now, d) {
			return timely(&d.Claims, now, e.leeway)
		}
	}
	payload, key, fault := r.ring.Open(compact, now.Unix(), r.accept)
	if fault != "" {
		return faultReason(fault)
	}
	return e.admit(entry, payload, key, now, d)
}

// recall takes what the cache has of a token, if its key may still be used.
func (r *rule) recall(hit *opened, now time.Time, d *Decision) bool {
	key, ok := r.ring.Key(hit.key)
	if !ok || !key.Usable(now.Unix()) {
		return false
	}
	d.Claims, d.Key = hit.claims, hit.key
	return true
}

// admit reads the claims of a token that a key has opened. entry is what the cache is to keep them under; empty: it
// is not.
func (e *Engine) admit(entry, payload, key string, now time.Time, d *Decision) Reason {
	claims, wrong := token.Decode(payload)
	switch wrong {
	case token.Invalid:
		return ClaimInvalid
	case token.ExpMissing:
		return ExpMissing
	}
	d.Claims, d.Key = claims, key
	if entry != "" {
		e.cache.Add(entry, &opened{claims: claims, key: key})
	}
	return timely(&d.Claims, now, e.leeway)
}

// cacheKey holds all that opening depends on: the ring, the formats and the whole token.
func (r *rule) cacheKey(compact string) string {
	formats := "s"
	if r.accept.JWE {
		formats = "e"
		if r.accept.JWS {
			formats = "a"
		}
	}
	return formats + r.ringID + "\x00" + compact
}

func timely(c *token.Claims, now time.Time, leeway time.Duration) Reason {
	switch c.At(now, leeway) {
	case token.Expired:
		return TokenExpired
	case token.NotYet:
		return TokenNotYetValid
	}
	return ""
}

func faultReason(fault jose.Fault) Reason {
	switch fault {
	case jose.AlgorithmRefused:
		return AlgorithmRefused
	case jose.KeyUnknown:
		return KeyUnknown
	case jose.SignatureInvalid:
		return SignatureInvalid
	case jose.DecryptionFailed:
		return DecryptionFailed
	}
	return TokenMalformed
}

// judge applies the claim rules, the last of the checks.
func (r *rule) judge(c *token.Claims) Reason {
	if r.audience != "" && !c.HasAudience(r.audience) {
		return ClaimDenied
	}
	if r.denyIss[c.Issuer] || r.allowIss != nil && !r.allowIss[c.Issuer] {
		return ClaimDenied
	}
	if r.denyAnno != nil {
		for _, annotation := range c.Annotations() {
			if r.denyAnno[annotation] {
				return ClaimDenied
			}
		}
	}
	return OK
}

// isPreflight reports whether a request is a CORS preflight as browsers send it (Fetch, "CORS-preflight
// fetch") and can be nothing else: one that carries content, or asks to be taken for another method, is
// not exempt.
func isPreflight(req *Request) bool {
	if req.Method != "OPTIONS" || req.Body {
		return false
	}
	origin, method := req.Header["Origin"], req.Header["Access-Control-Request-Method"]
	if len(origin) != 1 || origin[0] == "" || len(method) != 1 || method[0] == "" {
		return false
	}
	return len(overrides(req.Header)) == 0
}

// address is a peer without its port.
func address(peer string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return peer
	}
	return host
}
