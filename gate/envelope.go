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
// which must name this gate, and iat. An override must have an end, which may have come: see
// config.Control.At. Versions are compared when the document is put into force: see Gate.SetControl.
func OpenControl(envelope string, ring *jose.Ring, name string, now time.Time) (config.Control, error) {
	document, err := openEnvelope(envelope, jose.ControlType, ring, name, now)
	if err != nil {
		return config.Control{}, err
	}
	control, problems := config.DecodeControl(document)
	if config.Failed(problems) {
		return config.Control{}, errors.New("the control document is not valid: " + firstError(problems))
	}
	if control.Until.IsZero() && !control.Empty() {
		return config.Control{}, errors.New("until: a remote override must say when it ends")
	}
	return control, nil
}

// OpenRing verifies the envelope of a ring, a compact JWS of typ approov-keys+jwt, and reads the keys in it.
// The claims are those of the document (see config.DecodeRing), aud and iat. Errors quote no key.
func OpenRing(envelope string, ring *jose.Ring, name string, now time.Time) (config.Ring, error) {
	document, err := openEnvelope(envelope, jose.RingType, ring, name, now)
	if err != nil {
		return config.Ring{}, err
	}
	keys, problems := config.DecodeRing(document)
	if config.Failed(problems) {
		return config.Ring{}, errors.New("the ring is not valid: " + firstError(problems))
	}
	return keys, nil
}

func firstError(problems []config.Problem) string {
	for _, p := range problems {
		if !p.Warning {
			return p.String()
		}
	}
	return ""
}

// allTexts are problems on one line.
func allTexts(problems []config.Problem) string {
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// openEnvelope verifies an envelope of one type and returns the document in it as a tree.
func openEnvelope(envelope, typ string, ring *jose.Ring, name string, now time.Time) (map[string]any, error) {
	if len(envelope) > maxEnvelope {
		return nil, errors.New("the envelope is longer than 64 KiB")
	}
	payload, _, fault := ring.Open(strings.TrimSpace(envelope), now.Unix(), jose.Accept{JWS: true, Typ: typ})
	if fault != "" {
		return nil, errors.New("the envelope cannot be trusted: " + string(fault))
	}
	return splitEnvelope(payload, name, now)
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
			value, ok := treeValue(o.Value, 0)
			if !ok {
				return nil, errors.New(o.Name + ": not a value that such a document may hold")
			}
			document[o.Name] = value
		}
	}
	switch {
	case !o.OK():
		return nil, errors.New("the document is not strict JSON")
	case !addressed:
		return nil, errors.New("aud: the document is for other gates; this one is " + name)
	case !issued:
		return nil, errors.New("iat: missing, malformed or ahead of this machine's clock; is the clock right?")
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

const maxTreeDepth = 4 // maps and lists inside each other; a ring needs two

// treeValue is JSON text as config's trees hold it. Objects are read with the same strictness as the
// document itself; numbers and words stay text.
func treeValue(raw string, depth int) (any, bool) {
	if text, ok := jose.Text(raw); ok {
		return text, true
	}
	if raw == "" || depth > maxTreeDepth {
		return nil, false
	}
	switch raw[0] {
	case '{':
		members := map[string]any{}
		o := jose.OpenObject(raw)
		for o.Next() {
			value, ok := treeValue(o.Value, depth+1)
			if !ok {
				return nil, false
			}
			members[o.Name] = value
		}
		return members, o.OK()
	case '[':
		elements, ok := jose.Elements(raw)
		list := make([]any, 0, len(elements))
		for _, element := range elements {
			value, valid := treeValue(element, depth+1)
			ok = ok && valid
			list = append(list, value)
		}
		return list, ok
	case 'n':
		return nil, true
	}
	return raw, true
}

// ParseJSON makes a tree of a control document in JSON, with numbers as text. It is strict: no member twice,
// nothing behind the document. Options.ParseControl is it where a host brings no reader of its own.
func ParseJSON(text []byte) (map[string]any, []config.Problem) {
	value, ok := treeValue(strings.TrimSpace(string(text)), 0)
	tree, isMap := value.(map[string]any)
	if !ok || !isMap {
		return nil, []config.Problem{{Text: "is not strict JSON: one object, no member twice"}}
	}
	return tree, nil
}
