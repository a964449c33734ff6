package gate

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

const (
	maxEnvelope = 65536           // bytes of a control envelope
	issueSkew   = 5 * time.Minute // how far ahead of ours the issuer's clock may be
)

// OpenControl verifies a control envelope, a compact JWS of typ approov-control+jwt, and reads the
// document in it. The claims are those of the document (see config.DecodeControl) and besides them aud,
// which must name this gate, and iat. An override must end, and must not have ended yet. Versions are
// compared when the document is put into force: see Gate.SetControl.
func OpenControl(envelope string, ring *jose.Ring, name string, now time.Time) (config.Control, error) {
	if len(envelope) > maxEnvelope {
		return config.Control{}, errors.New("the control envelope is longer than 64 KiB")
	}
	payload, _, fault := ring.Open(envelope, now.Unix(), jose.Accept{JWS: true, Typ: jose.ControlType})
	if fault != "" {
		return config.Control{}, errors.New("the control envelope cannot be trusted: " + string(fault))
	}
	document, err := splitEnvelope(payload, name, now)
	if err != nil {
		return config.Control{}, err
	}
	control, problems := config.DecodeControl(document)
	if config.Failed(problems) {
		return config.Control{}, errors.New("the control document is not valid: " + problems[0].String())
	}
	if control.Empty() {
		return control, nil
	}
	if control.Until.IsZero() {
		return config.Control{}, errors.New("until: a remote override must say when it ends")
	}
	if !now.Before(control.Until) {
		return config.Control{}, errors.New("until: the override has ended already")
	}
	return control, nil
}

// splitEnvelope checks aud and iat and returns the rest, which is the document.
func splitEnvelope(payload, name string, now time.Time) (map[string]any, error) {
	document := map[string]any{}
	addressed, issued := false, false
	o := jose.OpenObject(payload)
	for o.Next() {
		switch o.Name {
		case "aud":
			addressed = names(o.Value, name)
		case "iat":
			var seconds float64
			issued = json.Unmarshal([]byte(o.Value), &seconds) == nil && seconds > 0 &&
				seconds <= float64(now.Add(issueSkew).Unix())
		default:
			value, ok := treeValue(o.Value)
			if !ok {
				return nil, errors.New(o.Name + ": not a value that a control document may hold")
			}
			document[o.Name] = value
		}
	}
	switch {
	case !o.OK():
		return nil, errors.New("the control document is not strict JSON")
	case !addressed:
		return nil, errors.New("aud: the control document is for other gates; this one is " + name)
	case !issued:
		return nil, errors.New("iat: missing, malformed or in the future")
	}
	return document, nil
}

// names reports whether an aud claim is or contains name.
func names(aud, name string) bool {
	if text, ok := jose.Text(aud); ok {
		return text == name
	}
	found := false
	return jose.Strings(aud, func(text string) { found = found || text == name }) && found
}

// treeValue is JSON text as config's trees hold it. Objects are read with the same strictness as the
// document itself.
func treeValue(raw string) (any, bool) {
	if strings.HasPrefix(raw, "{") {
		members := map[string]any{}
		o := jose.OpenObject(raw)
		for o.Next() {
			value, ok := jose.Text(o.Value)
			if !ok {
				return nil, false
			}
			members[o.Name] = value
		}
		return members, o.OK()
	}
	if text, ok := jose.Text(raw); ok {
		return text, true
	}
	return raw, raw != "" && raw[0] != '['
}
