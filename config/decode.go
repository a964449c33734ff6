package config

import (
	"fmt"
	"strings"
	"time"
)

// Limits of the policy's values.
const (
	maxLeeway   = 5 * time.Minute
	minTokenMax = 512       // bytes; the smallest token.max_bytes
	maxTokenMax = 65536     // bytes
	maxBody     = 64 * 1024 // bytes of respond.body
	maxName     = 100       // bytes of the name of a gate, key or route
)

// Decode makes the gate policy from a tree. Every default is filled in, every route is complete, and every
// problem is reported, ordered by path. With a problem that is more than a warning the policy is empty.
func Decode(tree map[string]any) (Policy, []Problem) {
	t := NewTree(tree)
	p := DecodeFrom(t)
	problems := t.Problems()
	if Failed(problems) {
		return Policy{}, problems
	}
	return p, problems
}

// DecodeFrom is Decode for a policy inside a larger document: it reads t and leaves its problems there. The
// caller must not use the policy when Failed reports true for t.Problems.
func DecodeFrom(t *Tree) Policy {
	var p Policy
	p.Name = readName(t, "name", "approovgate")
	p.Token = decodeToken(t.Sub("token"))
	p.Keys = decodeKeys(t)
	p.Targets = decodeTargets(t.Sub("targets"))
	p.Default = decodeRule(t, Rule{Mode: Enforce, Rollout: 100, Format: JWS})
	p.Routes = decodeRoutes(t, p.Default, p.Keys, p.Targets.FoldCase)
	p.Preflight = Preflight(t.Choice("preflight", string(PreflightExempt), string(PreflightExempt), string(PreflightCheck)))
	p.Respond = decodeRespond(t.Sub("respond"))
	p.Upstream = decodeUpstream(t.Sub("upstream_headers"))
	p.Privacy = decodePrivacy(t.Sub("privacy"))
	p.Report = Report{AppVersion: readHeader(t.Sub("report"), "app_version", "")}
	control := t.Sub("control")
	p.Control = decodeControlSources(control)
	checkRings(t, control, &p)

	if !opens(p.Default, p.Keys) {
		t.Refuse("format", needsJWE)
	}
	checkHeaders(t, p)
	return p
}

func decodeToken(t *Tree) Token {
	out := Token{
		Header:   readHeader(t, "header", "Approov-Token"),
		Scheme:   t.Text("scheme", ""),
		Leeway:   t.Duration("leeway", 0, 0, maxLeeway),
		MaxBytes: int(t.Int("max_bytes", 8192, minTokenMax, maxTokenMax)),
		Forward: Forward(t.Choice("forward", string(ForwardAuto),
			string(ForwardAuto), string(ForwardAlways), string(ForwardNever))),
	}
	if out.Scheme != "" && !isToken(out.Scheme) {
		t.Refuse("scheme", "must be one word such as Bearer, without spaces (RFC 9110 §11.1)")
	}
	return out
}

func decodeTargets(t *Tree) Targets {
	return Targets{
		EncodedSlash: t.Choice("encoded_slash", "refuse", "refuse", "allow") == "allow",
		Semicolon:    t.Choice("semicolon", "refuse", "refuse", "allow") == "allow",
		FoldCase:     t.Choice("path_case", "exact", "exact", "fold") == "fold",
	}
}

func decodeRespond(t *Tree) Respond {
	out := Respond{
		Status:      int(t.Int("status", 401, 400, 499)),
		Body:        t.Text("body", `{"error":"unauthorized"}`),
		ContentType: t.Text("content_type", "application/json"),
		Details:     t.Bool("details", false),
	}
	if len(out.Body) > maxBody {
		t.Refuse("body", fmt.Sprintf("has %d bytes; shorten it to at most %d", len(out.Body), maxBody))
	}
	if !printableASCII(out.ContentType) || !strings.Contains(out.ContentType, "/") {
		t.Refuse("content_type", "must be a media type such as application/json")
	}
	return out
}

func decodeUpstream(t *Tree) UpstreamHeaders {
	return UpstreamHeaders{
		Verdict: readHeader(t, "verdict", "X-Approov-Verdict"),
		Reason:  readHeader(t, "reason", "X-Approov-Reason"),
		Device:  readHeader(t, "device", "X-Approov-Device"),
	}
}

func decodePrivacy(t *Tree) Privacy {
	return Privacy{
		DeviceID: t.Choice("device_id", "hashed", "hashed", "raw"),
		IP:       t.Choice("ip", "truncated", "truncated", "raw"),
	}
}

// readName reads a name that logs, metrics and control documents use.
func readName(t *Tree, key, def string) string {
	name := t.Text(key, def)
	if len(name) == 0 || len(name) > maxName || hasControl(name) || strings.TrimSpace(name) != name {
		t.Refuse(key, fmt.Sprintf("must have 1 to %d bytes, no control characters and no space at its ends", maxName))
	}
	return name
}
