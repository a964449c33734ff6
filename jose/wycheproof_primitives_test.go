package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"testing"
)

// hexBytes is a byte string that the corpora write in hex.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*b = raw
	return err
}

type gcmCase struct {
	TcID                       int
	Comment, Result            string
	Key, IV, AAD, Msg, Ct, Tag hexBytes
}

// TestWycheproofGCM drives a JWE with Wycheproof's AES-GCM vectors of 256-bit keys, as the encryption of its
// content, and with their IVs of other sizes in both layers.
func TestWycheproofGCM(t *testing.T) {
	var file struct {
		TestGroups []struct {
			IVSize, KeySize, TagSize int
			Tests                    []gcmCase
		}
	}
	readVectors(t, "wycheproof/aes_gcm_test.json", &file)
	var fits tally
	otherIV, all := 0, 0
	for _, g := range file.TestGroups {
		all += len(g.Tests)
		if g.KeySize != 256 || g.TagSize != 128 {
			continue
		}
		for _, c := range g.Tests {
			if g.IVSize == 96 {
				fits.add(c.Result)
				checkContent(t, c)
				continue
			}
			otherIV++
			checkOtherIV(t, c)
		}
	}
	if want := (tally{39, 27}); fits != want || otherIV != 39 || all != 316 {
		t.Errorf("vectors: got %+v fitting, %d with other IV sizes, %d in all, want %+v, 39, 316", fits, otherIV, all, want)
	}
}

// encoded is base64url, as in a token.
func encoded(b []byte) string { return base64url.EncodeToString(b) }

// sealUnder wraps cek under a fixed test key and returns the Key that unwraps it, and a JWE of everything but the
// content: its parts and the members of its header.
func sealUnder(t testing.TB, cek []byte) (Key, [maxParts]string, header) {
	t.Helper()
	kek := make([]byte, cekSize) // test key: all zero
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, ivSize)
	sealed := gcm.Seal(nil, iv, cek, nil)
	cut := len(sealed) - tagSize
	return wrapKey(t, kek), [maxParts]string{1: encoded(sealed[:cut])}, header{iv: encoded(iv), tag: encoded(sealed[cut:])}
}

// openParts decodes and decrypts as Ring.openJWE does.
func openParts(key Key, parts [maxParts]string, h header) (string, Fault) {
	e, ok := openEnvelope(&parts, &h)
	if !ok {
		return "", Malformed
	}
	return key.decrypt(e)
}

// checkContent takes the vector as the content of a JWE whose content key is the vector's.
func checkContent(t *testing.T, c gcmCase) {
	t.Helper()
	key, parts, h := sealUnder(t, c.Key)
	parts[0], parts[2], parts[3], parts[4] = string(c.AAD), encoded(c.IV), encoded(c.Ct), encoded(c.Tag)
	plain, fault := openParts(key, parts, h)
	if c.Result == "valid" {
		if fault != "" || plain != string(c.Msg) {
			t.Errorf("%d %s as content: got %x (%q), want %x", c.TcID, c.Comment, plain, fault, c.Msg)
		}
		return
	}
	if fault != DecryptionFailed || plain != "" {
		t.Errorf("%d %s as content: got %x (%q), want %q", c.TcID, c.Comment, plain, fault, DecryptionFailed)
	}
}

// checkOtherIV puts an IV of another size into either layer, which cipher.AEAD.Open would answer with a panic.
func checkOtherIV(t *testing.T, c gcmCase) {
	t.Helper()
	key, parts, h := sealUnder(t, c.Key)
	parts[2], parts[3], parts[4] = encoded(c.IV), encoded(c.Ct), encoded(c.Tag)
	if plain, fault := openParts(key, parts, h); fault != Malformed {
		t.Errorf("%d content IV of %d bytes: got %x (%q), want %q", c.TcID, len(c.IV), plain, fault, Malformed)
	}
	parts[2], h.iv = encoded(make([]byte, ivSize)), encoded(c.IV)
	if plain, fault := openParts(key, parts, h); fault != Malformed {
		t.Errorf("%d wrap IV of %d bytes: got %x (%q), want %q", c.TcID, len(c.IV), plain, fault, Malformed)
	}
}

// TestWycheproofHMAC drives HS256 with Wycheproof's HMAC-SHA-256 vectors of full-length tags. Keys shorter than
// 32 bytes must be refused.
func TestWycheproofHMAC(t *testing.T) {
	var file struct {
		TestGroups []struct {
			KeySize, TagSize int
			Tests            []struct {
				TcID            int
				Comment, Result string
				Key, Msg, Tag   hexBytes
			}
		}
	}
	readVectors(t, "wycheproof/hmac_sha256_test.json", &file)
	var full tally
	short, all := 0, 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			all++
			key, err := NewHS256("vector", "", c.Key, false)
			if len(c.Key) < MinSecret {
				short++
				if err == nil {
					t.Errorf("%d: got a secret of %d bytes accepted, want it refused", c.TcID, len(c.Key))
				}
			} else if err != nil {
				t.Errorf("%d: got %v, want a key", c.TcID, err)
				continue
			}
			want := c.Result == "valid" && g.TagSize == 256
			if g.TagSize == 256 {
				full.add(c.Result)
			}
			if err != nil {
				continue
			}
			if got := key.verify(string(c.Msg), encoded(c.Tag)); got != want {
				t.Errorf("%d %s: got %v, want %v", c.TcID, c.Comment, got, want)
			}
		}
	}
	if want := (tally{33, 54}); full != want || short != 6 || all != 174 {
		t.Errorf("vectors: got %+v of 256 bits, %d short keys, %d in all, want %+v, 6, 174", full, short, all, want)
	}
}

// TestWycheproofECDSA drives ES256 with Wycheproof's vectors of the fixed-width form (IEEE P1363).
func TestWycheproofECDSA(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKeyPem string
			Tests        []struct {
				TcID            int
				Comment, Result string
				Msg, Sig        hexBytes
			}
		}
	}
	readVectors(t, "wycheproof/ecdsa_secp256r1_sha256_p1363_test.json", &file)
	var n tally
	for _, g := range file.TestGroups {
		key, err := NewPublic("vector", ES256, "", []byte(g.PublicKeyPem))
		if err != nil {
			t.Errorf("key: got %v, want it accepted", err)
			continue
		}
		for _, c := range g.Tests {
			n.add(c.Result)
			if got, want := key.verify(string(c.Msg), encoded(c.Sig)), c.Result == "valid"; got != want {
				t.Errorf("%d %s: got %v, want %v", c.TcID, c.Comment, got, want)
			}
		}
	}
	if want := (tally{173, 89}); n != want {
		t.Errorf("vectors: got %+v, want %+v", n, want)
	}
}
