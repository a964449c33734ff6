package controlsign

import (
	"crypto/ecdsa"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

// Terms are what an envelope says besides the document.
type Terms struct {
	Audience []string  // the names of the gates that the document is for, at least one
	Version  int64     // of the document; 0: the version in it, or else Now in Unix seconds
	Now      time.Time // when it is signed
}

// Control signs a control document, given as config.DecodeControl reads it, but for the version: see Terms. An
// override must have an end. When one of the problems is more than a warning there is no envelope.
func Control(key *ecdsa.PrivateKey, tree map[string]any, terms Terms) (string, []config.Problem) {
	claims, problems := terms.number(tree)
	c, found := config.DecodeControl(claims)
	problems = append(problems, found...)
	switch {
	case c.Empty(): // also if it was refused
	case c.Until.IsZero():
		problems = append(problems, config.Problem{Path: "until",
			Text: "is missing; gates refuse an override without an end, such as " + terms.Now.Add(time.Hour).UTC().Format(time.RFC3339)})
	case !terms.Now.Before(c.Until):
		problems = append(problems, config.Problem{Path: "until", Text: "has passed; gates will use their policies", Warning: true})
	}
	return terms.seal(key, jose.ControlType, c.Tree(), problems)
}

// number is a copy of a document that has a version.
func (t Terms) number(tree map[string]any) (map[string]any, []config.Problem) {
	numbered := map[string]any{}
	for name, value := range tree {
		numbered[name] = value
	}
	_, has := tree["version"]
	switch {
	case has && t.Version != 0:
		return numbered, []config.Problem{{Path: "version", Text: "stands in the document and is given beside it; leave one out"}}
	case t.Version != 0:
		numbered["version"] = t.Version
	case !has:
		numbered["version"] = t.Now.Unix()
	}
	return numbered, nil
}

// problems reports what is wrong with the audience.
func (t Terms) problems() []config.Problem {
	if len(t.Audience) == 0 {
		return []config.Problem{{Path: "aud", Text: "is missing; name the gates that the document is for"}}
	}
	seen := map[string]bool{}
	for _, name := range t.Audience {
		switch {
		case name == "" || strings.TrimSpace(name) != name:
			return []config.Problem{{Path: "aud", Text: "holds an empty name or one with a space at its end; write a gate's name as its policy does"}}
		case seen[name]:
			return []config.Problem{{Path: "aud", Text: "names a gate twice; name it once"}}
		}
		seen[name] = true
	}
	return nil
}

// seal signs a document, unless its problems forbid it.
func (t Terms) seal(key *ecdsa.PrivateKey, typ string, claims map[string]any, problems []config.Problem) (string, []config.Problem) {
	problems = append(problems, t.problems()...)
	if config.Failed(problems) {
		return "", problems
	}
	claims["iat"] = t.Now.Unix()
	claims["aud"] = t.Audience
	if len(t.Audience) == 1 {
		claims["aud"] = t.Audience[0]
	}
	envelope, err := Sign(key, typ, claims)
	if err != nil {
		problems = append(problems, config.Problem{Text: err.Error()})
	}
	return envelope, problems
}
