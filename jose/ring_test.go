package jose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// tokenBy is a token signed by the named test secret with a kid.
func tokenBy(t testing.TB, name, kid string) string {
	t.Helper()
	text, err := mint.Sign(jose.HS256, kid, secret(t, name), map[string]any{"exp": 1})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeySelection(t *testing.T) {
	account, next := hs256(t, "account", ""), hs256(t, "next", "n")
	for _, row := range []struct {
		name     string
		keys     []jose.Key
		by, kid  string
		key      string
		want     jose.Fault
		wantSame bool // the JWE of the same secret and kid gets the same answer
	}{
		{"a key without a kid opens a token without one", []jose.Key{account}, "account", "", "account", "", true},
		{"a key without a kid opens a token with any", []jose.Key{account}, "account", "x", "account", "", true},
		{"a key with a kid opens a token with it", []jose.Key{next}, "next", "n", "next", "", true},
		{"a key with a kid does not open a token without one", []jose.Key{next}, "next", "", "", jose.KeyUnknown, true},
		{"a key with a kid does not open a token with another", []jose.Key{next}, "next", "m", "", jose.KeyUnknown, true},
		{"a kid is compared exactly", []jose.Key{next}, "next", "N", "", jose.KeyUnknown, true},
		{"a kid that is a prefix is another", []jose.Key{next}, "next", "n ", "", jose.KeyUnknown, true},
		{"old and new secret both open their tokens, old", []jose.Key{account, next}, "account", "", "account", "", true},
		{"old and new secret both open their tokens, new", []jose.Key{account, next}, "next", "n", "next", "", true},
		{"a kid does not lend a key to another secret", []jose.Key{next}, "account", "n", "", jose.SignatureInvalid, false},
		{"a key without a kid is tried behind the named one", []jose.Key{account, next}, "account", "n", "account", "", true},
		{"a removed secret opens nothing", []jose.Key{account}, "retired", "", "", jose.SignatureInvalid, false},
		{"equal secrets: the first name is reported", []jose.Key{account, hs256(t, "account", "")}, "account", "", "account", "", true},
		{"no keys open nothing", nil, "account", "", "", jose.KeyUnknown, true},
		{"the zero key opens nothing", []jose.Key{{}}, "account", "", "", jose.AlgorithmRefused, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring := ringOf(t, row.keys...)
			_, key, fault := ring.Open(tokenBy(t, row.by, row.kid), 0, signed)
			if fault != row.want || key != row.key {
				t.Errorf("JWS: got key %q and %q, want %q and %q", key, fault, row.key, row.want)
			}
			text, err := mint.Encrypt(secret(t, row.by), row.kid, map[string]any{"exp": 1})
			if err != nil {
				t.Fatal(err)
			}
			want := row.want
			if !row.wantSame {
				want = jose.DecryptionFailed
			}
			if _, key, fault = ring.Open(text, 0, encrypted); fault != want || key != row.key {
				t.Errorf("JWE: got key %q and %q, want %q and %q", key, fault, row.key, want)
			}
		})
	}
}

func TestKeyWindows(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	for _, row := range []struct {
		name                string
		notBefore, notAfter time.Time
		now                 int64
		want                jose.Fault
	}{
		{"no window is always open", time.Time{}, time.Time{}, 1 << 40, ""},
		{"no window is open before 1970", time.Time{}, time.Time{}, -1 << 40, ""},
		{"a second before the window it is closed", at(100), at(200), 99, jose.KeyUnknown},
		{"at its start the window is open", at(100), at(200), 100, ""},
		{"in its last second the window is open", at(100), at(200), 199, ""},
		{"at its end the window is closed", at(100), at(200), 200, jose.KeyUnknown},
		{"a window without a start ends", time.Time{}, at(200), 200, jose.KeyUnknown},
		{"a window without a start has no start", time.Time{}, at(200), -5, ""},
		{"a window without an end starts", at(100), time.Time{}, 99, jose.KeyUnknown},
		{"a window without an end has no end", at(100), time.Time{}, 1 << 40, ""},
		{"in the second in which the window ends it is open", at(100), at(200).Add(time.Millisecond), 200, ""},
		{"in the second after that it is closed", at(100), at(200).Add(time.Millisecond), 201, jose.KeyUnknown},
		{"in the second in which the window begins it is open", at(100).Add(time.Millisecond), at(200), 100, ""},
		{"a window that ends before it starts is never open", at(200), at(100), 150, jose.KeyUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			whole := hs256(t, "account", "")
			key := whole.Window(row.notBefore, row.notAfter)
			ring := ringOf(t, key)
			if _, _, fault := ring.Open(tokenBy(t, "account", ""), row.now, signed); fault != row.want {
				t.Errorf("got %q, want %q", fault, row.want)
			}
			want := 1
			if row.want != "" {
				want = 0
			}
			if got := ring.Usable(row.now); got != want {
				t.Errorf("usable keys: got %d, want %d", got, want)
			}
			if !whole.Usable(row.now) {
				t.Error("the key the window was copied from: got closed, want it untouched")
			}
		})
	}
}

// TestRotation: with the old key's window ending when nothing is signed with it any more, no moment refuses either.
func TestRotation(t *testing.T) {
	ring := ringOf(t,
		hs256(t, "account", "").Window(time.Time{}, time.Unix(200, 0)),
		hs256(t, "next", "").Window(time.Unix(100, 0), time.Time{}))
	for now := int64(90); now < 210; now++ {
		_, _, before := ring.Open(tokenBy(t, "account", ""), now, signed)
		_, _, after := ring.Open(tokenBy(t, "next", ""), now, signed)
		if got, want := before == "", now < 200; got != want {
			t.Errorf("old key at %d: got %v, want %v", now, got, want)
		}
		if got, want := after == "", now >= 100; got != want {
			t.Errorf("new key at %d: got %v, want %v", now, got, want)
		}
	}
}

func TestCandidateLimit(t *testing.T) {
	keys := func(kids ...string) []jose.Key {
		var all []jose.Key
		for _, kid := range kids {
			all = append(all, hs256(t, "foreign", kid))
		}
		return append(all, hs256(t, "account", ""))
	}
	for _, row := range []struct {
		name string
		keys []jose.Key
		want bool
	}{
		{"four keys without a kid are accepted", keys("", "", ""), true},
		{"five keys without a kid are refused", keys("", "", "", ""), false},
		{"any number of keys with their own kid is accepted", keys("a", "b", "c", "d", "e", "f"), true},
		{"four keys for one kid are accepted", keys("a", "a", "a"), true},
		{"five keys for one kid are refused", keys("a", "a", "a", "a"), false},
		{"kid and no kid add up", keys("a", "a", "", ""), false},
		{"another algorithm does not count", append(keys("", "", ""), public(t, jose.ES256, "p256-account", "")), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring, err := jose.NewRing(row.keys)
			if got := err == nil; got != row.want {
				t.Fatalf("got %v, want accepted %v", err, row.want)
			}
			if err != nil {
				if text := err.Error(); !strings.Contains(text, "kid") {
					t.Errorf("got %q, want the fix named", text)
				}
				return
			}
			for _, kid := range []string{"", "a"} {
				if _, key, fault := ring.Open(tokenBy(t, "account", kid), 0, signed); fault != "" || key != "account" {
					t.Errorf("last key, kid %q: got %q by %q, want it tried", kid, fault, key)
				}
			}
		})
	}
}

func TestForms(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	withoutJWE, err := jose.NewHS256("account", "", secret(t, "account"), false)
	if err != nil {
		t.Fatal(err)
	}
	jws := sign(t, `{"alg":"HS256"}`)
	jwe := seal(t, goodJWE)
	parts := strings.Split(jws, ".")
	sealed := strings.Split(jwe, ".")
	nested, err := mint.EncryptRaw(secret(t, "account"), nil, goodJWE, jws)
	if err != nil {
		t.Fatal(err)
	}
	if text, _, fault := ring.Open(nested, 0, encrypted); fault != "" || text != jws {
		t.Errorf("a JWS inside a JWE: got %q (%q), want its text and nothing verified", text, fault)
	}
	for _, row := range []struct {
		name, text string
		accept     jose.Accept
		ring       *jose.Ring
		want       jose.Fault
	}{
		{"a JWS where JWS are taken", jws, signed, ring, ""},
		{"a JWE where JWE are taken", jwe, encrypted, ring, ""},
		{"a JWS where only JWE are taken", jws, encrypted, ring, jose.AlgorithmRefused},
		{"a JWE where only JWS are taken", jwe, signed, ring, jose.AlgorithmRefused},
		{"a JWS where nothing is taken", jws, jose.Accept{}, ring, jose.AlgorithmRefused},
		{"a JWE where nothing is taken", jwe, jose.Accept{}, ring, jose.AlgorithmRefused},
		{"a JWE under a key that is not for JWE", jwe, anyForm, ringOf(t, withoutJWE), jose.AlgorithmRefused},
		{"a JWS with five parts", join(parts[0], "", "", parts[1], parts[2]), anyForm, ring, jose.AlgorithmRefused},
		{"a JWE with three parts", join(sealed[0], sealed[3], sealed[4]), anyForm, ring, jose.AlgorithmRefused},
		{"no text", "", anyForm, ring, jose.Malformed},
		{"one part", parts[0], anyForm, ring, jose.Malformed},
		{"two parts", join(parts[0], parts[1]), anyForm, ring, jose.Malformed},
		{"four parts", join(parts[0], parts[1], parts[2], ""), anyForm, ring, jose.Malformed},
		{"six parts", jwe + ".", anyForm, ring, jose.Malformed},
		{"two dots alone", "..", anyForm, ring, jose.Malformed},
		{"four dots alone", "....", anyForm, ring, jose.Malformed},
		{"no signature", join(parts[0], parts[1], ""), anyForm, ring, jose.SignatureInvalid},
		{"a padded signature", jws + "=", anyForm, ring, jose.SignatureInvalid},
		{"a space behind the signature", jws + " ", anyForm, ring, jose.SignatureInvalid},
		{"a line break behind the signature", jws + "\n", anyForm, ring, jose.SignatureInvalid},
		{"a space before the token", " " + jws, anyForm, ring, jose.Malformed},
		{"a control document where one is wanted", sign(t, `{"alg":"HS256","typ":"approov-control+jwt"}`), jose.Accept{JWS: true, Typ: jose.ControlType}, ring, ""},
		{"a token where a control document is wanted", sign(t, `{"alg":"HS256","typ":"JWT"}`), jose.Accept{JWS: true, Typ: jose.ControlType}, ring, jose.AlgorithmRefused},
		{"a token without typ where a control document is wanted", jws, jose.Accept{JWS: true, Typ: jose.ControlType}, ring, jose.AlgorithmRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, _, fault := row.ring.Open(row.text, 0, row.accept); fault != row.want {
				t.Errorf("got %q, want %q", fault, row.want)
			}
		})
	}
}

func join(parts ...string) string { return strings.Join(parts, ".") }

// TestSignedButUnreadablePayload: the signature is judged before the payload is decoded, and a payload that is not
// base64url is no payload, however well it is signed.
func TestSignedButUnreadablePayload(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	for _, segment := range []string{"A", "AB", "AA==", "A+/A", "AAA\n", "AA\nAA", "?AAA", "AA AA"} {
		text := macOver(t, b64(`{"alg":"HS256"}`)+"."+segment)
		if got, _, fault := ring.Open(text, 0, signed); fault != jose.Malformed {
			t.Errorf("payload segment %q: got %q (%q), want %q", segment, got, fault, jose.Malformed)
		}
		if _, _, fault := ring.Open(text[:len(text)-4]+"AAAA", 0, signed); fault != jose.SignatureInvalid {
			t.Errorf("payload segment %q, bad signature: got %q, want %q", segment, fault, jose.SignatureInvalid)
		}
	}
}

// TestPayloadIsOwnMemory: later tokens must not change an earlier payload, though buffers are used again.
func TestPayloadIsOwnMemory(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	for name, make := range map[string]func(claims map[string]any) (string, error){
		"JWS": func(claims map[string]any) (string, error) {
			return mint.Sign(jose.HS256, "", secret(t, "account"), claims)
		},
		"JWE": func(claims map[string]any) (string, error) { return mint.Encrypt(secret(t, "account"), "", claims) },
	} {
		var texts []string
		for _, did := range []string{"first", "other"} {
			text, err := make(map[string]any{"did": did})
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		first, _, _ := ring.Open(texts[0], 0, anyForm)
		for i := 0; i < 100; i++ {
			ring.Open(texts[1], 0, anyForm)
		}
		if want := `{"did":"first"}`; first != want {
			t.Errorf("%s: got %q after others were opened, want %q", name, first, want)
		}
	}
}
