package pinwatch

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/pins"
)

const (
	endsSoon = 14 * 24 * time.Hour // when it is told that a certificate ends
	// What is served by turns, as by several servers of one name, is told once: a chain is news if it was not seen for
	// this long. So many are remembered.
	newsAfter = 24 * time.Hour
	maxSeen   = 16
)

// watched is a domain and what is known of it.
type watched struct {
	key
	pins    []string // that it is to have one of
	due     time.Time
	looking bool
	stale   bool // the pins are others than those that status was judged by
	status  attestapi.PinStatus
	failed  int                  // looks one after another
	served  string               // the chain that was seen last, as its pins
	seen    map[string]time.Time // chains, and when they were seen last
	warned  map[int64]bool       // ends of certificates that were told, as Unix time
	sending int                  // messages on their way to the webhook
	told    told                 // what its receiver has taken
}

// take takes the outcome of a look: what is known now, what is to be told, and the outcome in a word.
func (x *watched) take(now time.Time, chain pins.Chain, err error) (messages []attestapi.PinMessage, result string) {
	before := x.status
	s := &x.status
	s.Checked = now.UTC().Truncate(time.Second)
	if err != nil {
		s.Detail = plain(err.Error())
		if x.failed++; x.failed < failures && s.State != attestapi.PinsUnreachable {
			return nil, resultFailed
		}
		s.State, s.Pin = attestapi.PinsUnreachable, ""
	} else {
		x.failed = 0
		s.State, s.Pin, s.Detail = judge(chain, x.pins)
		s.Leaf, s.Expires = chain.Leaf().Pin, chain.Expires().UTC()
	}
	x.stale = false
	if s.State != before.State {
		s.Since = s.Checked
	}
	news := err == nil && x.news(now, chain)
	if event := eventOf(before.State, s.State, news); event != "" {
		messages = append(messages, x.message(event, before))
	}
	if err == nil && x.endsSoon(now, s.Expires) {
		messages = append(messages, x.message(attestapi.PinsExpiring, before))
	}
	return messages, s.State
}

// judge says how a chain stands to the pins.
func judge(chain pins.Chain, want []string) (state, pin, detail string) {
	pin, matches := chain.Match(want)
	switch {
	case chain.Problem != nil:
		return attestapi.PinsUntrusted, "", plain(chain.Problem.Error())
	case len(want) == 0:
		return attestapi.PinsUnpinned, "", ""
	case !matches:
		return attestapi.PinsMismatched, "", "no certificate has one of the pins"
	}
	return attestapi.PinsMatched, pin, ""
}

// news reports whether another chain is served than at the look before, which was not seen lately.
func (x *watched) news(now time.Time, chain pins.Chain) bool {
	var all []string
	for _, c := range chain.Certificates {
		all = append(all, c.Pin)
	}
	served := strings.Join(all, " ")
	last, known := x.seen[served]
	news := x.served != "" && x.served != served && (!known || now.Sub(last) >= newsAfter)
	if x.seen == nil {
		x.seen = map[string]time.Time{}
	}
	if x.served, x.seen[served] = served, now; len(x.seen) > maxSeen {
		delete(x.seen, oldest(x.seen))
	}
	return news
}

func oldest(seen map[string]time.Time) (first string) {
	for one, at := range seen {
		if first == "" || at.Before(seen[first]) {
			first = one
		}
	}
	return first
}

// endsSoon reports whether a certificate that is still good ends within 14 days, once for each end.
func (x *watched) endsSoon(now, end time.Time) bool {
	if left := end.Sub(now); left <= 0 || left > endsSoon || x.warned[end.Unix()] {
		return false
	}
	if x.warned == nil || len(x.warned) >= maxSeen {
		x.warned = map[int64]bool{}
	}
	x.warned[end.Unix()] = true
	return true
}

// well reports whether apps can use a domain in a state.
func well(state string) bool {
	return state == attestapi.PinsMatched || state == attestapi.PinsUnpinned
}

// eventOf is what a look is worth telling; empty: nothing.
func eventOf(before, after string, news bool) string {
	switch {
	case before == after && !news:
		return ""
	case before == after:
		return attestapi.PinsChanged
	case !well(after):
		return attestapi.PinsProblem
	case before == attestapi.PinsUnknown:
		return "" // the first look
	case !well(before):
		return attestapi.PinsRecovered
	}
	return attestapi.PinsChanged
}

// message makes a message of what is known now.
func (x *watched) message(event string, before attestapi.PinStatus) attestapi.PinMessage {
	s := x.status
	m := attestapi.PinMessage{
		ID: rand.Text(), Event: event, Account: x.account, Domain: x.domain, State: s.State, Previous: before.State,
		Pins: append([]string{}, x.pins...), Leaf: s.Leaf, Before: before.Leaf, Expires: s.Expires, Detail: s.Detail, Time: s.Checked,
	}
	if m.Leaf == m.Before {
		m.Before = ""
	}
	m.Text = fmt.Sprintf("Account %s: %s.", x.account, sentence(m, s.Pin))
	return m
}

// sentence is a message for a person. It repeats nothing that a server says of itself but public keys' hashes.
func sentence(m attestapi.PinMessage, matched string) string {
	switch {
	case m.Event == attestapi.PinsExpiring:
		return fmt.Sprintf("a certificate of %s ends on %s", m.Domain, m.Expires.Format("2006-01-02 15:04 MST"))
	case m.State == attestapi.PinsUnreachable:
		return m.Domain + " cannot be reached from the attestation service"
	case m.State == attestapi.PinsUntrusted:
		return fmt.Sprintf("the certificates of %s are not trusted, so apps refuse to connect; the leaf's pin is %s", m.Domain, m.Leaf)
	case m.State == attestapi.PinsMismatched:
		return fmt.Sprintf("no certificate of %s has one of its pins, so apps refuse to connect; the leaf's pin is %s", m.Domain, m.Leaf)
	}
	pin := "pin " + matched + " matches"
	if m.State == attestapi.PinsUnpinned {
		pin = "it has no pins"
	}
	switch {
	case m.Event == attestapi.PinsRecovered:
		return fmt.Sprintf("%s is in order again: %s", m.Domain, pin)
	case m.State != m.Previous:
		return fmt.Sprintf("the pins of %s have been changed: %s", m.Domain, pin)
	case m.Before != "":
		return fmt.Sprintf("%s shows another leaf key, with the pin %s in place of %s: %s", m.Domain, m.Leaf, m.Before, pin)
	}
	return fmt.Sprintf("%s shows another chain of certificates: %s", m.Domain, pin)
}
