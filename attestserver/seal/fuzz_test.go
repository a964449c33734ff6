package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/approovgate/approovgate/attestserver/seal"
)

// What opens must be exactly what an independent writing of the format makes of it: version 1, the key's ID, and
// AES-256-GCM with the nonce in front, over head and context.
func FuzzOpen(f *testing.F) {
	s := seal.New(key(f, 1))
	head := sealed(f, s, "", "")[:9]
	block, err := aes.NewCipher(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := cipher.NewGCM(block)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed(f, s, "material", "place"), "place")
	f.Add(sealed(f, s, "material", "place"), "plac")
	f.Add(sealed(f, s, "", ""), "")
	f.Add(sealed(f, seal.New(key(f, 2)), "material", "place"), "place")
	f.Add([]byte{2}, "")
	f.Fuzz(func(t *testing.T, text []byte, context string) {
		before := bytes.Clone(text)
		got, err := s.Open(text, context)
		if !bytes.Equal(text, before) {
			t.Fatal("got the text changed, want it left alone")
		}
		if err != nil {
			if got != nil {
				t.Fatalf("got %q beside an error, want nothing", got)
			}
		} else {
			again := plain.Seal(append(bytes.Clone(head), text[9:21]...), text[9:21], got, append(bytes.Clone(head), context...))
			if !bytes.Equal(again, text) {
				t.Fatalf("got %x open, which seals as %x", text, again)
			}
		}
		// And whatever it is, sealing it gives it back here and nowhere else.
		again := sealed(t, s, string(text), context)
		if got, err := s.Open(again, context); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
		if _, err := s.Open(again, context+"x"); err == nil {
			t.Fatal("got a text open in another context")
		}
	})
}
