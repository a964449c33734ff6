package jose

import (
	"encoding/base64"
	"strings"
	"testing"
)

// wrongVectors are the four entries of Wycheproof's JWS file whose listed result contradicts the file itself or
// RFC 7515. Ours is the opposite of what is listed.
var wrongVectors = map[int]string{
	367: "listed as invalid, yet byte for byte the token 357, which is listed as valid",
	370: "listed as invalid, yet byte for byte the token 357, which is listed as valid",
	372: "listed as valid, yet its header segment holds a '?', which is not base64url (RFC 7515 §2)",
	373: "listed as valid, yet its payload segment holds a '?', which is not base64url (RFC 7515 §2)",
}

// otherAlgorithm are entries that are valid signatures by another algorithm than the one their key names.
var otherAlgorithm = map[int]string{
	346: "signed with PS384 under a key that names PS256: the key names its algorithm",
	350: "signed with PS384 under a key that names PS256: the key names its algorithm",
}

func TestWycheproofJWS(t *testing.T) {
	seen := map[string]*tally{}
	refusedKeys, exceptions := 0, 0
	for _, g := range readGroups(t, "json_web_signature_test.json") {
		alg := g.member(t, "alg")
		if seen[alg] == nil {
			seen[alg] = &tally{}
		}
		supported := contains(allAlgorithms, alg)
		for _, c := range g.Tests {
			seen[alg].add(c.Result)
			payload, fault, loading := openWith(g.set(), c.token())
			if !supported {
				refusedKeys++
				if loading == nil {
					t.Errorf("%d %s: got a key for %q loaded, want it refused", c.TcID, c.Comment, alg)
				}
				continue
			}
			if loading != nil {
				t.Errorf("%d %s: the key was refused: %v", c.TcID, c.Comment, loading)
				continue
			}
			want := c.Result == "valid"
			if wrongVectors[c.TcID] != "" || otherAlgorithm[c.TcID] != "" {
				want = !want
				exceptions++
			}
			if got := fault == ""; got != want {
				t.Errorf("%d %s: got opened %v (%q), want %v", c.TcID, c.Comment, got, fault, want)
			}
			if want {
				checkPayload(t, c, payload)
			}
		}
	}
	if want := len(wrongVectors) + len(otherAlgorithm); exceptions != want {
		t.Errorf("named exceptions met: got %d, want %d", exceptions, want)
	}
	if refusedKeys != 39 {
		t.Errorf("tokens under keys that must be refused: got %d, want 39", refusedKeys)
	}
	checkTallies(t, seen)
}

func checkPayload(t *testing.T, c vectorCase, payload string) {
	t.Helper()
	want, err := base64.RawURLEncoding.DecodeString(strings.Split(c.token(), ".")[1])
	if err != nil || payload != string(want) {
		t.Errorf("%d %s: got payload %q, want %q (%v)", c.TcID, c.Comment, payload, want, err)
	}
}

// checkTallies holds the corpus to the size that was counted when it was chosen: 401 entries.
func checkTallies(t *testing.T, seen map[string]*tally) {
	t.Helper()
	for alg, want := range map[string]tally{
		HS256:   {10, 30},
		ES256:   {2, 37},
		RS256:   {8, 225},
		PS256:   {8, 42},
		"PS384": {4, 1},
		"PS512": {4, 16},
		"RS384": {4, 0},
		"RS512": {4, 0},
		"ES521": {2, 0}, // spelt so in the file; the tokens say ES512
		"":      {0, 4}, // keys for encryption
	} {
		if seen[alg] == nil || *seen[alg] != want {
			t.Errorf("entries for %q: got %+v, want %+v", alg, seen[alg], want)
		}
	}
	n := 0
	for _, s := range seen {
		n += s.valid + s.invalid
	}
	if n != 401 {
		t.Errorf("entries: got %d, want 401", n)
	}
}

// TestWrongVectorsAreWrong checks the reasons given above, so that a corrected corpus asks for them back.
func TestWrongVectorsAreWrong(t *testing.T) {
	tokens := map[int]vectorCase{}
	for _, g := range readGroups(t, "json_web_signature_test.json") {
		for _, c := range g.Tests {
			tokens[c.TcID] = c
		}
	}
	for _, id := range []int{367, 370} {
		if tokens[id].JWS != tokens[357].JWS || tokens[id].Result == tokens[357].Result {
			t.Errorf("%d: got %s (%s), want token 357 with the other result", id, tokens[id].JWS, tokens[id].Result)
		}
	}
	for id, part := range map[int]int{372: 0, 373: 1} {
		if segment := strings.Split(tokens[id].token(), ".")[part]; !strings.Contains(segment, "?") {
			t.Errorf("%d: got segment %q, want one with a '?'", id, segment)
		}
	}
}

// TestWycheproofForeignRing opens all tokens of all files with a ring that holds none of their keys.
func TestWycheproofForeignRing(t *testing.T) {
	foreign, err := NewHS256("foreign", "", []byte(strings.Repeat("test key, public ", 4)), true)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := NewRing(nil)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewRing([]Key{foreign})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"json_web_signature", "json_web_encryption", "json_web_key", "json_web_crypto"} {
		for _, g := range readGroups(t, file+"_test.json") {
			for _, c := range g.Tests {
				for name, r := range map[string]*Ring{"foreign": ring, "empty": empty, "zero": {}} {
					payload, key, fault := r.Open(c.token(), 0, anyForm)
					if fault == "" || payload != "" || key != "" {
						t.Errorf("%s %d with the %s ring: got %q by %q, want a fault", file, c.TcID, name, payload, key)
					}
				}
			}
		}
	}
}
