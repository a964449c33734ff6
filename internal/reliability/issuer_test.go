//go:build linux

package reliability

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The types of what a control plane publishes.
const (
	controlType = "approov-control+jwt"
	ringType    = "approov-keys+jwt"
)

// gateName is the one that documents are for.
const gateName = "edge"

// issuer signs what a control plane publishes. The zero value cannot.
type issuer struct{ key *ecdsa.PrivateKey }

func newIssuer(t *testing.T) issuer { return issuer{newKey(t)} }

// write puts the public key into a folder, where a gate finds it.
func (i issuer) write(t *testing.T, dir string) (name string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "control.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "control.pem"
}

// control is a signed control document of a version. What it says besides comes from the claims, which may also replace
// those that it always has.
func (i issuer) control(t *testing.T, version int, claims map[string]any) string {
	t.Helper()
	return i.sign(t, controlType, version, claims)
}

// bypass is what a control document says to switch routes off until a time; without routes, all of them.
func bypass(until time.Time, routes ...string) map[string]any {
	claims := map[string]any{"until": until.UTC().Format(time.RFC3339Nano), "reason": "test", "by": "test"}
	if len(routes) == 0 {
		claims["mode"] = "bypass"
		return claims
	}
	modes := map[string]any{}
	for _, name := range routes {
		modes[name] = "bypass"
	}
	claims["routes"] = modes
	return claims
}

// member is a key of a ring: an account's secret and its window. Zero times leave it open.
type member struct {
	name     string
	secret   []byte
	from, to time.Time
	kid      string // of the tokens it is for; empty: any
}

// ring is a signed ring of a version.
func (i issuer) ring(t *testing.T, version int, members ...member) string {
	t.Helper()
	return i.sign(t, ringType, version, map[string]any{"keys": ringKeys(members...)})
}

// ringKeys are members as a ring writes them.
func ringKeys(members ...member) []any {
	var keys []any
	for _, m := range members {
		key := map[string]any{"name": m.name, "alg": "HS256", "kid": m.kid, "secret": "inline:" + base64.StdEncoding.EncodeToString(m.secret)}
		for field, at := range map[string]time.Time{"not_before": m.from, "not_after": m.to} {
			if !at.IsZero() {
				key[field] = at.UTC().Format(time.RFC3339Nano)
			}
		}
		keys = append(keys, key)
	}
	return keys
}

func (i issuer) sign(t *testing.T, typ string, version int, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{"aud": gateName, "iat": time.Now().Unix(), "version": version}
	for name, value := range claims {
		all[name] = value
	}
	envelope := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	envelope.Header["typ"] = typ
	text, err := envelope.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// plane is a control plane: a server, its authority and its issuer, and what a gate's policy says of them.
type plane struct {
	*controlServer
	authority *authority
	issuer    issuer
}

const (
	controlPath = "/control"
	ringPath    = "/keys"
)

// newPlane starts one that has no documents.
func newPlane(t *testing.T) *plane {
	t.Helper()
	a := newAuthority(t)
	return &plane{controlServer: newControlServer(t, a), authority: a, issuer: newIssuer(t)}
}

// sources is what a policy says of the plane, polled each second; more are further fields of control. The files it
// names are put into dir.
func (p *plane) sources(t *testing.T, dir, more string) string {
	t.Helper()
	return fmt.Sprintf("control: {url: %q, keys: [file:%s], ca: %s, interval: 1s%s}",
		p.url+controlPath, p.issuer.write(t, dir), p.authority.write(t, dir), more)
}
