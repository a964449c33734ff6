package jose_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
)

// The public halves of the test keys p256-account and rsa-account and a test secret, as members of a JSON Web Key.
const (
	ecMembers  = `"kty":"EC","crv":"P-256","x":"Z0sW27YGse38PHeduJvUkIC5wAM4gOwjY-ng5PxGvKk","y":"_MWhfsmdS6CJBRJROtGI24N1LgFMJeyYZe2JUQG5YBA"`
	rsaMembers = `"kty":"RSA","e":"AQAB","n":"x5zW55L1d6pg9BizdFCueLRGXRmKxu4K8pfZ17MkQLCELRg4RjTbbKIEtGyFEbfNvoltIvhvfPwpkQ5jh0XZ3nTJj_nwSAA6B3h9ihbteLQt6aFlANaOEH3etZjV56UEqre5XeqTX0qOZUIoK9tBrqhUSc0b6oXOGJAR2nb32Y8y0zBYQ5HvVHkzE8tMUNZk_7peIO3dBZiYTjMTEZMcrUdrxCXuZw3xfS-7P_qoceD93syGjxH3gv0o2HIEzv8IuBlq-b7PcbcIR3H3PQUmYNJL33pqoNrxomZnfkBlLZ2DgKYHMuvaIdxKpx5T88HhZsXp4EO8pNOu1RhcQ9tSHw"`
	octMembers = `"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"`
)

func set(entries ...string) string {
	for i, entry := range entries {
		entries[i] = "{" + entry + "}"
	}
	return `{"keys":[` + strings.Join(entries, ",") + `]}`
}

type jwksRow struct {
	name, text string
	algs       string // separated by spaces
	want       int    // keys; 0: refused
	says       string // part of the error
}

func jwksRows() []jwksRow {
	many := func(n int) string {
		var all []string
		for i := 0; i < n; i++ {
			all = append(all, fmt.Sprintf(`%s,"kid":"k%d"`, ecMembers, i))
		}
		return set(all...)
	}
	all := "HS256 RS256 PS256 ES256"
	return []jwksRow{
		{"one EC key", set(ecMembers), "ES256", 1, ""},
		{"one RSA key for the only RSA algorithm", set(rsaMembers), "RS256 ES256", 1, ""},
		{"one shared secret", set(octMembers), "HS256", 1, ""},
		{"an EC and an RSA key", set(ecMembers+`,"kid":"a"`, rsaMembers+`,"kid":"b","alg":"PS256"`), all, 2, ""},
		{"members that are not acted on", set(ecMembers + `,"x5c":["AA"],"ext":true,"exp":1`), "ES256", 1, ""},
		{"a set with other members", `{"issuer":"x","keys":[{` + ecMembers + `}],"more":{}}`, "ES256", 1, ""},
		{"space anywhere", " {\n\"keys\" : [ {" + ecMembers + "} ] } ", "ES256", 1, ""},
		{"use sig", set(ecMembers + `,"use":"sig"`), "ES256", 1, ""},
		{"key_ops with verify", set(ecMembers + `,"key_ops":["sign","verify"]`), "ES256", 1, ""},
		{"64 keys", many(64), "ES256", 64, ""},
		{"two keys without a kid", set(ecMembers, ecMembers), "ES256", 2, ""},

		{"a key for encryption is passed over", set(ecMembers+`,"kid":"a"`, ecMembers+`,"use":"enc"`), "ES256", 1, ""},
		{"a key that does not verify is passed over", set(ecMembers, ecMembers+`,"key_ops":["deriveKey"]`), "ES256", 1, ""},
		{"a key of another algorithm is passed over", set(ecMembers, ecMembers+`,"alg":"ES384"`), "ES256", 1, ""},
		{"a key of an unknown type is passed over", set(ecMembers, `"kty":"OKP","crv":"Ed25519","x":"AA"`), "ES256", 1, ""},
		{"a key on another curve is passed over", set(ecMembers, `"kty":"EC","crv":"P-384","x":"AA","y":"AA"`), "ES256", 1, ""},
		{"a key without a type is passed over", set(ecMembers, `"kid":"x"`), "ES256", 1, ""},

		{"nothing left is refused", set(ecMembers), "RS256", 0, "holds no key"},
		{"an empty set is refused", `{"keys":[]}`, "ES256", 0, "holds no key"},
		{"no algorithms asked for", set(ecMembers), "", 0, "holds no key"},
		{"an RSA key that could serve two algorithms is refused", set(rsaMembers), "RS256 PS256", 0, "name the alg"},
		{"two keys with one kid are refused", set(ecMembers+`,"kid":"a"`, ecMembers+`,"kid":"a"`), "ES256", 0, "stands twice"},
		{"one kid under two types is refused", set(ecMembers+`,"kid":"a"`, rsaMembers+`,"kid":"a","alg":"RS256"`), all, 0, "stands twice"},
		{"a kid twice is refused though one key is passed over", set(ecMembers+`,"kid":"a"`, ecMembers+`,"kid":"a","use":"enc"`), "ES256", 0, "stands twice"},
		{"a shared secret among public keys is refused", set(ecMembers+`,"kid":"a"`, octMembers+`,"kid":"b"`), all, 0, "mixes"},
		{"a shared secret among public keys is refused even if not asked for", set(ecMembers+`,"kid":"a"`, octMembers+`,"kid":"b"`), "ES256", 0, "mixes"},
		{"a private EC key is refused", set(ecMembers + `,"d":"AA"`), "ES256", 0, "private"},
		{"a private RSA key is refused", set(rsaMembers + `,"p":"AA"`), "RS256", 0, "private"},
		{"a private key is refused though it would be passed over", set(ecMembers, ecMembers+`,"use":"enc","d":"AA"`), "ES256", 0, "private"},
		{"65 keys are refused", many(65), "ES256", 0, "at most 64"},
		{"alg HS256 on an EC key is refused", set(ecMembers + `,"alg":"HS256"`), all, 0, "does not serve"},
		{"alg ES256 on an RSA key is refused", set(rsaMembers + `,"alg":"ES256"`), all, 0, "does not serve"},
		{"alg RS256 on a shared secret is refused", set(octMembers + `,"alg":"RS256"`), all, 0, "does not serve"},
		{"a shared secret of 31 bytes is refused", set(`"kty":"oct","k":"` + b64(strings.Repeat("x", 31)) + `"`), "HS256", 0, "at least 32"},
		{"an empty shared secret is refused", set(`"kty":"oct","k":""`), "HS256", 0, "at least 32"},
		{"a padded shared secret is refused", set(`"kty":"oct","k":"` + b64(strings.Repeat("x", 32)) + `="`), "HS256", 0, "base64url"},
		{"a point that is not on the curve is refused", set(strings.Replace(ecMembers, "Z0sW", "Z0sX", 1)), "ES256", 0, "not a point"},
		{"the point (0, 0) is refused", set(`"kty":"EC","crv":"P-256","x":"` + b64(strings.Repeat("\x00", 32)) + `","y":"` + b64(strings.Repeat("\x00", 32)) + `"`), "ES256", 0, "not a point"},
		{"a short coordinate is refused", set(`"kty":"EC","crv":"P-256","x":"AA","y":"AA"`), "ES256", 0, "32 bytes"},
		{"a missing coordinate is refused", set(`"kty":"EC","crv":"P-256"`), "ES256", 0, "32 bytes"},
		{"an RSA key of 1024 bits is refused", set(`"kty":"RSA","e":"AQAB","n":"` + b64("\x80"+strings.Repeat("\x01", 127)) + `"`), "RS256", 0, "1024 bits"},
		{"an RSA key of 8200 bits is refused", set(`"kty":"RSA","e":"AQAB","n":"` + b64("\x80"+strings.Repeat("\x01", 1024)) + `"`), "RS256", 0, "8200 bits"},
		{"an RSA key without a modulus is refused", set(`"kty":"RSA","e":"AQAB"`), "RS256", 0, "modulus"},
		{"exponent 1 is refused", set(strings.Replace(rsaMembers, "AQAB", "AQ", 1)), "RS256", 0, "exponent"},
		{"an even exponent is refused", set(strings.Replace(rsaMembers, "AQAB", "AQAA", 1)), "RS256", 0, "exponent"},
		{"an exponent of 2^32 is refused", set(strings.Replace(rsaMembers, "AQAB", "AQAAAAE", 1)), "RS256", 0, "exponent"},
		{"an exponent of 200 bytes is refused", set(strings.Replace(rsaMembers, "AQAB", strings.Repeat("AQAB", 67), 1)), "RS256", 0, "exponent"},

		{"a kid that is a number is refused", set(ecMembers + `,"kid":1`), "ES256", 0, "kid must be a string"},
		{"key_ops that are no list are refused", set(ecMembers + `,"key_ops":"verify"`), "ES256", 0, "key_ops"},
		{"a member twice is refused", set(ecMembers + `,"kty":"EC"`), "ES256", 0, "twice"},
		{"no keys member is refused", `{}`, "ES256", 0, `no list of "keys"`},
		{"keys in other letter case are refused", `{"Keys":[{` + ecMembers + `}]}`, "ES256", 0, `no list of "keys"`},
		{"two keys members are refused", `{"keys":[{` + ecMembers + `}],"keys":[]}`, "ES256", 0, "strict JSON"},
		{"keys that are an object are refused", `{"keys":{` + ecMembers + `}}`, "ES256", 0, "list of JSON objects"},
		{"keys that are null are refused", `{"keys":null}`, "ES256", 0, "list of JSON objects"},
		{"a key that is a string is refused", `{"keys":["EC"]}`, "ES256", 0, "list of JSON objects"},
		{"a list is refused", `[{` + ecMembers + `}]`, "ES256", 0, "strict JSON"},
		{"a single key is refused", `{` + ecMembers + `}`, "ES256", 0, `no list of "keys"`},
		{"no text is refused", ``, "ES256", 0, "strict JSON"},
		{"trailing text is refused", set(ecMembers) + "x", "ES256", 0, "strict JSON"},
		{"an HTML page is refused", "<html>", "ES256", 0, "strict JSON"},
	}
}

func TestParseJWKS(t *testing.T) {
	for _, row := range jwksRows() {
		t.Run(row.name, func(t *testing.T) {
			keys, err := jose.ParseJWKS("set", []byte(row.text), strings.Fields(row.algs), true)
			if len(keys) != row.want || (err == nil) != (row.want > 0) {
				t.Fatalf("got %d keys (%v), want %d", len(keys), err, row.want)
			}
			if err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %q, want it to say %q", err, row.says)
			}
			for _, k := range keys {
				if k.Name() != "set" {
					t.Errorf("name: got %q, want %q", k.Name(), "set")
				}
			}
		})
	}
}

func TestSharedSecretsNeedLeave(t *testing.T) {
	if keys, err := jose.ParseJWKS("set", []byte(set(octMembers)), []string{jose.HS256}, false); err == nil || !strings.Contains(err.Error(), "from files only") {
		t.Errorf("got %d keys (%v), want an error that says where they are accepted", len(keys), err)
	}
	if _, err := jose.ParseJWKS("set", []byte(set(octMembers)), []string{jose.HS256}, true); err != nil {
		t.Errorf("got %v, want the key", err)
	}
}

// TestKeySetErrorsHoldNoSecrets: what is in a key set's secret is in no error.
func TestKeySetErrorsHoldNoSecrets(t *testing.T) {
	const secret = "c2VjcmV0IHRleHQ"
	for _, entry := range []string{`"kty":"oct","k":"` + secret + `"`, `"kty":"oct","k":"` + secret + `=="`, `"kty":"oct","k":["` + secret + `"]`, ecMembers + `,"d":"` + secret + `"`} {
		_, err := jose.ParseJWKS("set", []byte(set(entry)), []string{jose.HS256, jose.ES256}, true)
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "secret text") {
			t.Errorf("%s: got %v, want an error without the secret", entry, err)
		}
	}
}

// TestPublishedKeySet opens tokens of the private keys with the public set of testdata.
func TestPublishedKeySet(t *testing.T) {
	keys, err := jose.ParseJWKS("keyset", keyText(t, "keyset.jwks.json"), []string{jose.ES256, jose.RS256}, false)
	if err != nil {
		t.Fatal(err)
	}
	ring := ringOf(t, keys...)
	for alg, kid := range map[string]string{jose.ES256: "ec-1", jose.RS256: "rsa-1"} {
		p := parties(t)[alg][0]
		for given, want := range map[string]jose.Fault{kid: "", "ec-2": jose.KeyUnknown, "": jose.KeyUnknown} {
			text, err := p.minter.Sign(alg, given, p.sign, map[string]any{"exp": 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, key, fault := ring.Open(text, 0, signed); fault != want || want == "" && key != "keyset" {
				t.Errorf("%s, kid %q: got %q by %q, want %q", alg, given, fault, key, want)
			}
		}
	}
}
