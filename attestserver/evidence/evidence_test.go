package evidence_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/evidence"
)

// signed is evidence that is an ECDSA signature over what it is about, by a key that the verifier knows: the least
// that real hardware does.
type signed struct {
	kind   string
	key    *ecdsa.PublicKey
	result evidence.Result
}

func (s signed) Type() string { return s.kind }

func (s signed) Verify(_ context.Context, data []byte, b evidence.Binding) (evidence.Result, error) {
	if !ecdsa.VerifyASN1(s.key, b.Hash[:], data) {
		return evidence.Result{}, errors.New("the signature is wrong")
	}
	return s.result, nil
}

// hostile does what no verifier should.
type hostile struct {
	kind   string
	result evidence.Result
	err    error
	panics bool
}

func (h hostile) Type() string { return h.kind }

func (h hostile) Verify(context.Context, []byte, evidence.Binding) (evidence.Result, error) {
	if h.panics {
		panic("index out of range")
	}
	return h.result, h.err
}

func TestEvidence(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"v":1}`)
	b := evidence.Binding{Nonce: "n", DeviceID: "d", Package: "p", Hash: attestapi.EvidenceBinding("n", body)}
	sign := func(hash [32]byte) string {
		signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(signature)
	}
	claims := func(n int, name, value string) map[string]string {
		all := map[string]string{}
		for i := range n {
			all[fmt.Sprint(name, i)] = value
		}
		return all
	}
	set, err := evidence.NewSet([]evidence.Verifier{
		signed{"key", &key.PublicKey, evidence.Result{Level: evidence.Hardware, KeyID: "k", Claims: map[string]string{"patch": "2026-11"}}},
		hostile{kind: "store", result: evidence.Result{Level: evidence.Platform, Flags: []string{"rooted", "root-risk"}, KeyID: "s", Claims: map[string]string{"market": "x"}}},
		hostile{kind: "again", result: evidence.Result{Flags: []string{"rooted", "emulator"}}},
		hostile{kind: "fails", err: errors.New("expired"), result: evidence.Result{Level: evidence.Hardware}},
		hostile{kind: "panics", panics: true},
		hostile{kind: "flag", result: evidence.Result{Flags: []string{"all-good"}, Level: evidence.Hardware}},
		hostile{kind: "level", result: evidence.Result{Level: 99}},
		hostile{kind: "below", result: evidence.Result{Level: -1}},
		hostile{kind: "exp", result: evidence.Result{Claims: map[string]string{"exp": "9999999999"}}},
		hostile{kind: "did", result: evidence.Result{Claims: map[string]string{"dID": "x"}}},
		hostile{kind: "evidence", result: evidence.Result{Claims: map[string]string{"evidence": "hardware"}}},
		hostile{kind: "nameless", result: evidence.Result{Claims: map[string]string{"": "x"}}},
		hostile{kind: "same", result: evidence.Result{Claims: map[string]string{"patch": "2030-01"}}},
		hostile{kind: "many", result: evidence.Result{Claims: claims(9, "c", "x")}},
		hostile{kind: "long", result: evidence.Result{Claims: claims(1, "c", strings.Repeat("x", 257))}},
		hostile{kind: "eight", result: evidence.Result{Claims: claims(8, "c", strings.Repeat("x", 256))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const bad = "[scan-fail]  map[]"
	genuine := attestapi.Evidence{Type: "key", Data: sign(b.Hash)}
	of := func(kinds ...string) []attestapi.Evidence {
		all := []attestapi.Evidence{genuine}
		for _, kind := range kinds {
			all = append(all, attestapi.Evidence{Type: kind, Data: "AAAA"})
		}
		return all
	}
	for _, row := range []struct {
		name string
		all  []attestapi.Evidence
		want string
	}{
		{"none", nil, "[]  map[]"},
		{"a signature over this attestation", of(), "[] hardware map[patch:2026-11]"},
		{"a signature over another body", []attestapi.Evidence{{Type: "key", Data: sign(attestapi.EvidenceBinding("n", []byte("{}")))}}, bad},
		{"a signature over another nonce", []attestapi.Evidence{{Type: "key", Data: sign(attestapi.EvidenceBinding("m", body))}}, bad},
		{"a signature that is nothing", []attestapi.Evidence{{Type: "key", Data: ""}}, bad},
		{"a signature that is no base64", []attestapi.Evidence{{Type: "key", Data: "!"}}, bad},
		{"a type that is not known", []attestapi.Evidence{{Type: "crystal", Data: "AAAA"}}, "[]  map[]"},
		{"a type that is not known beside one that is", of("crystal"), "[] hardware map[patch:2026-11]"},
		{"two types, whose flags, claims and higher level count", of("store"), "[rooted root-risk] hardware map[market:x patch:2026-11]"},
		{"flags that two types raise", of("store", "again"), "[rooted root-risk emulator] hardware map[market:x patch:2026-11]"},
		{"the lower level alone", []attestapi.Evidence{{Type: "store", Data: "AAAA"}}, "[rooted root-risk] platform map[market:x]"},
		{"as many claims as there may be", []attestapi.Evidence{{Type: "eight", Data: "AAAA"}}, "[]  " + fmt.Sprint(claims(8, "c", strings.Repeat("x", 256)))},
		{"one type twice", []attestapi.Evidence{genuine, genuine}, bad},
		{"a verifier that refuses", of("fails"), bad},
		{"a verifier that panics", of("panics"), bad},
		{"a flag that nobody knows", of("flag"), bad},
		{"a level that nobody knows", of("level"), bad},
		{"a level below none", of("below"), bad},
		{"a claim that is the token's own", of("exp"), bad},
		{"a claim that is the token's own in other letter case", of("did"), bad},
		{"a claim that is the level", of("evidence"), bad},
		{"a claim without a name", of("nameless"), bad},
		{"a claim that another type makes", of("same"), bad},
		{"very many claims", of("many"), bad},
		{"a very long claim", of("long"), bad},
	} {
		r := set.Verify(context.Background(), row.all, b)
		if got := fmt.Sprint(r.Flags, " ", r.Level.String(), " ", r.Claims); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	if r := set.Verify(context.Background(), of("store"), b); r.KeyID != "k" {
		t.Errorf("got key %q, want that of the highest level", r.KeyID)
	}
	if got := set.Types(); len(got) != 16 || got[0] != "again" || set.Empty() {
		t.Errorf("got types %v, want all 16 in order", got)
	}
}

func TestSetsThatAreNone(t *testing.T) {
	if _, err := evidence.NewSet([]evidence.Verifier{hostile{kind: "a"}, hostile{kind: "a"}}); err == nil {
		t.Error("a type twice: got a set, want an error")
	}
	if _, err := evidence.NewSet([]evidence.Verifier{hostile{}}); err == nil {
		t.Error("a type without a name: got a set, want an error")
	}
	var none *evidence.Set
	if r := none.Verify(context.Background(), []attestapi.Evidence{{Type: "key"}}, evidence.Binding{}); !none.Empty() || len(none.Types()) != 0 || r.Level != evidence.None || len(r.Flags) > 0 {
		t.Errorf("no set: got %+v, want nothing", r)
	}
}
