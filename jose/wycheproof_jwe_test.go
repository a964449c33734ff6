package jose

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// wrapKey is a Key that unwraps with key itself rather than with its SHA-256, as the corpora's keys are meant.
func wrapKey(t testing.TB, key []byte) Key {
	t.Helper()
	if len(key) != sha256.Size {
		key = make([]byte, sha256.Size)
	}
	decrypt, err := gcmKeyWrap([sha256.Size]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	k := newKey("vector", HS256, "")
	k.decrypt = decrypt
	return k
}

func newRing(t testing.TB, keys ...Key) *Ring {
	t.Helper()
	r, err := NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWycheproofJWE takes Wycheproof's JWE file. Two entries, 73 and 74, use A256GCMKW with A256GCM and must be
// opened. All others must be refused, whatever key they are tried with: the 32-byte ones with their own.
func TestWycheproofJWE(t *testing.T) {
	var n tally
	opened := map[int]bool{}
	gcmKeyWrapGroups := 0
	for _, g := range readGroups(t, "json_web_encryption_test.json") {
		key, err := base64.RawURLEncoding.DecodeString(g.member(t, "k"))
		if err != nil {
			t.Fatal(err)
		}
		if g.member(t, "alg") == "A256GCMKW" {
			gcmKeyWrapGroups += len(g.Tests)
		}
		ring := newRing(t, wrapKey(t, key))
		for _, c := range g.Tests {
			n.add(c.Result)
			payload, _, fault := ring.Open(c.token(), 0, anyForm)
			if fault != "" {
				if payload != "" {
					t.Errorf("%d %s: got payload %q with fault %q, want none", c.TcID, c.Comment, payload, fault)
				}
				continue
			}
			opened[c.TcID] = true
			if got := hex.EncodeToString([]byte(payload)); got != c.Pt {
				t.Errorf("%d %s: got plaintext %s, want %s", c.TcID, c.Comment, got, c.Pt)
			}
		}
	}
	if len(opened) != 2 || !opened[73] || !opened[74] {
		t.Errorf("opened: got %v, want 73 and 74 alone", opened)
	}
	if got := n.valid + n.invalid; got != 139 || gcmKeyWrapGroups != 9 {
		t.Errorf("entries: got %d, %d of them for A256GCMKW keys, want 139 and 9", got, gcmKeyWrapGroups)
	}
}

// TestWycheproofJWEMixups makes the two good entries bad, one way each.
func TestWycheproofJWEMixups(t *testing.T) {
	for _, g := range readGroups(t, "json_web_encryption_test.json") {
		for _, c := range g.Tests {
			if c.TcID != 73 && c.TcID != 74 {
				continue
			}
			key, err := base64.RawURLEncoding.DecodeString(g.member(t, "k"))
			if err != nil {
				t.Fatal(err)
			}
			parts, _ := split(c.token())
			ring := newRing(t, wrapKey(t, key))
			for name, changed := range map[string]string{
				"IV and tag swapped":            join(parts[0], parts[1], parts[4], parts[3], parts[2]),
				"encrypted key empty":           join(parts[0], "", parts[2], parts[3], parts[4]),
				"ciphertext empty":              join(parts[0], parts[1], parts[2], "", parts[4]),
				"header of the JOSE spelt anew": join(reencode(t, parts[0]), parts[1], parts[2], parts[3], parts[4]),
			} {
				if payload, _, fault := ring.Open(changed, 0, anyForm); fault == "" {
					t.Errorf("%d with %s: got %q, want a fault", c.TcID, name, payload)
				}
			}
			flipped := append([]byte(nil), key...)
			flipped[31] ^= 1
			other := newRing(t, wrapKey(t, flipped))
			if _, _, fault := other.Open(c.token(), 0, anyForm); fault != DecryptionFailed {
				t.Errorf("%d with another key: got %q, want %q", c.TcID, fault, DecryptionFailed)
			}
		}
	}
}

func join(parts ...string) string {
	out := parts[0]
	for _, p := range parts[1:] {
		out += "." + p
	}
	return out
}

// reencode puts a space behind the JSON of a header segment, which changes no member but the data authenticated.
func reencode(t testing.TB, segment string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(text, ' '))
}
