package engine

import (
	"net/url"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/token"
)

// binding ties tokens to request data (manual, "Token Binding"). The zero value requires nothing.
type binding struct {
	config.Binding
	onlyHeader string // the common case: one header, bound as it stands; empty: another case
}

func newBinding(b config.Binding) binding {
	ready := binding{Binding: b}
	if len(b.From) == 1 && b.From[0].Kind == "header" && b.From[0].Name != "Cookie" && !b.TrimScheme && !b.HasAbsent {
		ready.onlyHeader = b.From[0].Name
	}
	return ready
}

// check compares the token's pay claim with the hash of the bound data. A token without pay is judged
// first: what a failover token lacks, no request data can replace.
func (b *binding) check(req *Request, d *Decision) Reason {
	if len(b.From) == 0 {
		return ""
	}
	if !d.Claims.HasPay {
		if b.MissingPay == config.AcceptUnbounded || b.MissingPay == config.AcceptFailover && d.Claims.Device == "" {
			d.Unbound = true
			return ""
		}
		return PayMissing
	}
	data, reason := b.data(req)
	if reason != "" {
		return reason
	}
	if !token.Binds(d.Claims.Pay, data) {
		return BindingMismatch
	}
	return ""
}

// data is the bound data: the sources' values, trimmed and joined without a separator.
func (b *binding) data(req *Request) (string, Reason) {
	if b.onlyHeader != "" {
		return one(req.Header[b.onlyHeader])
	}
	joined := ""
	wanted, missing := 0, 0
	for _, from := range b.From {
		value, reason := "", Reason("")
		switch from.Kind {
		case "const":
			joined += from.Name
			continue
		case "header":
			value, reason = b.headerValue(req.Header, from.Name)
		case "cookie":
			value, reason = cookie(req.Header["Cookie"], from.Name)
		case "query":
			value, reason = parameter(req.Target, from.Name)
		default:
			reason = BindingMissing
		}
		wanted++
		switch reason {
		case BindingMissing:
			missing++
		case "":
			joined += value
		default:
			return "", reason
		}
	}
	switch {
	case missing == 0:
		return joined, ""
	case missing == wanted && b.HasAbsent:
		return b.Absent, ""
	}
	return "", BindingMissing
}

// headerValue is a header's value. The lines of Cookie, which clients may split, count as one
// (RFC 9113 §8.2.3).
func (b *binding) headerValue(header map[string][]string, name string) (string, Reason) {
	values := header[name]
	if name == "Cookie" && len(values) > 1 {
		values = []string{strings.Join(values, "; ")}
	}
	value, reason := one(values)
	if reason != "" || !b.TrimScheme {
		return value, reason
	}
	if space := strings.IndexByte(value, ' '); space >= 0 {
		return one([]string{value[space:]})
	}
	return value, ""
}

// one is the single non-empty value there must be.
func one(values []string) (string, Reason) {
	if len(values) > 1 {
		return "", BindingRepeated
	}
	if len(values) == 0 {
		return "", BindingMissing
	}
	value := strings.Trim(values[0], " \t")
	if value == "" {
		return "", BindingMissing
	}
	return value, ""
}

// cookie is the value of the one cookie of that name, as it stands (RFC 6265 §4.2.1).
func cookie(lines []string, name string) (string, Reason) {
	var values []string
	for _, line := range lines {
		for _, pair := range strings.Split(line, ";") {
			key, value := pair, ""
			if eq := strings.IndexByte(pair, '='); eq >= 0 {
				key, value = pair[:eq], pair[eq+1:]
			}
			if strings.Trim(key, " \t") == name {
				values = append(values, value)
			}
		}
	}
	return one(values)
}

// parameter is the decoded value of the one query parameter of that name. Backends differ in whether
// ";" separates parameters and in what becomes of broken escapes, so every reading is counted, and
// one that would add another value makes the parameter repeated.
func parameter(target, name string) (string, Reason) {
	mark := strings.IndexByte(target, '?')
	if mark < 0 {
		return "", BindingMissing
	}
	found, text := false, ""
	rest, separator := target[mark+1:], byte('&')
	for more := true; more; {
		piece, before := rest, separator
		end := strings.IndexAny(rest, "&;")
		if more = end >= 0; more {
			piece, separator, rest = rest[:end], rest[end], rest[end+1:]
		}
		key, value := piece, ""
		if eq := strings.IndexByte(piece, '='); eq >= 0 {
			key, value = piece[:eq], piece[eq+1:]
		}
		if decoded, _ := unescapeQuery(key); decoded != name {
			continue
		}
		decoded, ok := unescapeQuery(value)
		if !ok || found || before == ';' || more && separator == ';' {
			return "", BindingRepeated
		}
		found, text = true, decoded
	}
	if !found {
		return "", BindingMissing
	}
	return one([]string{text})
}

// unescapeQuery decodes a piece of a query, which is itself if it cannot be decoded.
func unescapeQuery(text string) (string, bool) {
	if strings.IndexByte(text, '%') < 0 && strings.IndexByte(text, '+') < 0 {
		return text, true
	}
	decoded, err := url.QueryUnescape(text)
	if err != nil {
		return text, false
	}
	return decoded, true
}
