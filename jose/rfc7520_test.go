package jose

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"sort"
	"testing"
)

// cookbook is one example of RFC 7520.
type cookbook struct {
	Title string
	Input struct {
		Payload string
		Key     json.RawMessage
	}
	Output struct {
		Compact  string
		JSON     json.RawMessage
		JSONFlat json.RawMessage `json:"json_flat"`
	}
}

// cookbookFaults are the examples that have a compact form, what their own key is made to serve, and what they must get.
var cookbookFaults = map[string]struct {
	alg  string // what the example's key is loaded for; empty: it serves nothing here, and any key stands in
	want Fault
}{
	"jws/4_1.rsa_v15_signature.json":                                                          {RS256, ""},
	"jws/4_2.rsa-pss_signature.json":                                                          {PS256, AlgorithmRefused}, // PS384
	"jws/4_3.ecdsa_signature.json":                                                            {"", AlgorithmRefused},    // ES512
	"jws/4_4.hmac-sha2_integrity_protection.json":                                             {HS256, ""},
	"jws/4_5.signature_with_detached_content.json":                                            {HS256, SignatureInvalid},
	"curve25519/jws.json":                                                                     {"", AlgorithmRefused}, // EdDSA
	"curve25519/ecdh-es.json":                                                                 {"", AlgorithmRefused},
	"jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json":                             {"", AlgorithmRefused},
	"jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json":                                 {"", AlgorithmRefused},
	"jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json":                    {"", AlgorithmRefused},
	"jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json": {"", AlgorithmRefused},
	"jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json":                         {"", AlgorithmRefused},
	"jwe/5_6.direct_encryption_using_aes-gcm.json":                                            {"", AlgorithmRefused},
	"jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json":                      {"A256GCMKW", AlgorithmRefused}, // A128CBC-HS256
	"jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json":                                    {"", AlgorithmRefused},
	"jwe/5_9.compressed_content.json":                                                         {"", AlgorithmRefused}, // zip
}

func TestRFC7520(t *testing.T) {
	needVectors(t)
	files, err := filepath.Glob(filepath.Join(vectorDir, "rfc7520", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	compact, serialised := 0, 0
	for _, path := range files {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		if filepath.Dir(name) == "jwk" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var example cookbook
			readVectors(t, "rfc7520/"+name, &example)
			row, known := cookbookFaults[name]
			if known != (example.Output.Compact != "") {
				t.Fatalf("%s: got a compact form: %v, want %v", example.Title, !known, known)
			}
			ring := cookbookRing(t, example, row.alg)
			if known {
				compact++
				payload, _, fault := ring.Open(example.Output.Compact, 0, anyForm)
				if fault != row.want {
					t.Errorf("%s: got %q, want %q", example.Title, fault, row.want)
				}
				if row.want == "" && payload != example.Input.Payload {
					t.Errorf("%s: got payload %q, want %q", example.Title, payload, example.Input.Payload)
				}
			}
			for form, text := range map[string]json.RawMessage{"general": example.Output.JSON, "flattened": example.Output.JSONFlat} {
				if len(text) == 0 {
					continue
				}
				serialised++
				if _, _, fault := ring.Open(string(text), 0, anyForm); fault != Malformed {
					t.Errorf("%s, %s JSON form: got %q, want %q", example.Title, form, fault, Malformed)
				}
			}
		})
	}
	if compact != 16 || serialised != 44 {
		t.Errorf("examples: got %d compact and %d JSON forms, want 16 and 44", compact, serialised)
	}
}

// cookbookRing holds the public half of the example's key, made to serve alg.
func cookbookRing(t *testing.T, example cookbook, alg string) *Ring {
	t.Helper()
	if alg == "" {
		return newRing(t, wrapKey(t, nil))
	}
	var members map[string]any
	if err := json.Unmarshal(example.Input.Key, &members); err != nil {
		t.Fatal(err)
	}
	if alg == "A256GCMKW" {
		key, err := base64.RawURLEncoding.DecodeString(members["k"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return newRing(t, wrapKey(t, key))
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(members, secret)
	}
	members["alg"] = alg
	set, err := json.Marshal(map[string]any{"keys": []any{members}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseJWKS("cookbook", set, []string{alg}, true)
	if err != nil {
		t.Fatal(err)
	}
	return newRing(t, keys...)
}

// TestRFC7520PrivateKeysAreRefused: the cookbook's RSA and EC private keys must not load.
func TestRFC7520PrivateKeysAreRefused(t *testing.T) {
	for _, name := range []string{"3_2.ec_private_key.json", "3_4.rsa_private_key.json"} {
		var members map[string]any
		readVectors(t, "rfc7520/jwk/"+name, &members)
		set, err := json.Marshal(map[string]any{"keys": []any{members}})
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := ParseJWKS("cookbook", set, []string{RS256, ES256}, true); err == nil {
			t.Errorf("%s: got %d keys, want an error", name, len(keys))
		}
	}
}
