package sdk

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// RFC 4231 §4.2 and §4.3 have keys of other lengths; this key is theirs of test case 1, filled up with zeros, which
// HMAC does not tell apart (RFC 2104 §2).
var (
	rfc4231Key  = append(bytes.Repeat([]byte{0x0b}, 20), make([]byte, 12)...)
	rfc4231Text = "Hi There"
	rfc4231MAC  = "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c="
)

func TestAccountMessageSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		bring := func(key *attestapi.MessageKey) {
			w.service.set(func() { w.service.answer = func(a *attestapi.AttestResponse) { a.Message = key } })
		}
		c := w.start(nil)
		if _, err := c.AccountMessageSignature(rfc4231Text); !errors.Is(err, ErrNoMessageKey) {
			t.Errorf("before a token was fetched: got %v, want ErrNoMessageKey", err)
		}
		bring(&attestapi.MessageKey{ID: "k1", Key: base64.StdEncoding.EncodeToString(rfc4231Key)})
		if r := c.FetchToken(t.Context(), "api.example.com"); r.Status != Success {
			t.Fatalf("got %v, want a token", r)
		}
		if got, err := c.AccountMessageSignature(rfc4231Text); err != nil || got != rfc4231MAC {
			t.Errorf("RFC 4231 §4.2: got %s, %v, want %s", got, err, rfc4231MAC)
		}
		c.SetDataHashInToken("other data, which makes the SDK forget its tokens")
		if _, err := c.AccountMessageSignature(rfc4231Text); err != nil {
			t.Errorf("without tokens, but after an attestation: got %v, want a signature", err)
		}
		for _, value := range []any{c, c.message.Load(), *c.message.Load()} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(verb, value); bytes.Contains([]byte(text), []byte("11, 11")) || bytes.Contains([]byte(text), []byte("0xb, 0xb")) {
					t.Errorf("printed with %s: got the key in %.80s, want it nowhere", verb, text)
				}
			}
		}
		bring(nil)
		time.Sleep(10 * time.Minute)
		c.FetchToken(t.Context(), "api.example.com")
		if _, err := c.AccountMessageSignature(rfc4231Text); !errors.Is(err, ErrNoMessageKey) {
			t.Errorf("after message signing was ended: got %v, want ErrNoMessageKey", err)
		}
		for _, row := range []struct{ name, key string }{
			{"a short key", "AAAA"}, {"no key", ""}, {"no base64", "!" + base64.StdEncoding.EncodeToString(rfc4231Key)[1:]},
		} {
			bring(&attestapi.MessageKey{ID: "k1", Key: row.key})
			time.Sleep(10 * time.Minute)
			if r := c.FetchToken(t.Context(), "api.example.com"); r.Status != InternalError {
				t.Errorf("%s: got %v, want INTERNAL_ERROR", row.name, r)
			}
		}
		c.Close()
		if _, err := c.AccountMessageSignature(""); !errors.Is(err, NotInitialized) {
			t.Errorf("closed: got %v, want NotInitialized", err)
		}
		if _, err := (*Client)(nil).AccountMessageSignature(""); !errors.Is(err, NotInitialized) {
			t.Errorf("a nil Client: got %v, want NotInitialized", err)
		}
	})
}
