package gate_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// fuzzKeys are the test key of testdata that signs, and a ring that verifies with it.
func fuzzKeys(f *testing.F) (*ecdsa.PrivateKey, *jose.Ring) {
	f.Helper()
	private, err := os.ReadFile("../testdata/keys/p256-account.private.pem")
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(private)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		f.Fatal(err)
	}
	public, err := os.ReadFile("../testdata/keys/p256-account.public.pem")
	if err != nil {
		f.Fatal(err)
	}
	key, err := jose.NewPublic("control", jose.ES256, "", public)
	if err != nil {
		f.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		f.Fatal(err)
	}
	return parsed.(*ecdsa.PrivateKey), ring
}

// payloads are documents, good ones first.
var payloads = []string{
	`{"aud":"edge","iat":%d,"version":7,"mode":"log","until":"2030-01-31T13:00:00Z","routes":{"pay":"bypass","feed":{"mode":"enforce","rollout":"25"}},"reason":"incident 12","by":"ops"}`,
	`{"aud":["other","edge"],"iat":%d.5,"version":8,"rollout":50,"until":"2030-01-31T13:00:00.5+01:00"}`,
	`{"aud":"edge","iat":%d,"version":"9"}`,
	`{"aud":"edge","iat":%d,"version":1,"keys":[{"name":"one","alg":"HS256","secret":"inline:c2VjcmV0","kid":"1","jwe":true,"not_before":"2030-01-31T12:00:00Z"}]}`,
	`{"aud":"edge","iat":%d,"version":2,"keys":[{"name":"one","alg":"ES256","public_key":"inline:x"},{"name":"two","alg":"HS256","secret":"inline:x","encoding":"raw"}]}`,
	`{"\u0061ud":"\u0065dge","iat":%d,"version":7}`,
	`{"aud":"edge","iat":%d,"version":7,"version":8}`,
	`{"aud":["edge",1],"iat":%d,"version":7}`,
	`{"aud":"edge","iat":%d,"version":7,"mode":"log","until":null,"routes":[[[[[[[]]]]]]]}`,
	`{"aud":"edge","iat":1e400,"version":%d}`,
	`["edge",%d]`,
	``,
}

// FuzzSignedPayload opens envelopes that are signed as they should be. Oracle: encoding/json, and what the claims
// must be.
func FuzzSignedPayload(f *testing.F) {
	key, ring := fuzzKeys(f)
	for _, payload := range payloads {
		if strings.Contains(payload, "%d") {
			payload = fmt.Sprintf(payload, noon.Unix())
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, typ := range []string{jose.ControlType, jose.RingType} {
			compact, err := mint.SignRaw("ES256", key, `{"alg":"ES256","typ":"`+typ+`"}`, payload)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, compact, ring, typ, payload)
		}
	})
}

// judge opens an envelope as both types of documents.
func judge(t *testing.T, compact string, ring *jose.Ring, typ, payload string) {
	t.Helper()
	control, err := gate.OpenControl(compact, ring, "edge", noon)
	switch {
	case err != nil && (control.Version != 0 || !control.Empty()):
		t.Errorf("got %+v beside an error, want none", control)
	case err == nil && typ != jose.ControlType:
		t.Errorf("got a document of type %q taken for control", typ)
	case err == nil:
		wantClaims(t, payload, control.Version)
		if control.Until.IsZero() && !control.Empty() {
			t.Errorf("got %+v, want an end", control)
		}
		if again, problems := config.DecodeControl(control.Tree()); config.Failed(problems) || !again.Same(control) {
			t.Errorf("got %+v again with problems %v, want %+v", again, problems, control)
		}
	}
	keys, err := gate.OpenRing(compact, ring, "edge", noon)
	switch {
	case err != nil && (keys.Version != 0 || keys.Keys != nil):
		t.Errorf("got %d keys beside an error, want none", len(keys.Keys))
	case err == nil && typ != jose.RingType:
		t.Errorf("got a document of type %q taken for a ring", typ)
	case err == nil:
		wantClaims(t, payload, keys.Version)
		for _, k := range keys.Keys {
			if !strings.HasPrefix(k.Secret+k.PublicKey, "inline:") || k.Remote() != "" {
				t.Errorf("got key %q that refers to something", k.Name)
			}
		}
	}
	for _, other := range []string{"Edge", "edge2", ""} {
		if _, err := gate.OpenControl(compact, ring, other, noon); err == nil && !strings.Contains(payload, other) {
			t.Errorf("got a document for the gate %q, whose name is not in it", other)
		}
	}
}

// wantClaims compares an accepted payload with what encoding/json makes of it.
func wantClaims(t *testing.T, payload string, version int64) {
	t.Helper()
	var claims struct {
		Aud     any
		Iat     float64
		Version any
	}
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatalf("got a payload accepted that is no JSON: %v", err)
	}
	named := claims.Aud == "edge"
	if list, ok := claims.Aud.([]any); ok {
		for _, one := range list {
			named = named || one == "edge"
		}
	}
	if !named || claims.Iat <= 0 || claims.Iat > float64(noon.Add(5*time.Minute).Unix()) {
		t.Errorf("got aud %v and iat %v accepted", claims.Aud, claims.Iat)
	}
	text := fmt.Sprint(claims.Version)
	if number, ok := claims.Version.(float64); ok {
		text = strconv.FormatInt(int64(number), 10)
	}
	if text != strconv.FormatInt(version, 10) || version < 1 {
		t.Errorf("got version %d, want %s", version, text)
	}
}

// FuzzEnvelope opens any text. Oracle: what is accepted is signed, as crypto/ecdsa sees it.
func FuzzEnvelope(f *testing.F) {
	key, ring := fuzzKeys(f)
	minter := mint.Minter{Rand: zeroes{}} // the same seeds every time
	for i, payload := range payloads[:6] {
		for _, header := range []string{`{"alg":"ES256","typ":"approov-control+jwt"}`, `{"alg":"ES256","typ":"application/approov-keys+jwt"}`} {
			compact, err := minter.SignRaw("ES256", key, header, fmt.Sprintf(payload, noon.Unix()))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(compact)
			f.Add(compact[:len(compact)-1-i])
			f.Add(" " + compact + "\n")
			f.Add(strings.Replace(compact, ".", "..", 1))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, controlErr := gate.OpenControl(text, ring, "edge", noon)
		_, ringErr := gate.OpenRing(text, ring, "edge", noon)
		if controlErr == nil && ringErr == nil {
			t.Error("got one text taken for both")
		}
		if controlErr != nil && ringErr != nil {
			return
		}
		parts := strings.Split(strings.TrimSpace(text), ".")
		if len(parts) != 3 || !verified(&key.PublicKey, parts) {
			t.Errorf("got %q accepted, which is not signed", text)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func verified(key *ecdsa.PublicKey, parts []string) bool {
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}
