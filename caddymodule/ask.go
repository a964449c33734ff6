package caddymodule

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/approovgate/approovgate/gate"
)

// askedVar is the variable of a request that holds what gates have answered.
const askedVar = "approov.asked"

// asked is what one gate has answered to a request.
type asked struct {
	live      *live
	answer    gate.Answer
	received  *http.Request // what was judged
	rewritten bool          // the request's target or method is another by now
	logged    bool          // a handler has told of it
	before    *asked        // of another gate that was asked earlier; nil: there was none
}

// journal is what all gates have answered to a request, the last first.
type journal struct {
	last  *asked
	first asked // the memory of it: nearly always there is but one
}

// ask asks a gate about a request, once however often it is called.
func ask(l *live, r *http.Request) *asked {
	book := journalOf(r)
	for a := book.last; a != nil; a = a.before {
		if a.live == l {
			return a
		}
	}
	a := &book.first
	if book.last != nil {
		a = new(asked)
	}
	a.live, a.before = l, book.last
	a.received, a.rewritten = original(r)
	a.answer = l.gate.Ask(a.received)
	l.station.reporter.Note(&a.answer, a.received)
	book.last = a
	return a
}

// journalOf is the journal of a request, which its placeholders read.
func journalOf(r *http.Request) *journal {
	if book, ok := caddyhttp.GetVar(r.Context(), askedVar).(*journal); ok {
		return book
	}
	book := &journal{}
	caddyhttp.SetVar(r.Context(), askedVar, book)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(book.placeholder)
	}
	return book
}

// original is a request as it was received, and from whom as far as trusted_proxies says; rewritten tells that its
// method or target was changed since.
func original(r *http.Request) (received *http.Request, rewritten bool) {
	received = r
	if before, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		if rewritten = before.RequestURI != r.RequestURI || before.Method != r.Method; rewritten {
			copied := *r
			copied.Method, copied.RequestURI, copied.URL = before.Method, before.RequestURI, before.URL
			received = &copied
		}
	}
	if client, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && !isFrom(r.RemoteAddr, client) {
		copied := *received
		copied.RemoteAddr = net.JoinHostPort(client, "0")
		received = &copied
	}
	return received, rewritten
}

// isFrom reports whether an address with port is that of a host.
func isFrom(address, host string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(address, "["), host)
	return ok && (host == "" || strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "]:"))
}

const placeholders = "http.approov."

// placeholder is the value of one of our placeholders. What is not known is empty, so that none is ever shown by its
// name.
func (j *journal) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, placeholders)
	if !ours || j.last == nil {
		return nil, ours
	}
	d := &j.last.answer.Decision
	switch name {
	case "result":
		return string(d.Verdict), true
	case "reason":
		return string(d.Reason), true
	case "key":
		return d.Key, true
	case "device":
		return d.Claims.Device, true
	}
	claim, ours := strings.CutPrefix(name, "claims.")
	if !ours {
		return nil, false
	}
	return claimOf(d.Claims.JSON, claim), true
}

// claimOf is one claim of a verified token: a text as it is, all else as JSON; empty: there is none.
func claimOf(claims, name string) string {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(claims), &all) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(all[name], &text) == nil {
		return text
	}
	return string(all[name])
}
