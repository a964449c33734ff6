package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/token"
)

// nonce is for one attestation. The zero nonce is none.
type nonce struct {
	text  string
	until time.Time
}

// The bounds of an answer.
const (
	maxNonce     = 512 // bytes
	maxTokens    = 64
	maxToken     = 16 << 10 // bytes
	maxRequestID = 64       // bytes
	longestToken = time.Hour
	longestNonce = time.Hour
)

// The tokens' last time, in which the first fetch has new ones brought: a quarter of their lifetime, and no more than
// this.
const longestRefresh = time.Minute

// attest has the app attested: it asks for a nonce, unless the last answer brought one, and sends what it sees.
func (c *Client) attest(ctx context.Context, pay string) (*tokens, *failure) {
	var got *tokens
	s := c.settings.Load()
	f := c.ask(ctx, s, func(ctx context.Context, base string) (f *fault) {
		n := c.takeNonce() // after a failure there is none, and a challenge comes first
		if n == "" {
			if n, f = c.challenge(ctx, s, base); f != nil {
				return f
			}
		}
		got, f = c.attestWith(ctx, s, base, n, pay)
		return f
	})
	return got, f
}

// takeNonce returns the nonce of the last answer, once. One that may run out on the way counts as none: the service
// does not say that it was too late, its tokens are just not valid.
func (c *Client) takeNonce() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nonce
	c.nonce = nonce{}
	if n.text == "" || !time.Now().Before(n.until) {
		return ""
	}
	return n.text
}

// newNonce checks a nonce that came with an answer to a request sent at a time. Its last quarter is not used.
func newNonce(text string, ttl int, sent time.Time) nonce {
	if text == "" || len(text) > maxNonce || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nonce{}
	}
	lifetime := min(time.Duration(max(ttl, 0))*time.Second, longestNonce)
	return nonce{text, sent.Add(lifetime * 3 / 4)}
}

// challenge asks for a nonce.
func (c *Client) challenge(ctx context.Context, s *settings, base string) (string, *fault) {
	sent := time.Now()
	var response attestapi.ChallengeResponse
	request := attestapi.ChallengeRequest{Account: c.initial.Account, Library: c.library.ID, DeviceID: c.deviceID}
	if f := post(ctx, s, base+attestapi.PathChallenge, request, &response); f != nil {
		return "", f
	}
	c.learn(response.Rules)
	n := newNonce(response.Nonce, max(response.NonceTTL, 1), sent)
	if n.text == "" {
		return "", &fault{kind: down, err: errors.New("the service's challenge has no nonce")}
	}
	return n.text, nil
}

// attestWith sends one attestation and reads what it brings.
func (c *Client) attestWith(ctx context.Context, s *settings, base, n, pay string) (*tokens, *fault) {
	flags := c.inspect(c.rules.Load())
	calls := c.calls.load()
	body, err := c.body(ctx, s, n, pay, flags, calls)
	if err != nil {
		return nil, &fault{kind: final, final: InternalError, err: err}
	}
	if ctx.Err() != nil {
		return nil, &fault{kind: unreachable, err: context.Cause(ctx)}
	}
	key := c.library.Key()
	mac := attestapi.RequestMAC(key, n, c.deviceID, body)
	sent := time.Now()
	answer, header, f := send(ctx, s, base+attestapi.PathAttest, body, http.Header{attestapi.HeaderMAC: {mac}})
	if f != nil {
		return nil, f
	}
	want := attestapi.ResponseMAC(key, n, c.deviceID, mac, http.StatusOK, answer)
	if !attestapi.SameMAC(header.Get(attestapi.HeaderMAC), want) {
		return nil, &fault{kind: intercepted, err: errors.New("the answer to the attestation is not the service's: its MAC is wrong")}
	}
	response, err := readAnswer(answer)
	if err != nil {
		return nil, &fault{kind: final, final: InternalError, err: err}
	}
	c.calls.subtract(calls)
	c.learn(response.Rules)
	c.keepMessageKey(response.Message)
	if response.Config != "" && c.update(response.Config) {
		c.changed.Store(true)
	}
	c.mu.Lock()
	c.nonce = newNonce(response.Nonce, response.NonceTTL, sent)
	c.mu.Unlock()
	got := newTokens(response.Tokens, pay, strings.Join(flags, " "), sent)
	if isRequest(response.Request) {
		got.request = response.Request
	}
	return got, nil
}

// body is the text of an attestation.
func (c *Client) body(ctx context.Context, s *settings, n, pay string, flags []string, calls attestapi.Calls) ([]byte, error) {
	request := attestapi.AttestRequest{
		Version:       attestapi.Version,
		Account:       c.initial.Account,
		Nonce:         n,
		ConfigKey:     c.fingerprint,
		ConfigVersion: s.config.Version,
		Library:       c.library.Ref(),
		App:           attestapi.App{Package: c.pkg, Version: c.version, Measurement: attestapi.Measurement(n, c.digest)},
		DeviceID:      c.deviceID,
		Flags:         flags,
		Pay:           pay,
		Calls:         calls,
	}
	if rules := c.rules.Load(); rules != nil {
		request.RulesVersion = rules.Version
	}
	body, err := json.Marshal(request)
	if err != nil || c.evidence == nil {
		return body, err
	}
	request.Evidence = c.gather(ctx, attestapi.EvidenceBinding(n, body))
	return json.Marshal(request)
}

// gather asks the app for evidence, no longer than ctx lasts.
func (c *Client) gather(ctx context.Context, binding [32]byte) []attestapi.Evidence {
	type answer struct {
		evidence []attestapi.Evidence
		err      error
	}
	answers := make(chan answer, 1)
	go func() { // ends with the app's function, which knows no context
		evidence, err := c.evidence(binding)
		answers <- answer{evidence, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			c.log.Warn("attesting without evidence: " + a.err.Error())
			return nil
		}
		return a.evidence
	case <-ctx.Done():
		return nil
	}
}

// readAnswer decodes the answer to an attestation and checks its shape. It is the service's, as its MAC is right.
func readAnswer(answer []byte) (attestapi.AttestResponse, error) {
	var response attestapi.AttestResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return response, errors.New("the service's answer is no JSON of ours")
	}
	if len(response.Tokens) > maxTokens {
		return response, errors.New("the service's answer has too many tokens")
	}
	for domain, t := range response.Tokens {
		if !isDomain(domain) || !isToken(t.Text) || t.TTL <= 0 {
			return response, errors.New("the service's answer has a token that is none")
		}
	}
	if response.Message != nil {
		if _, err := response.Message.Bytes(); err != nil {
			return response, errors.New("the service's answer has a message key that is none")
		}
	}
	return response, nil
}

// isToken reports whether text has the shape of a compact JWS or JWE, and so can stand in a header. The key of a JWE
// part may not be empty either: Approov's tokens wrap one.
func isToken(text string) bool {
	if len(text) > maxToken {
		return false
	}
	parts := 0
	for part := range strings.SplitSeq(text, ".") {
		parts++
		if part == "" || strings.ContainsFunc(part, func(c rune) bool {
			return c != '-' && c != '_' && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && !('0' <= c && c <= '9')
		}) {
			return false
		}
	}
	return parts == 3 || parts == 5
}

// isRequest reports whether text has the shape of a request ID, and so can stand in a log line.
func isRequest(text string) bool {
	return len(text) <= maxRequestID && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && !('0' <= c && c <= '9')
	})
}

// newTokens are the tokens of an answer to a request sent at a time. Their lifetime is counted from there, so that they
// are never used too long.
func newTokens(answer map[string]attestapi.Token, pay, flags string, sent time.Time) *tokens {
	t := &tokens{pay: pay, flags: flags, byDomain: make(map[string]issued, len(answer))}
	lifetime := longestToken
	if len(answer) == 0 {
		lifetime = longestRefresh // then it is asked again whether there are domains
	}
	for domain, one := range answer {
		lifetime = min(lifetime, time.Duration(min(one.TTL, longestToken.Milliseconds()))*time.Millisecond)
		t.byDomain[domain] = issued{one.Text, token.Loggable(one.Text)}
	}
	t.until = sent.Add(lifetime)
	t.refresh = t.until.Add(-min(lifetime/4, longestRefresh))
	return t
}
