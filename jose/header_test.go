package jose_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

const payload = `{"exp":4708683205.891912}`

// sign signs payload with HS256 under the account secret and any header.
func sign(t testing.TB, header string) string {
	t.Helper()
	text, err := mint.SignRaw(jose.HS256, secret(t, "account"), header, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// seal encrypts payload under the account secret and any header.
func seal(t testing.TB, header string) string {
	t.Helper()
	text, err := mint.EncryptRaw(secret(t, "account"), nil, header, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const goodJWE = `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}","tag":"{tag}"}`

// with is a JWE header with more members.
func with(members string) string { return strings.TrimSuffix(goodJWE, "}") + "," + members + "}" }

// TestSignedHeaders: every token here has a right HS256 signature by the account key over its header.
func TestSignedHeaders(t *testing.T) {
	for _, row := range []struct {
		name, header string
		want         jose.Fault
	}{
		{"the usual header is accepted", `{"alg":"HS256","typ":"JWT"}`, ""},
		{"the usual header in the other order is accepted", `{"typ":"JWT","alg":"HS256"}`, ""},
		{"alg alone is accepted", `{"alg":"HS256"}`, ""},
		{"a kid is accepted by a key without one", `{"alg":"HS256","kid":"any"}`, ""},
		{"space in the header is accepted", " {\"alg\" :\n\"HS256\" }\t", ""},
		{"another typ is accepted", `{"alg":"HS256","typ":"approov+jwt"}`, ""},
		{"an unknown parameter is ignored", `{"alg":"HS256","x-app":[1,{"a":null}]}`, ""},
		{"alg spelt with an escape is the same alg", `{"\u0061lg":"HS2\u00356"}`, ""},

		{"alg none is refused", `{"alg":"none"}`, jose.AlgorithmRefused},
		{"alg None is refused", `{"alg":"None"}`, jose.AlgorithmRefused},
		{"alg NONE is refused", `{"alg":"NONE"}`, jose.AlgorithmRefused},
		{"alg nOnE is refused", `{"alg":"nOnE"}`, jose.AlgorithmRefused},
		{"a missing alg is refused", `{"typ":"JWT"}`, jose.AlgorithmRefused},
		{"an empty header is refused", `{}`, jose.AlgorithmRefused},
		{"an empty alg is refused", `{"alg":""}`, jose.AlgorithmRefused},
		{"alg null is malformed", `{"alg":null}`, jose.Malformed},
		{"an alg that is a number is malformed", `{"alg":256}`, jose.Malformed},
		{"an alg that is a list is malformed", `{"alg":["HS256"]}`, jose.Malformed},
		{"alg in other letter case is no alg", `{"ALG":"HS256"}`, jose.AlgorithmRefused},
		{"hs256 in lower case is refused", `{"alg":"hs256"}`, jose.AlgorithmRefused},
		{"HS256 with a space is refused", `{"alg":"HS256 "}`, jose.AlgorithmRefused},
		{"HS384 is refused", `{"alg":"HS384"}`, jose.AlgorithmRefused},
		{"HS512 is refused", `{"alg":"HS512"}`, jose.AlgorithmRefused},
		{"RS256 is refused by a ring of secrets", `{"alg":"RS256"}`, jose.AlgorithmRefused},
		{"ES256 is refused by a ring of secrets", `{"alg":"ES256"}`, jose.AlgorithmRefused},
		{"EdDSA is refused", `{"alg":"EdDSA"}`, jose.AlgorithmRefused},
		{"A256GCMKW in three parts is refused", `{"alg":"A256GCMKW","enc":"A256GCM"}`, jose.AlgorithmRefused},
		{"A256GCMKW without enc in three parts is refused", `{"alg":"A256GCMKW"}`, jose.AlgorithmRefused},
		{"an enc beside HS256 is refused", `{"alg":"HS256","enc":"A256GCM"}`, jose.AlgorithmRefused},

		{"any crit is refused", `{"alg":"HS256","crit":["x"],"x":1}`, jose.AlgorithmRefused},
		{"a crit of a known name is refused", `{"alg":"HS256","crit":["exp"],"exp":1}`, jose.AlgorithmRefused},
		{"an empty crit is refused", `{"alg":"HS256","crit":[]}`, jose.AlgorithmRefused},
		{"a crit that is no list is refused", `{"alg":"HS256","crit":true}`, jose.AlgorithmRefused},
		{"a crit of null is refused", `{"alg":"HS256","crit":null}`, jose.AlgorithmRefused},
		{"b64 false is refused", `{"alg":"HS256","b64":false,"crit":["b64"]}`, jose.AlgorithmRefused},
		{"b64 without crit is refused", `{"alg":"HS256","b64":true}`, jose.AlgorithmRefused},
		{"zip is refused", `{"alg":"HS256","zip":"DEF"}`, jose.AlgorithmRefused},
		{"an empty zip is refused", `{"alg":"HS256","zip":""}`, jose.AlgorithmRefused},

		{"two algs are malformed", `{"alg":"HS256","alg":"HS256"}`, jose.Malformed},
		{"two algs, one spelt with an escape, are malformed", `{"alg":"HS256","a\u006cg":"none"}`, jose.Malformed},
		{"two unknown parameters of one name are malformed", `{"alg":"HS256","x":1,"x":1}`, jose.Malformed},
		{"a kid that is a number is malformed", `{"alg":"HS256","kid":1}`, jose.Malformed},
		{"a kid of null is malformed", `{"alg":"HS256","kid":null}`, jose.Malformed},
		{"a typ that is a list is malformed", `{"alg":"HS256","typ":["JWT"]}`, jose.Malformed},
		{"header null is malformed", `null`, jose.Malformed},
		{"a header that is a list is malformed", `[]`, jose.Malformed},
		{"a header that is a string is malformed", `""`, jose.Malformed},
		{"an absent header is malformed", ``, jose.Malformed},
		{"text behind the header is malformed", `{"alg":"HS256"}x`, jose.Malformed},
		{"a byte order mark is malformed", "\xef\xbb\xbf{\"alg\":\"HS256\"}", jose.Malformed},
		{"invalid UTF-8 is malformed", "{\"alg\":\"HS256\",\"x\":\"\xff\"}", jose.Malformed},
		{"a header of 10,000 brackets is malformed", `{"alg":"HS256","x":` + strings.Repeat("[", 10_000), jose.Malformed},
		{"a header of 3,000 bytes is malformed", `{"alg":"HS256","x":"` + strings.Repeat("x", 3_000) + `"}`, jose.Malformed},

		{"a kid that is a path selects nothing else", `{"alg":"HS256","kid":"../../dev/null"}`, ""},
		{"a kid with SQL selects nothing else", `{"alg":"HS256","kid":"x' UNION SELECT 'a"}`, ""},
		{"a kid with a NUL selects nothing else", `{"alg":"HS256","kid":"a\u0000b"}`, ""},
		{"a control document is refused where tokens are wanted", `{"alg":"HS256","typ":"approov-control+jwt"}`, jose.AlgorithmRefused},
		{"a control document in other letter case is refused", `{"alg":"HS256","typ":"APPROOV-Control+JWT"}`, jose.AlgorithmRefused},
		{"a control document with its full media type is refused", `{"alg":"HS256","typ":"application/approov-control+jwt"}`, jose.AlgorithmRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring := ringOf(t, hs256(t, "account", ""))
			checkOpen(t, ring, sign(t, row.header), row.want)
		})
	}
}

// checkOpen demands a fault, or on "" the payload.
func checkOpen(t *testing.T, ring *jose.Ring, text string, want jose.Fault) {
	t.Helper()
	got, key, fault := ring.Open(text, 0, anyForm)
	if fault != want {
		t.Errorf("got %q, want %q", fault, want)
	}
	if want == "" && got != payload {
		t.Errorf("payload: got %q, want %q", got, payload)
	}
	if want != "" && (got != "" || key != "") {
		t.Errorf("with a fault: got payload %q and key %q, want none", got, key)
	}
}

// TestEncryptedHeaders: every token here is rightly encrypted under the account key, its header included.
func TestEncryptedHeaders(t *testing.T) {
	for _, row := range []struct {
		name, header string
		want         jose.Fault
	}{
		{"the usual header is accepted", goodJWE, ""},
		{"a typ and a kid are accepted", with(`"typ":"JWT","kid":"any"`), ""},
		{"zip is refused", with(`"zip":"DEF"`), jose.AlgorithmRefused},
		{"crit is refused", with(`"crit":["zip"]`), jose.AlgorithmRefused},
		{"A256KW is refused", strings.Replace(goodJWE, "A256GCMKW", "A256KW", 1), jose.AlgorithmRefused},
		{"A128GCMKW is refused", strings.Replace(goodJWE, "A256GCMKW", "A128GCMKW", 1), jose.AlgorithmRefused},
		{"dir is refused", strings.Replace(goodJWE, "A256GCMKW", "dir", 1), jose.AlgorithmRefused},
		{"RSA-OAEP is refused", strings.Replace(goodJWE, "A256GCMKW", "RSA-OAEP", 1), jose.AlgorithmRefused},
		{"ECDH-ES is refused", strings.Replace(goodJWE, "A256GCMKW", "ECDH-ES", 1), jose.AlgorithmRefused},
		{"PBES2 with two thousand million rounds is refused", strings.Replace(with(`"p2c":2147483647,"p2s":"AAAA"`), "A256GCMKW", "PBES2-HS256+A128KW", 1), jose.AlgorithmRefused},
		{"HS256 in five parts is refused", `{"alg":"HS256"}`, jose.AlgorithmRefused},
		{"HS256 in five parts with an enc is refused", strings.Replace(goodJWE, "A256GCMKW", "HS256", 1), jose.AlgorithmRefused},
		{"none in five parts is refused", strings.Replace(goodJWE, "A256GCMKW", "none", 1), jose.AlgorithmRefused},
		{"enc A128GCM is refused", strings.Replace(goodJWE, `"A256GCM"`, `"A128GCM"`, 1), jose.AlgorithmRefused},
		{"enc A256CBC-HS512 is refused", strings.Replace(goodJWE, `"A256GCM"`, `"A256CBC-HS512"`, 1), jose.AlgorithmRefused},
		{"a missing enc is refused", `{"alg":"A256GCMKW","iv":"{iv}","tag":"{tag}"}`, jose.AlgorithmRefused},
		{"an enc of null is malformed", `{"alg":"A256GCMKW","enc":null,"iv":"{iv}","tag":"{tag}"}`, jose.Malformed},
		{"a missing iv is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","tag":"{tag}"}`, jose.Malformed},
		{"a missing tag is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}"}`, jose.Malformed},
		{"an iv that is a number is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":1,"tag":"{tag}"}`, jose.Malformed},
		{"a tag that is a number is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}","tag":1}`, jose.Malformed},
		{"iv and tag swapped are malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{tag}","tag":"{iv}"}`, jose.Malformed},
		{"a padded tag is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}","tag":"{tag}=="}`, jose.Malformed},
		{"a line break in the iv is malformed", `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}\n","tag":"{tag}"}`, jose.Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring := ringOf(t, hs256(t, "account", ""))
			checkOpen(t, ring, seal(t, row.header), row.want)
		})
	}
}

// TestKeysInHeadersAreNotFetched signs with a key that the header carries or points to.
func TestKeysInHeadersAreNotFetched(t *testing.T) {
	hits := make(chan string, 8)
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.Path
	}))
	defer canary.Close()
	foreign := secret(t, "foreign")
	ring := ringOf(t, hs256(t, "account", ""), public(t, jose.ES256, "p256-account", ""))
	for _, parameter := range []string{
		fmt.Sprintf(`"jwk":{"kty":"oct","k":%q}`, b64(string(foreign))),
		fmt.Sprintf(`"jku":%q`, canary.URL+"/jku"),
		fmt.Sprintf(`"x5u":%q`, canary.URL+"/x5u"),
		fmt.Sprintf(`"kid":%q`, canary.URL+"/kid"),
		`"x5c":["MIIB"]`, `"jwk":7`, `"jku":null`,
	} {
		text, err := mint.SignRaw(jose.HS256, foreign, `{"alg":"HS256",`+parameter+`}`, payload)
		if err != nil {
			t.Fatal(err)
		}
		checkOpen(t, ring, text, jose.SignatureInvalid)
		checkOpen(t, ring, sign(t, `{"alg":"HS256",`+parameter+`}`), "")
	}
	select {
	case path := <-hits:
		t.Errorf("the canary was asked for %s, want no request", path)
	default:
	}
}
