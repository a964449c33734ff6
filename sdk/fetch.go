package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/token"
)

// tokens are what one attestation brought. They are never changed.
type tokens struct {
	pay      string // what they are bound to
	flags    string // of the environment in which they were had
	byDomain map[string]issued
	request  string    // the service's name for the attestation
	refresh  time.Time // from then on a fetch has new ones brought in the background
	until    time.Time // on the monotonic clock; the wall clock may be wrong, or be put right at any time
}

type issued struct{ text, loggable string }

// FetchToken returns a token for an API domain, or for the domain of an https URL. It must be called for every request:
// the SDK keeps tokens itself, an app never does (manual, "Fetching Approov Tokens"). Without one at hand it has the
// app attested, which brings tokens for all domains and takes 30 s at the very most; fetches at the same time wait for
// the same attestation. When ctx ends it returns PoorNetwork at once, and the attestation goes on for the others.
func (c *Client) FetchToken(ctx context.Context, url string) Result {
	if !c.usable() {
		return Result{Status: NotInitialized, LoggableToken: loggable[NotInitialized]}
	}
	c.calls.add(callsFetchSync)
	return c.count(c.fetch(ctx, url, nil))
}

// FetchTokenAsync is FetchToken for those who must not wait: callback gets the result, on a goroutine of its own.
func (c *Client) FetchTokenAsync(url string, callback func(Result)) {
	if !c.usable() {
		go callback(Result{Status: NotInitialized, LoggableToken: loggable[NotInitialized]})
		return
	}
	c.calls.add(callsFetchAsync)
	go func() { callback(c.count(c.fetch(c.life, url, nil))) }() // it ends with the attestation, or with Close
}

// SetDataHashInToken binds tokens to data, such as what the Authorization header of later requests says: its hash will
// be the pay claim (manual, "Token Binding"). Data that differs from what is set makes the SDK forget its tokens. It
// can be changed, and never be removed; an app that has nothing to bind sets a value that the API knows as none.
// Fetches are slowed down when data changes more than a few times in a row.
func (c *Client) SetDataHashInToken(data string) {
	if !c.usable() {
		return
	}
	c.calls.add(callsSetDataHash)
	pay := token.Pay([]byte(data))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bind(pay)
}

// bind changes what tokens are bound to. The caller holds mu.
func (c *Client) bind(pay string) {
	if c.pay != pay {
		c.pay = pay
		c.tokens.Store(nil)
	}
}

// fetch finds a token in the cache or has one fetched; with pay, one that is bound to that.
func (c *Client) fetch(ctx context.Context, url string, pay *string) Result {
	domain, ok := domainOf(url)
	if !ok {
		return c.failed(BadURL, errBadURL)
	}
	now := time.Now()
	c.look(now)
	if t := c.tokens.Load(); t != nil && now.Before(t.until) && (pay == nil || t.pay == *pay) {
		if now.After(t.refresh) {
			c.renew(t)
		}
		return c.pick(t, domain)
	}
	f := c.join(pay)
	select {
	case <-f.done:
	case <-ctx.Done():
		return c.failed(PoorNetwork, fmt.Errorf("the caller did not wait for the token: %w", context.Cause(ctx)))
	}
	if f.tokens == nil {
		return c.failed(f.status, f.err)
	}
	return c.pick(f.tokens, domain)
}

// pick is the result for a domain: an attestation has brought tokens for all that need one.
func (c *Client) pick(t *tokens, domain string) Result {
	if found, ok := t.byDomain[domain]; ok {
		return Result{Status: Success, Token: found.text, LoggableToken: found.loggable, Request: t.request, ConfigChanged: c.changed.Load()}
	}
	if api, ok := c.settings.Load().config.APIs[domain]; ok && !api.Protected {
		return c.failed(UnprotectedURL, nil)
	}
	return c.failed(UnknownURL, nil)
}

// count counts a result for the service's metrics.
func (c *Client) count(r Result) Result {
	switch r.Status {
	case Success:
		c.calls.add(resultSuccess)
	case NoNetwork:
		c.calls.add(resultNoNetwork)
	case PoorNetwork:
		c.calls.add(resultPoorNetwork)
	case MITMDetected:
		c.calls.add(resultMITMDetected)
	}
	return r
}

// lookEvery is how often the environment is looked at, however many fetches there are: it costs some ten microseconds.
const lookEvery = time.Second

// look forgets the tokens if the environment is not what it was when they were fetched (manual, "Fetching Approov
// Tokens": fast checks with every fetch).
func (c *Client) look(now time.Time) {
	at, last := int64(now.Sub(c.started)), c.looked.Load()
	if at-last < int64(lookEvery) || !c.looked.CompareAndSwap(last, at) {
		return
	}
	t, rules := c.tokens.Load(), c.rules.Load()
	if t == nil || rules == nil {
		return
	}
	if found := strings.Join(c.inspect(rules), " "); found != t.flags {
		c.tokens.CompareAndSwap(t, nil)
	}
}

const maxDomain = 253 // RFC 1035 §2.3.4, as text

var errBadURL = errors.New("want an API domain, or an https URL of one")

// domainOf is the domain of what the app passes: a domain, or an https URL (manual, "Token Fetch Errors"). A domain has
// letters, digits, dash and period (manual, "Managing API Domains"); a port is not part of it.
func domainOf(url string) (domain string, ok bool) {
	domain = url
	if scheme, rest, full := strings.Cut(url, "://"); full {
		if !strings.EqualFold(scheme, "https") {
			return "", false
		}
		domain = rest
		if end := strings.IndexAny(domain, "/?#"); end >= 0 {
			domain = domain[:end]
		}
	} else if end := strings.IndexByte(domain, '/'); end >= 0 {
		domain = domain[:end]
	}
	if host, port, found := strings.Cut(domain, ":"); found {
		if strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		domain = host
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, ".")) // example.com. is the same host
	return domain, isDomain(domain)
}

func isDomain(name string) bool {
	if name == "" || len(name) > maxDomain {
		return false
	}
	for _, c := range []byte(name) {
		if c != '-' && c != '.' && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return true
}
