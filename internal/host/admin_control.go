package host

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// controlJSON is what control says now.
type controlJSON struct {
	InForce  string        `json:"in_force"` // policy, local or remote
	Local    *documentJSON `json:"local,omitempty"`
	Remote   *documentJSON `json:"remote,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
}

// documentJSON is the document in one slot.
type documentJSON struct {
	Version int64 `json:"version"`
	overrideJSON
	Routes  map[string]overrideJSON `json:"routes,omitempty"`
	Until   string                  `json:"until,omitempty"` // RFC 3339
	Reason  string                  `json:"reason,omitempty"`
	By      string                  `json:"by,omitempty"`
	InForce bool                    `json:"in_force"`
}

type overrideJSON struct {
	Mode    string `json:"mode,omitempty"`
	Rollout *int   `json:"rollout,omitempty"`
}

// rfc3339 is a time as RFC 3339 has it; empty for the zero time.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func override(o config.Override) overrideJSON {
	says := overrideJSON{Mode: string(o.Mode)}
	if o.HasRollout {
		says.Rollout = &o.Rollout
	}
	return says
}

// document is a slot's document; nil: there never was one.
func document(c config.Control) *documentJSON {
	if c.Version == 0 {
		return nil
	}
	d := &documentJSON{Version: c.Version, overrideJSON: override(c.Override), Until: rfc3339(c.Until), Reason: c.Reason, By: c.By}
	for name, o := range c.Routes {
		if d.Routes == nil {
			d.Routes = map[string]overrideJSON{}
		}
		d.Routes[name] = override(o)
	}
	return d
}

// said is what control says according to a gate's status.
func (a *Admin) said(s *gate.Status) controlJSON {
	now := a.now()
	v := controlJSON{InForce: "policy", Local: document(s.Local), Remote: document(s.Remote)}
	switch {
	case !s.Local.At(now).Empty():
		v.InForce, v.Local.InForce = "local", true
	case !s.Remote.At(now).Empty():
		v.InForce, v.Remote.InForce = "remote", true
	}
	if failure := a.saves.failing(); failure != "" {
		v.Warnings = []string{failure + notKept}
	}
	return v
}

const notKept = "; the change is in force, but a restart would forget it"

// tag is the entity tag of the local slot at a version. It is that of /control, and so says nothing of the remote
// document.
func tag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// control serves /control.
func (a *Admin) control(w http.ResponseWriter, r *http.Request) reply {
	if !changes(r) {
		s := a.Gate.Status()
		return reply{status: http.StatusOK, etag: tag(s.Local.Version), value: a.said(&s)}
	}
	var asked request
	answer := a.changed(w, r, &asked)
	a.audit(r, &asked, answer)
	return answer
}

// request is what somebody asks for, as far as it could be read.
type request struct {
	control    config.Control
	read       bool   // all of it could be
	by, reason string // even if not
}

// changed answers PUT and DELETE.
func (a *Admin) changed(w http.ResponseWriter, r *http.Request, asked *request) reply {
	tree, refused := readDocument(w, r)
	if refused != nil {
		return *refused
	}
	asked.by, _ = tree["by"].(string)
	asked.reason, _ = tree["reason"].(string)
	var problems []config.Problem
	if r.Method == http.MethodDelete {
		problems = resumeOnly(tree)
	}
	c, found := config.DecodeChange(tree, a.now())
	if problems = append(problems, found...); config.Failed(problems) {
		return reply{status: http.StatusBadRequest, problems: errorsAmong(problems)}
	}
	asked.control, asked.read = c, true
	v, saved, refused := a.replace(r, &asked.control)
	if refused != nil {
		return *refused
	}
	if failure := a.saves.wait(r.Context(), saved); failure != "" {
		v.Warnings = append(v.Warnings, failure+notKept)
	}
	return reply{status: http.StatusOK, etag: tag(asked.control.Version), value: v}
}

// resumeOnly refuses what a request to resume has beside its reason.
func resumeOnly(tree map[string]any) []config.Problem {
	var problems []config.Problem
	for _, key := range config.NewTree(tree).Keys() {
		if key != "reason" && key != "by" {
			problems = append(problems, config.Problem{Path: config.Join("", key), Text: "does not belong into a DELETE, which resumes the policy; delete it, or use PUT"})
			delete(tree, key)
		}
	}
	return problems
}

func errorsAmong(problems []config.Problem) []config.Problem {
	var all []config.Problem
	for _, p := range problems {
		if !p.Warning {
			all = append(all, p)
		}
	}
	return all
}

// replace puts a document into the local slot, with the next version, and has it kept. Others may write the
// control file at the same time: what they have written is looked at first, and where they were quicker, the
// document is judged again. What control says is as it was just after the change, whatever comes next.
func (a *Admin) replace(r *http.Request, c *config.Control) (v controlJSON, saved *save, refused *reply) {
	const attempts = 5
	a.changing.Lock()
	defer a.changing.Unlock()
	a.saves.look(r.Context())
	for range attempts {
		have := a.Gate.Control(gate.Local).Version
		if !expected(r, have) {
			answer := refusal(http.StatusPreconditionFailed, "If-Match", "is not "+tag(have)+", the version that is there; read /control again")
			answer.etag = tag(have)
			return v, nil, &answer
		}
		c.Version = have + 1
		problems := a.put(*c)
		if !config.Failed(problems) {
			v, saved = a.made(*c, problems)
			return v, saved, nil
		}
		if a.Gate.Control(gate.Local).Version == have {
			return v, nil, &reply{status: http.StatusBadRequest, problems: errorsAmong(problems)}
		}
	}
	answer := refusal(http.StatusServiceUnavailable, "", "the control file is being written all the time by somebody else; try again")
	return v, nil, &answer
}

// made has a document kept that was put into force with warnings.
func (a *Admin) made(c config.Control, warnings []config.Problem) (controlJSON, *save) {
	s := a.Gate.Status()
	s.Local = c
	v := a.said(&s)
	v.Warnings = nil // of the document before
	for _, p := range warnings {
		v.Warnings = append(v.Warnings, p.String())
	}
	if a.Gate.ControlFile() != "" {
		return v, a.saves.begin(c)
	}
	if !c.Empty() {
		v.Warnings = append(v.Warnings, "the policy names no control.file"+notKept)
	}
	return v, nil
}

// put is SetControl for a document that can be read again once it is kept.
func (a *Admin) put(c config.Control) []config.Problem {
	if _, problems := config.DecodeControl(c.Tree()); config.Failed(problems) {
		return problems // its version is too high
	}
	return a.Gate.SetControl(gate.Local, c)
}

// expected reports whether a change may replace a version (RFC 9110 §13.1.1).
func expected(r *http.Request, version int64) bool {
	values, conditional := r.Header["If-Match"]
	if !conditional {
		return true
	}
	for _, value := range values {
		if listed(value, "*") || listed(value, tag(version)) {
			return true
		}
	}
	return false
}

// audit writes the line about a change, be it made or refused, as loud as those of events.
func (a *Admin) audit(r *http.Request, asked *request, answer reply) {
	const longest = 512 // bytes of each text
	text := func(name, value string) slog.Attr {
		if len(value) > longest {
			value = strings.ToValidUTF8(value[:longest], "") + "…"
		}
		return slog.String(name, gate.Printable(value))
	}
	attrs := []slog.Attr{peerAttr(r), slog.String("what", what(r, asked)), text("by", asked.by), text("reason", asked.reason), slog.Int("status", answer.status)}
	if len(answer.problems) > 0 {
		attrs = append(attrs, text("problem", answer.problems[0].String()))
	} else {
		attrs = append(attrs, slog.Int64("version", asked.control.Version))
	}
	a.log().LogAttrs(r.Context(), slog.LevelWarn, "control request", attrs...)
}

// what is a request in a few words.
func what(r *http.Request, asked *request) string {
	c := asked.control
	switch {
	case r.Method == http.MethodDelete || asked.read && c.Empty():
		return "resume"
	case !asked.read:
		return "override" // which one is not known
	}
	parts := []string{}
	if c.Mode != "" {
		parts = append(parts, string(c.Mode))
	}
	if c.HasRollout {
		parts = append(parts, strconv.Itoa(c.Rollout)+"%")
	}
	if len(c.Routes) > 0 {
		parts = append(parts, overrideText(c.Routes))
	}
	if !c.Until.IsZero() {
		parts = append(parts, "until "+c.Until.UTC().Format(time.RFC3339))
	}
	return gate.Printable(strings.Join(parts, ", "))
}
