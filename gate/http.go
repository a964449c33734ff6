package gate

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Answer is a decision together with the policy it was made under, so that a change of policy in
// between cannot mix the two.
type Answer struct {
	engine.Decision
	s *snapshot
}

// Ask decides on a request and counts the decision. The caller must act on it: Forward means Apply and
// pass the request on, everything else means Refuse.
func (g *Gate) Ask(r *http.Request) Answer {
	s := g.snapshot()
	a := Answer{s: s}
	judge := s.current()
	a.Decision = judge.Check(engine.Request{
		Method: r.Method, Scheme: scheme(r), Host: r.Host, Target: target(r), Header: r.Header, Peer: r.RemoteAddr,
		Body: r.ContentLength != 0 || len(r.TransferEncoding) > 0,
	})
	s.count(&a.Decision)
	if s.memo != nil {
		s.looked()
		s.remember(r, &a, judge)
	}
	return a
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// target is the request target as received; requests that never were on a wire have none.
func target(r *http.Request) string {
	if r.RequestURI == "" {
		return r.URL.RequestURI()
	}
	return r.RequestURI
}

// Apply makes a request that is to be forwarded fit for the backend: the canonical target and host, no
// copies or aliases of the gate's headers from the client, no wish to go on in a protocol that the gate cannot see
// into, the token removed or kept as the policy says, and the verdict added when enforcing. In log and bypass mode
// nothing is added.
func (a *Answer) Apply(r *http.Request) {
	if a.Target != "" {
		setTarget(r, a.Target)
	}
	if a.Host != "" && r.Host != a.Host {
		r.Host = a.Host
	}
	dropUpgrade(r.Header)
	a.strip(r.Header)
	if r.Trailer != nil {
		a.strip(r.Trailer)
	}
	up := &a.s.policy.Upstream
	keepAdded(r.Header, up)
	if a.Mode != config.Enforce {
		return
	}
	values := []string{string(a.Verdict), string(a.Reason), a.Claims.Device} // one allocation for the three
	set(r.Header, up.Verdict, values[0:1:1])
	set(r.Header, up.Reason, values[1:2:2])
	if device := values[2]; a.Verdict == engine.Pass && device != "" && isFieldValue(device) {
		set(r.Header, up.Device, values[2:3:3])
	}
}

// isFieldValue reports whether a claim may stand in a header: a verified token may hold anything.
func isFieldValue(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// setTarget makes a request's URL say exactly target, which is canonical.
func setTarget(r *http.Request, target string) {
	path, query := target, ""
	mark := strings.IndexByte(target, '?')
	if mark >= 0 {
		path, query = target[:mark], target[mark+1:]
	}
	u := r.URL
	if r.RequestURI == target && u.Host == "" && u.Scheme == "" && u.RawQuery == query && u.EscapedPath() == path {
		return
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path // not reached: canonical escapes are valid
	}
	r.URL = &url.URL{Path: decoded, RawPath: path, RawQuery: query, ForceQuery: mark >= 0 && query == ""}
	r.RequestURI = target
}

// strip deletes the client's copies of the headers that speak for the gate, and every alias of those,
// of the token header and, when enforcing, of headers that the token is bound to: a backend that folds
// names could take the alias for the header that was checked. The token header itself goes or stays as
// the policy says. Headers that name another target go too.
func (a *Answer) strip(header http.Header) {
	p := &a.s.policy
	up := &p.Upstream
	var bound []string
	if a.Mode == config.Enforce {
		bound = a.s.bound[a.Route]
	}
	for name := range header {
		if a.s.everyday[name] {
			continue
		}
		switch {
		case name == p.Token.Header:
			if !a.keepsToken() {
				delete(header, name)
			}
		case engine.SameHeader(name, p.Token.Header) || speaksForGate(name, up) || isAlias(name, bound) || overridesTarget(name):
			delete(header, name)
		}
	}
}

// isAlias reports whether a header may be taken for one of those named without being it.
func isAlias(name string, of []string) bool {
	for _, other := range of {
		if name != other && engine.SameHeader(name, other) {
			return true
		}
	}
	return false
}

// overridesTarget reports whether a header names another path than the request line. Some frameworks believe
// it, and would serve what the gate has not decided on.
func overridesTarget(name string) bool {
	return engine.SameHeader(name, "X-Original-Url") || engine.SameHeader(name, "X-Rewrite-Url")
}

// speaksForGate reports whether a header may be taken for one that carries the verdict.
func speaksForGate(name string, up *config.UpstreamHeaders) bool {
	return engine.SameHeader(name, up.Verdict) || engine.SameHeader(name, up.Reason) || engine.SameHeader(name, up.Device)
}

func (a *Answer) keepsToken() bool {
	switch a.s.policy.Token.Forward {
	case config.ForwardAlways:
		return true
	case config.ForwardNever:
		return false
	}
	return a.Mode != config.Enforce
}

// keepAdded takes the names of the gate's headers out of Connection, which would make the proxy behind
// delete them (RFC 9110 §7.6.1).
func keepAdded(header http.Header, up *config.UpstreamHeaders) {
	values := header["Connection"]
	for i, value := range values {
		var kept []string
		options := strings.Split(value, ",")
		for _, option := range options {
			name := strings.TrimSpace(option)
			if !speaksForGate(name, up) {
				kept = append(kept, name)
			}
		}
		if len(kept) < len(options) {
			values[i] = strings.Join(kept, ", ")
		}
	}
}

// set adds a header whose name may be empty, which means: none.
func set(header http.Header, name string, value []string) {
	if name != "" {
		header[name] = value
	}
}

// Refuse answers a request that is not to be forwarded. The body is the same for every reason, unless
// the policy asks for details (respond.details). A gRPC call is answered in gRPC's way.
func (a *Answer) Refuse(w http.ResponseWriter, r *http.Request) {
	status := a.Status(r)
	message := "unauthorized"
	if a.s.policy.Respond.Details {
		message = string(a.Reason)
	}
	if AnswerGRPC(w, r, status, message) {
		return
	}
	body, contentType := a.content()
	announce(w.Header(), status, contentType)
	w.WriteHeader(status)
	if body != "" && r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that has gone needs no answer
	}
}

// content is the body of a refusal, empty: none, and its type.
func (a *Answer) content() (body, contentType string) {
	respond := &a.s.policy.Respond
	if respond.Details {
		return details(&a.Decision), "application/json"
	}
	if respond.Body == "" {
		return "", ""
	}
	return respond.Body, respond.ContentType
}

// announce sets the header fields of a refusal. No content type: it has no body, or another one than the gate's.
func announce(header http.Header, status int, contentType string) {
	values := []string{"no-store", contentType, "Approov"} // one allocation for the three
	header["Cache-Control"] = values[0:1:1]
	if contentType != "" {
		header["Content-Type"] = values[1:2:2]
	}
	switch status {
	case http.StatusUnauthorized:
		// RFC 9110 §11.6.1 demands a challenge, and clients exist that fail on a 401 without one.
		header["Www-Authenticate"] = values[2:3:3]
	case http.StatusMethodNotAllowed:
		header.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
}

// Announce sets the header fields that Refuse would, for hosts whose users write the body of a refusal, and which
// answer with Status. It reports false, and does nothing, for a gRPC call: Refuse alone can answer that.
func (a *Answer) Announce(w http.ResponseWriter, r *http.Request) bool {
	if grpcType(r) != "" {
		return false
	}
	announce(w.Header(), a.Status(r), "")
	return true
}

// Status is the HTTP status that Refuse answers with.
func (a *Answer) Status(r *http.Request) int {
	if r.Method == http.MethodConnect {
		return http.StatusMethodNotAllowed
	}
	return a.Reason.Status(a.s.policy.Respond.Status)
}

// details tells a client why, in the policy's own words and with the code that support asks for.
func details(d *engine.Decision) string {
	told := map[string]string{"error": "unauthorized", "reason": string(d.Reason), "message": d.Reason.Text()}
	if d.Claims.ARC != "" {
		told["arc"] = d.Claims.ARC
	}
	text, err := json.Marshal(told)
	if err != nil {
		return `{"error":"unauthorized"}`
	}
	return string(text)
}

// AppVersion is what the app says its version is, in the header of the policy's report.app_version; empty:
// nothing. It is a client's text.
func (a *Answer) AppVersion(r *http.Request) string {
	if name := a.s.policy.Report.AppVersion; name != "" {
		return r.Header.Get(name)
	}
	return ""
}
