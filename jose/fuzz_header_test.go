package jose

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

// slowHeader reads a header segment as parseHeader must, bit by bit and with the judge's JSON.
func slowHeader(segment string) header {
	raw, ok := slowBase64(segment)
	if len(segment) > 2048 || !ok {
		return header{fault: Malformed}
	}
	members, ok := judge(raw)
	if !ok {
		return header{fault: Malformed}
	}
	texts := map[string]string{}
	refused := false
	for _, m := range members {
		switch m.name {
		case "alg", "enc", "typ", "kid", "iv", "tag":
			text, isText := m.value.(string)
			if !isText {
				return header{fault: Malformed}
			}
			texts[m.name] = text
		case "crit", "zip", "b64":
			refused = true
		}
	}
	if refused || texts["alg"] == "" {
		return header{fault: AlgorithmRefused}
	}
	return header{alg: texts["alg"], enc: texts["enc"], typ: texts["typ"], kid: texts["kid"], iv: texts["iv"], tag: texts["tag"]}
}

// slowBase64 decodes base64url without padding (RFC 7515 §2, RFC 4648 §5), six bits at a time. Unused bits must be
// zero, and no character may be without effect.
func slowBase64(segment string) (string, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var out strings.Builder
	bits, width := 0, 0
	for i := 0; i < len(segment); i++ {
		value := strings.IndexByte(alphabet, segment[i])
		if value < 0 {
			return "", false
		}
		bits, width = bits<<6|value, width+6
		if width >= 8 {
			width -= 8
			out.WriteByte(byte(bits >> width))
			bits &= 1<<width - 1
		}
	}
	return out.String(), bits == 0 && width < 6
}

var headerSeeds = []string{
	`{"alg":"HS256","typ":"JWT"}`, `{"alg":"HS256","kid":"k-1"}`, `{"alg":"none"}`, `{"alg":null}`, `{"alg":["HS256"]}`, `{"typ":"JWT"}`,
	`{"alg":"A256GCMKW","enc":"A256GCM","iv":"PG3pD6Jb4ih3ULZI","tag":"xNVCHp8clwdrgMROQ-6kpQ"}`, `{"alg":"HS256","alg":"none"}`,
	`{"\u0061lg":"HS256"}`, `{"alg":"HS256","crit":["exp"]}`, `{"alg":"HS256","zip":"DEF"}`, `{"alg":"HS256","b64":false}`,
	`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, `{"alg":"HS256","kid":7}`, ` {"alg" : "HS256"} `, `null`, `[]`, `""`, ``,
	`{"alg":"HS256","kid":"\ud83d"}`, "{\"alg\":\"HS256\",\"kid\":\"\xff\"}",
}

// FuzzHeader holds parseHeader against the slow reader. The input is the segment itself; valid says that it is
// JSON to be encoded first.
func FuzzHeader(f *testing.F) {
	for _, seed := range headerSeeds {
		f.Add(seed, true)
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)), false)
		f.Add(base64.URLEncoding.EncodeToString([]byte(seed)), false)
	}
	for _, segment := range []string{"AB", "AA", "A", "AAA\n", "AA\r\nAA", "AAAA\n", "\n\n\n\n", "AAAAAA\nA", "AA==", "AA+/", "VGVzdB", "VGVzdA", "?AAA"} {
		f.Add(segment, false)
	}
	addVectorHeaders(f)
	f.Fuzz(func(t *testing.T, text string, encode bool) {
		if encode {
			text = base64.RawURLEncoding.EncodeToString([]byte(text))
		}
		got, want := parseHeader(text), slowHeader(text)
		if got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
		raw, ok := decodeSegment([]byte("kept"), text)
		slow, slowOK := slowBase64(text)
		if ok != slowOK || ok && string(raw) != "kept"+slow {
			t.Errorf("decode %q: got %q (%v), want %q (%v)", text, raw, ok, "kept"+slow, slowOK)
		}
	})
}

// addVectorHeaders adds the header segments of the public corpora, where they are.
func addVectorHeaders(f *testing.F) {
	f.Helper()
	if _, err := os.Stat(vectorDir); os.IsNotExist(err) {
		return
	}
	seen := map[string]bool{}
	for _, name := range []string{"json_web_signature_test.json", "json_web_encryption_test.json"} {
		for _, g := range readGroups(f, name) {
			for _, c := range g.Tests {
				segment, _, _ := strings.Cut(c.token(), ".")
				if !seen[segment] {
					seen[segment] = true
					f.Add(segment, false)
				}
			}
		}
	}
}
