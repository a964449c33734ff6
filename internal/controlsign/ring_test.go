package controlsign_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/controlsign"
	"github.com/approovgate/approovgate/source"
)

// rawSecret is a test key that is not UTF-8, which JSON would change.
var rawSecret = bytes.Repeat([]byte{0xff, 0x00, 'k', 0xc3}, 8)

// ringTree is a ring of every kind of key; its references lead into a folder and an environment variable.
func ringTree(t *testing.T) map[string]any {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string][]byte{"raw.secret": rawSecret, "public.pem": pemFile(t, "p256-account.public.pem")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NEXT_SECRET", base64.URLEncoding.EncodeToString(rawSecret)+"\n")
	entry := func(pairs ...any) map[string]any {
		e := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			e[pairs[i].(string)] = pairs[i+1]
		}
		return e
	}
	return map[string]any{"keys": []any{
		entry("name", "old", "alg", "HS256", "secret", "inline:"+string(bytes.TrimSpace(pemFile(t, "hs256-account.base64"))), "not_after", "2030-02-01T00:00:00Z"),
		entry("name", "next", "alg", "HS256", "kid", "0007", "secret", "env:NEXT_SECRET", "jwe", "true", "not_before", "2030-01-31T00:00:00Z"),
		entry("name", "raw", "alg", "HS256", "secret", "file:"+filepath.Join(dir, "raw.secret"), "encoding", "raw"),
		entry("name", "public", "alg", "ES256", "public_key", "file:"+filepath.Join(dir, "public.pem")),
	}}
}

func TestRingIsOpenedByTheGateItNames(t *testing.T) {
	key, tree := signer(t), ringTree(t)
	before := tree["keys"].([]any)[1].(map[string]any)["secret"]
	envelope, problems := controlsign.Ring(key, tree, forEdge, source.Read)
	if len(problems) != 0 {
		t.Fatalf("problems: got %v, want none", problems)
	}
	ring, err := gate.OpenRing(envelope, verifier(t, "p256-account.public.pem"), "edge", noon)
	if err != nil || ring.Version != noon.Unix() || len(ring.Keys) != 4 {
		t.Fatalf("got %d keys of version %d, %v, want 4 of %d", len(ring.Keys), ring.Version, err, noon.Unix())
	}
	for i, want := range []config.Key{{Name: "old"}, {Name: "next", Kid: "0007", JWE: true}, {Name: "raw"}} {
		k := ring.Keys[i]
		secret, err := source.DecodeSecret([]byte(strings.TrimPrefix(k.Secret, "inline:")), k.Encoding)
		if k.Name != want.Name || k.Kid != want.Kid || k.JWE != want.JWE || err != nil {
			t.Errorf("keys[%d]: got %q, kid %q, jwe %v, %v, want %q, %q, %v", i, k.Name, k.Kid, k.JWE, err, want.Name, want.Kid, want.JWE)
		}
		if i > 0 && !bytes.Equal(secret, rawSecret) {
			t.Errorf("keys[%d]: the secret is another one", i)
		}
	}
	if got := ring.Keys[3].PublicKey; got != "inline:"+string(pemFile(t, "p256-account.public.pem")) {
		t.Errorf("public key: got %q", got)
	}
	if ring.Keys[0].NotAfter.IsZero() || ring.Keys[1].NotBefore.IsZero() {
		t.Error("windows: got none")
	}
	claims := openIndependently(t, envelope, "approov-keys+jwt", &key.PublicKey)
	if claims["aud"] != "edge" || claims["iat"] != float64(noon.Unix()) || claims["version"] != float64(noon.Unix()) {
		t.Errorf("got aud %v, iat %v, version %v", claims["aud"], claims["iat"], claims["version"])
	}
	if after := tree["keys"].([]any)[1].(map[string]any)["secret"]; after != before || tree["version"] != nil {
		t.Errorf("the caller's tree has changed: %v", after)
	}
}

func TestRingRefuses(t *testing.T) {
	broken := func(string) ([]byte, []string, error) { return nil, nil, errors.New("file x is gone; check its path") }
	key := func(changes ...string) map[string]any {
		k := map[string]any{"name": "a", "alg": "HS256", "secret": "inline:" + strings.Repeat("c2VjcmV0", 8)}
		for i := 0; i < len(changes); i += 2 {
			k[changes[i]] = changes[i+1]
			if changes[i+1] == "" {
				delete(k, changes[i])
			}
		}
		return k
	}
	many := []any{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		many = append(many, key("name", name))
	}
	for _, row := range []struct {
		name string
		keys any
		want []string // paths
	}{
		{"a reference that cannot be read, once", []any{key("secret", "file:x")}, []string{"keys[0].secret"}},
		{"a reference to nothing", []any{key("secret", "file:")}, []string{"keys[0].secret"}},
		{"a public key that cannot be read", []any{key("secret", "", "public_key", "file:x", "alg", "ES256")}, []string{"keys[0].public_key"}},
		{"what else is wrong beside it", []any{key("secret", "file:x", "alg", "none"), key("kid", "1", "kind", "2")}, []string{"keys[0].secret", "keys[0].alg", "keys[1].kind", "keys[1].name"}},
		{"a weak secret", []any{key("secret", "inline:c2VjcmV0")}, []string{"keys[0].secret"}},
		{"a secret in another encoding", []any{key("encoding", "base32")}, []string{"keys[0].secret"}},
		{"a private key for a public one", []any{key("secret", "", "public_key", "inline:"+string(pemFile(t, "p256-account.private.pem")), "alg", "ES256")}, []string{"keys[0].public_key"}},
		{"a key set", []any{key("secret", "", "alg", "", "jwks", "file:x")}, []string{"keys[0]", "keys[0].algs"}},
		{"more keys than a gate tries for one token", many, []string{"keys"}},
		{"no key", []any{}, []string{"keys"}},
		{"keys that are no list", "a", []string{"keys"}},
		{"a key that is no map", []any{"a"}, []string{"keys[0]", "keys[0]"}},
		{"a map whose keys may be anything", []any{map[any]any{"name": "a", "alg": "HS256", "secret": key()["secret"]}}, []string{"keys[0]"}},
		{"maps in a list of maps", []map[string]any{key()}, []string{"keys[0]"}},
	} {
		envelope, problems := controlsign.Ring(signer(t), map[string]any{"keys": row.keys}, forEdge, broken)
		if got := errorPaths(problems); envelope != "" || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %.10q, %v, want no envelope and errors at %v", row.name, envelope, problems, row.want)
		}
		for _, p := range problems {
			if strings.Contains(p.Text, "c2VjcmV0") || strings.Contains(p.Text, "MIGHAgEA") {
				t.Errorf("%s: the problem repeats the secret: %s", row.name, p)
			}
		}
	}
}

func TestRingPassesWarningsAboutSecretsOn(t *testing.T) {
	readable := func(string) ([]byte, []string, error) {
		return bytes.Repeat([]byte("k"), 40), []string{"file x is world-readable; chmod 600 x"}, nil
	}
	tree := map[string]any{"keys": []any{map[string]any{"name": "a", "alg": "HS256", "encoding": "raw", "secret": "file:x"}}}
	envelope, problems := controlsign.Ring(signer(t), tree, forEdge, readable)
	if envelope == "" || len(problems) != 1 || !problems[0].Warning || problems[0].Path != "keys[0].secret" {
		t.Errorf("got %.10q, %v, want an envelope and a warning", envelope, problems)
	}
}
