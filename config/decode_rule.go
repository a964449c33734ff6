package config

import (
	"net/textproto"
	"strings"
)

// needsJWE is the fix for a rule that accepts encrypted tokens but has no key that opens them.
const needsJWE = "accepts encrypted tokens, but none of its keys is a secret with jwe: true; set it, or use format: jws"

// decodeRule reads the values a route inherits from the policy; those t does not set are inherited.
func decodeRule(t *Tree, inherited Rule) Rule {
	r := inherited
	r.Mode = Mode(t.Choice("mode", string(r.Mode), string(Enforce), string(Log), string(Bypass)))
	r.Rollout = int(t.Int("rollout", int64(r.Rollout), 0, 100))
	r.Format = Format(t.Choice("format", string(r.Format), string(JWS), string(JWE), string(AnyFormat)))
	r.Audience = t.Text("audience", r.Audience)
	if list := t.List("deny_annotations"); list != nil {
		r.DenyAnnotations = list // an empty one clears what is inherited
	}
	if list := t.List("deny_issuers"); list != nil {
		r.DenyIssuers = list
	}
	if list := t.List("allow_issuers"); len(list) > 0 {
		r.AllowIssuers = list
	} else if list != nil && len(inherited.AllowIssuers) > 0 {
		t.Refuse("allow_issuers", "is empty, but a list is inherited: it could mean all issuers or none; name them, or delete the key")
	}
	for i, issuer := range r.AllowIssuers {
		if contains(r.DenyIssuers, issuer) && (t.Has("allow_issuers") || t.Has("deny_issuers")) {
			at := "deny_issuers"
			if t.Has("allow_issuers") {
				at = element("allow_issuers", i)
			}
			t.Refuse(at, "an issuer is both allowed and denied; delete one of the two")
		}
	}
	if t.Has("binding") {
		r.Binding = decodeBinding(t)
	}
	return r
}

// matchList reads a list in which an empty one would be ambiguous: nothing, or everything?
func matchList(t *Tree, key, meaning string) []string {
	list := t.List(key)
	if list != nil && len(list) == 0 {
		t.Refuse(key, "is empty, which "+meaning+"; give it an entry or delete it")
		return nil
	}
	return list
}

// opens reports whether a rule that accepts encrypted tokens has a key for them. What a ring holds is not known here.
func opens(r Rule, keys []Key) bool {
	if r.Format == JWS || r.Exempt {
		return true
	}
	for _, k := range keys {
		if (k.JWE || k.Ring != "") && (len(r.Keys) == 0 || contains(r.Keys, k.Name)) {
			return true
		}
	}
	return false
}

// decodeBinding reads what a token is bound to: "none", or a map.
func decodeBinding(t *Tree) Binding {
	if s, ok := t.values["binding"].(string); ok {
		t.known["binding"] = true
		if s != "none" {
			t.Refuse("binding", "must be none or a map such as {from: [header:Authorization]}")
		}
		return Binding{}
	}
	sub := t.Sub("binding")
	out := Binding{
		TrimScheme: sub.Bool("trim_scheme", false),
		MissingPay: MissingPay(sub.Choice("missing_pay", string(RejectMissing),
			string(RejectMissing), string(AcceptFailover), string(AcceptUnbounded))),
	}
	absent := sub.Text("absent", "reject")
	switch {
	case strings.HasPrefix(absent, "const:") && len(absent) > len("const:"):
		out.HasAbsent, out.Absent = true, absent[len("const:"):]
	case absent != "reject":
		sub.Refuse("absent", "must be reject or const:VALUE")
	}
	from := matchList(sub, "from", "binds nothing; for no binding write binding: none")
	if sub.values != nil && !sub.Has("from") {
		sub.Refuse("from", "is missing; list what is bound, such as [header:Authorization], or write binding: none")
	}
	request, header := false, false
	for i, text := range from {
		s, fix := readSource(text)
		if fix != "" {
			sub.Refuse(element("from", i), fix)
		}
		request = request || s.Kind != "const"
		header = header || s.Kind == "header"
		out.From = append(out.From, s)
	}
	if from != nil && !request {
		sub.Refuse("from", "has only constants, which tie a token to nothing in the request; add a header:, cookie: or query: source")
	}
	if from != nil && out.TrimScheme && !header {
		sub.Refuse("trim_scheme", "needs a header: source; delete it")
	}
	return out
}

// readSource reads one "kind:name" of bound data, or says what is wrong with it.
func readSource(text string) (Source, string) {
	i := strings.IndexByte(text, ':')
	if i < 0 {
		return Source{}, "must be header:NAME, cookie:NAME, query:NAME or const:VALUE"
	}
	s := Source{Kind: text[:i], Name: text[i+1:]}
	switch s.Kind {
	case "header":
		if !isToken(s.Name) {
			return s, "is not a header name (RFC 9110 §5.1); use letters, digits and hyphens"
		}
		if reserved[strings.ToLower(s.Name)] {
			return s, reservedFix
		}
		s.Name = textproto.CanonicalMIMEHeaderKey(s.Name)
	case "cookie":
		if !isToken(s.Name) {
			return s, "is not a cookie name (RFC 6265 §4.1.1)"
		}
	case "query":
		if s.Name == "" || hasControl(s.Name) {
			return s, "needs the decoded name of a query parameter after query:"
		}
	case "const":
		if s.Name == "" {
			return s, "needs a value after const:"
		}
	default:
		return s, "must begin with header:, cookie:, query: or const:"
	}
	return s, ""
}
