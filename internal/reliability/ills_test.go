//go:build linux

package reliability

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// ill is a way in which a source misleads a gate: a fault of its server, or of what that publishes.
type ill struct {
	name    string
	fault   fault
	publish func(t *testing.T, p *plane) // instead of the good documents; nil: those stay
	known   bool                         // only a gate that has had the good documents can tell
	accepts bool                         // a gate that has not takes the control document, which overrides nothing any more
}

// opening is what those who mislead want: everything switched off, and the forger's key in the ring.
func opening(t *testing.T, by issuer, control, ring int, more map[string]any) (string, string) {
	claims := bypass(time.Now().Add(time.Hour))
	maps.Copy(claims, more)
	return by.control(t, control, claims), by.ring(t, ring, member{name: "evil", secret: keyB})
}

// ills are all of them.
func ills() []ill {
	var all []ill
	for _, f := range serverFaults {
		all = append(all, ill{name: "the server: " + string(f), fault: f})
	}
	return append(all, documentIlls...)
}

// documentIlls are those of documents.
var documentIlls = []ill{
	{name: "documents that another has signed", publish: func(t *testing.T, p *plane) {
		control, ring := opening(t, newIssuer(t), 9, 9, nil)
		p.publish(controlPath, control)
		p.publish(ringPath, ring)
	}},
	{name: "older documents", known: true, publish: func(t *testing.T, p *plane) {
		control, ring := opening(t, p.issuer, controlVersion-1, ringVersion-1, nil)
		p.publish(controlPath, control)
		p.publish(ringPath, ring)
	}},
	{name: "documents for another gate", publish: func(t *testing.T, p *plane) {
		control, _ := opening(t, p.issuer, 9, 9, map[string]any{"aud": "other"})
		p.publish(controlPath, control)
		p.publish(ringPath, p.issuer.sign(t, ringType, 9, map[string]any{"aud": []string{"other", "edges"}, "keys": ringKeys(member{name: "evil", secret: keyB})}))
	}},
	{name: "an older document that has ended", accepts: true, publish: func(t *testing.T, p *plane) {
		control, _ := opening(t, p.issuer, controlVersion-1, 9, map[string]any{"until": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)})
		p.publish(controlPath, control)
		p.publish(ringPath, "")
	}},
	{name: "a document without an end", publish: func(t *testing.T, p *plane) {
		p.publish(controlPath, p.issuer.control(t, 9, map[string]any{"mode": "bypass"}))
		p.publish(ringPath, p.issuer.sign(t, ringType, 9, map[string]any{"keys": []any{}}))
	}},
	{name: "documents that are too large", publish: func(t *testing.T, p *plane) {
		control, ring := opening(t, p.issuer, 9, 9, nil)
		p.publish(controlPath, control+strings.Repeat(" ", 70_000)) // white space around an envelope is allowed
		p.publish(ringPath, ring+strings.Repeat(" ", 70_000))
	}},
	{name: "documents of tomorrow", publish: func(t *testing.T, p *plane) {
		tomorrow := time.Now().Add(24 * time.Hour).Unix()
		control, _ := opening(t, p.issuer, 9, 9, map[string]any{"iat": tomorrow})
		p.publish(controlPath, control)
		p.publish(ringPath, p.issuer.sign(t, ringType, 9, map[string]any{"iat": tomorrow, "keys": ringKeys(member{name: "evil", secret: keyB})}))
	}},
	{name: "documents in each other's place", publish: func(t *testing.T, p *plane) {
		control, ring := opening(t, p.issuer, 9, 9, nil)
		p.publish(controlPath, ring)
		p.publish(ringPath, control)
	}},
}
