package attestserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/evidence"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/mint"
)

const maxMAC = 256 // bytes of the request's MAC header

// attest answers an attestation: 200 with tokens, whatever it finds. Good tokens and others differ in nothing but the
// key they were made with, and so do the answers. Two things may show: annotations, where the account asked for them,
// and the shorter life of tokens for risky devices, which is the manual's rule ("Token Lifespan").
func (s *Server) attest(w http.ResponseWriter, r *http.Request, body []byte, id string) error {
	begin := s.o.Now()
	name, err := s.answer(w, r, body, id, begin)
	s.metrics.seconds.Observe(s.o.Now().Sub(begin).Seconds())
	if err != nil {
		s.metrics.attestations.WithLabelValues(name, "error").Inc()
	}
	return err
}

// answer does attest's work. The name is that of the account, if there is one.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte, id string, now time.Time) (name string, err error) {
	mac := r.Header.Get(attestapi.HeaderMAC)
	if len(mac) > maxMAC {
		return "", malformed("%s is too long", attestapi.HeaderMAC)
	}
	q, err := decodeAttest(body)
	if err != nil {
		return "", err
	}
	c, err := s.named(q.Account)
	if err != nil {
		return "", err
	}
	f := c.find(&q, body, mac, now)
	if err := s.spend(r.Context(), c, &q, f, now); err != nil {
		return q.Account, err
	}
	s.weigh(r.Context(), &q, f, body)
	flags := sortFlags(f.flags)
	pass, anno := issue.Judge(c.policy(f), flags)
	ttl := issue.Lifetime(flags)
	claims := tokenClaims{
		anno: anno, device: q.DeviceID, evidence: f.evidenceOf.Level.String(), more: f.evidenceOf.Claims, pay: q.Pay,
		exp: now.Add(ttl + issue.Grace(c.account)).Unix(), mskid: c.messages.id,
	}
	if c.account.IPTracking != account.TrackNone {
		claims.ip = s.ClientAddress(r)
	}
	response, err := s.respond(c, &q, f, claims, ttl, pass, id, now)
	if err != nil {
		return q.Account, err
	}
	w.Header().Set(attestapi.HeaderMAC, attestapi.ResponseMAC(f.key, q.Nonce, q.DeviceID, mac, http.StatusOK, response))
	writeBody(w, "application/json", response)
	_ = http.NewResponseController(w).Flush() // now, so that the answer does not come later for what is done about a failure
	s.afterwards.do(func() {
		s.metrics.attested(c, &q, f, flags, pass)
		if !pass {
			s.tellFailed(context.WithoutCancel(r.Context()), c, &q, flags, id, now)
			s.keepFailed(c, &q, f, flags, id, now)
		}
	})
	return q.Account, nil
}

// spend consumes the nonce, once and for all, whatever else is wrong with the request. Only a nonce that this account
// has made for this device, and that has not expired, reaches the store. Any other is answered sooner, which tells
// nobody more than that they made it up.
func (s *Server) spend(ctx context.Context, c *compiled, q *attestapi.AttestRequest, f *finding, now time.Time) error {
	n, ok := c.nonces.open(q.Nonce, q.DeviceID, now)
	if ok {
		fresh, err := s.use(ctx, n)
		if err != nil {
			if ctx.Err() == nil { // else it is the client that did not wait
				s.metrics.nonceFailed.Inc()
				s.contacted(fmt.Errorf("the store does not take nonces: %w", err))
				if s.noNonces.due(now) {
					s.log.Error("attestations are answered 503, because the store takes no nonces", slog.Any("error", err))
				}
			}
			return busy("nonces cannot be checked at the moment")
		}
		ok, f.replayed = fresh, !fresh
	}
	if !ok {
		f.raise(attestapi.FlagBadNonce)
	}
	return nil
}

const evidenceTime = 5 * time.Second // that verifying the evidence of one attestation may take

// weigh adds what evidence says.
func (s *Server) weigh(ctx context.Context, q *attestapi.AttestRequest, f *finding, body []byte) {
	if len(q.Evidence) == 0 || s.evidence.Empty() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	f.evidenceOf = s.evidence.Verify(ctx, q.Evidence, evidence.Binding{
		Nonce: q.Nonce, DeviceID: q.DeviceID, Package: q.App.Package,
		Hash: attestapi.EvidenceBinding(q.Nonce, withoutEvidence(body)),
	})
	for _, flag := range f.evidenceOf.Flags {
		f.raise(flag)
	}
}

// respond is the body of the answer.
func (s *Server) respond(c *compiled, q *attestapi.AttestRequest, f *finding, claims tokenClaims, ttl time.Duration, pass bool, id string, now time.Time) ([]byte, error) {
	payload, err := claims.canonical()
	if err != nil {
		return nil, err
	}
	tokens, err := c.issuer.All(payload, pass)
	if err != nil {
		return nil, err
	}
	nonce, err := s.newNonce(c, q.DeviceID, now, nextNonceTTL)
	if err != nil {
		return nil, err
	}
	answer := attestapi.AttestResponse{
		Tokens: make(map[string]attestapi.Token, len(tokens)), Nonce: nonce, NonceTTL: int(nextNonceTTL.Seconds()),
		Config: c.update(f.deviceOwn, q.ConfigVersion), Message: c.messages.key(q.DeviceID, pass), Request: id,
	}
	for domain, text := range tokens {
		answer.Tokens[domain] = attestapi.Token{Text: text, TTL: ttl.Milliseconds()}
	}
	if q.RulesVersion != s.o.Rules.Version {
		answer.Rules = s.o.Rules
	}
	return json.Marshal(answer)
}

// newNonce makes a nonce for a device.
func (s *Server) newNonce(c *compiled, device string, now time.Time, ttl time.Duration) (string, error) {
	var random [randomSize]byte
	if _, err := io.ReadFull(s.o.Rand, random[:]); err != nil {
		return "", fmt.Errorf("randomness: %w", err)
	}
	return c.nonces.seal(random, device, now, ttl), nil
}

// tokenClaims are what an attestation's tokens say (manual, "Token Claims").
type tokenClaims struct {
	anno     []string
	device   string
	evidence string // the level of the evidence; empty: none
	exp      int64
	ip       string // empty: not told
	mskid    string // ID of the message signing key; empty: there is none
	pay      string // empty: the tokens are not bound
	more     map[string]string
}

// canonical is the claims in the form of mint.Canonical. Most are written by hand, which is many times faster; all of
// their texts are of characters that JSON does not escape.
func (t tokenClaims) canonical() (string, error) {
	if len(t.more) > 0 {
		return mint.Canonical(t.members())
	}
	b := make([]byte, 0, 256)
	b = append(b, '{')
	for i, flag := range t.anno {
		if i == 0 {
			b = append(b, `"anno":["`...)
		} else {
			b = append(b, `","`...)
		}
		b = append(b, flag...)
	}
	if len(t.anno) > 0 {
		b = append(b, `"],`...)
	}
	b = append(append(append(b, `"did":"`...), t.device...), '"')
	if t.evidence != "" {
		b = append(append(append(b, `,"evidence":"`...), t.evidence...), '"')
	}
	b = strconv.AppendInt(append(b, `,"exp":`...), t.exp, 10)
	if t.ip != "" {
		b = append(append(append(b, `,"ip":"`...), t.ip...), '"')
	}
	if t.mskid != "" {
		b = append(append(append(b, `,"mskid":"`...), t.mskid...), '"')
	}
	if t.pay != "" {
		b = append(append(append(b, `,"pay":"`...), t.pay...), '"')
	}
	return string(append(b, '}')), nil
}

// members are the claims as a map.
func (t tokenClaims) members() map[string]any {
	members := map[string]any{"did": t.device, "exp": t.exp}
	for name, value := range t.more {
		members[name] = value
	}
	if len(t.anno) > 0 {
		members["anno"] = t.anno
	}
	for name, value := range map[string]string{"evidence": t.evidence, "ip": t.ip, "mskid": t.mskid, "pay": t.pay} {
		if value != "" {
			members[name] = value
		}
	}
	return members
}
