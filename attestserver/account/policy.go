package account

import (
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// Policy is a security policy: rules, rejection and annotation (manual, "Security Policies"). The zero value is
// default,default,default for an account, and the account's policy for a device.
type Policy struct {
	Rules      string // default
	Rejection  Rejection
	Annotation Annotation
}

// Rejection says which flags make an attestation fail. The zero value is RejectDefault.
type Rejection string

// The rejection policies.
const (
	RejectDefault               Rejection = "default"
	RejectAllowXposed           Rejection = "allow-xposed"
	RejectAllowRoot             Rejection = "allow-root"
	RejectAllowRootAndJailbreak Rejection = "allow-root-and-jailbroken"
	RejectWhitelist             Rejection = "whitelist"
	RejectBlacklist             Rejection = "blacklist"
)

// Annotation says which flags stand in a token's anno claim. The zero value is AnnotateNone.
type Annotation string

// The annotation policies.
const (
	AnnotateNone   Annotation = "default"
	AnnotateXposed Annotation = "xposed"
	AnnotateAll    Annotation = "all"
)

// ParsePolicy reads rules,rejection,annotation, such as default,allow-root,all.
func ParsePolicy(text string) (Policy, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return Policy{}, refuse(attestapi.CodeInvalid, "policy: %q is not rules,rejection,annotation, such as default,allow-root,all", text)
	}
	p := Policy{parts[0], Rejection(parts[1]), Annotation(parts[2])}
	if p.Rules != "default" {
		return Policy{}, refuse(attestapi.CodeInvalid, "policy: unknown rules %q: the only ones are default", p.Rules)
	}
	switch p.Rejection {
	case RejectDefault, RejectAllowXposed, RejectAllowRoot, RejectAllowRootAndJailbreak, RejectWhitelist, RejectBlacklist:
	default:
		return Policy{}, refuse(attestapi.CodeInvalid, "policy: unknown rejection policy %q: use default, allow-xposed, allow-root, allow-root-and-jailbroken, whitelist or blacklist", p.Rejection)
	}
	switch p.Annotation {
	case AnnotateNone, AnnotateXposed, AnnotateAll:
	default:
		return Policy{}, refuse(attestapi.CodeInvalid, "policy: unknown annotation policy %q: use default, xposed or all", p.Annotation)
	}
	return p, nil
}

// String is the policy as ParsePolicy reads it; empty for the zero Policy.
func (p Policy) String() string {
	if p == (Policy{}) {
		return ""
	}
	return p.Rules + "," + string(p.Rejection) + "," + string(p.Annotation)
}
