// Package evidence is where attestation by hardware or platform comes in: a Verifier for each kind of evidence, and
// the Set of them that a server asks.
//
// It owns how results are merged and what becomes of evidence that is bad. It knows no kind of evidence itself, and no
// verdicts: flags are judged by the account's policy.
//
// Start reading at Verifier.
package evidence

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/issue"
)

// Verifier judges evidence of one kind, such as an App Attest assertion. It is called by many goroutines at once.
type Verifier interface {
	// Type is what requests call the evidence.
	Type() string
	// Verify judges evidence. It must hold that the evidence is about Binding.Hash, or else it could have been made
	// for another attestation. An error is evidence that proves nothing, or the contrary.
	Verify(ctx context.Context, data []byte, b Binding) (Result, error)
}

// Binding is the attestation that evidence must be about.
type Binding struct {
	Nonce    string
	DeviceID string
	Package  string
	Hash     [32]byte // attestapi.EvidenceBinding of the request
}

// Level is how much evidence says. A token carries it as the claim evidence, unless it is None.
type Level int

// The levels, from what proves least.
const (
	None     Level = iota
	Platform       // the maker of the platform vouches for app and device, by its own judgement
	Hardware       // a key that does not leave the device's hardware vouches for the app
)

// String is the level as tokens say it; empty for None.
func (l Level) String() string {
	switch l {
	case Platform:
		return "platform"
	case Hardware:
		return "hardware"
	}
	return ""
}

// Result is what evidence says.
type Result struct {
	Flags  []string          // of attestapi's, to be judged by the account's policy
	Level  Level             // what it proves
	KeyID  string            // of the hardware's key, if there is one
	Claims map[string]string // for the token, besides the ones it has
}

// The bounds of the claims of one attestation.
const (
	maxClaims = 8
	maxClaim  = 256 // bytes of a name or value
)

// Set are verifiers by type. The zero value and nil verify nothing.
type Set struct{ verifiers map[string]Verifier }

// NewSet makes a set of verifiers of different types.
func NewSet(verifiers []Verifier) (*Set, error) {
	s := &Set{map[string]Verifier{}}
	for _, v := range verifiers {
		if _, taken := s.verifiers[v.Type()]; taken || v.Type() == "" {
			return nil, fmt.Errorf("evidence: the type %q is given twice or empty", v.Type())
		}
		s.verifiers[v.Type()] = v
	}
	return s, nil
}

// Empty reports whether no evidence is verified at all.
func (s *Set) Empty() bool { return s == nil || len(s.verifiers) == 0 }

// Types are those that are verified, in alphabetical order.
func (s *Set) Types() []string {
	types := []string{}
	if s != nil {
		for t := range s.verifiers {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types
}

// Verify merges what all evidence of an attestation says: all flags, all claims, and the highest level. Evidence of a
// type that is not known says nothing. If any other is bad, or is there twice, or claims what a token's own claims are,
// no evidence counts, and FlagScanFail is raised, under which no policy passes: who sends evidence that does not hold
// is not to be better off than who sends none.
func (s *Set) Verify(ctx context.Context, all []attestapi.Evidence, b Binding) Result {
	merged, seen := Result{}, map[string]bool{}
	for _, e := range all {
		if s == nil || s.verifiers[e.Type] == nil {
			continue
		}
		one, err := s.one(ctx, e, b)
		if err == nil {
			err = merged.merge(one)
		}
		if err != nil || seen[e.Type] {
			return Result{Flags: []string{attestapi.FlagScanFail}}
		}
		seen[e.Type] = true
	}
	return merged
}

// one asks one verifier. One that panics has not been convinced.
func (s *Set) one(ctx context.Context, e attestapi.Evidence, b Binding) (r Result, err error) {
	defer func() {
		if recover() != nil {
			r, err = Result{}, errors.New("evidence: the verifier failed")
		}
	}()
	data, err := base64.StdEncoding.Strict().DecodeString(e.Data)
	if err != nil {
		return Result{}, errors.New("evidence: not base64")
	}
	return s.verifiers[e.Type].Verify(ctx, data, b)
}

// merge adds another result.
func (r *Result) merge(other Result) error {
	for _, flag := range other.Flags {
		if !slices.Contains(issue.Flags(), flag) {
			return errors.New("evidence: an unknown flag")
		}
		if !slices.Contains(r.Flags, flag) {
			r.Flags = append(r.Flags, flag)
		}
	}
	if other.Level < None || other.Level > Hardware {
		return errors.New("evidence: an unknown level")
	}
	if other.Level > r.Level {
		r.Level, r.KeyID = other.Level, other.KeyID
	}
	for name, value := range other.Claims {
		if _, taken := r.Claims[name]; taken || reserved(name) || len(name) > maxClaim || len(value) > maxClaim || len(r.Claims) >= maxClaims {
			return errors.New("evidence: a claim that it may not make")
		}
		if r.Claims == nil {
			r.Claims = map[string]string{}
		}
		r.Claims[name] = value
	}
	return nil
}

// reserved reports whether a claim has a meaning of its own in tokens, in whatever letter case.
func reserved(name string) bool {
	switch strings.ToLower(name) {
	case "", "exp", "nbf", "iat", "did", "ip", "iss", "sub", "pay", "arc", "ipk", "mskid", "mpk", "imh", "dmh", "anno", "aud", "evidence", "sip", "jti":
		return true
	}
	return false
}
