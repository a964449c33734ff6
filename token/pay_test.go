package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/token"
)

// goldenPays are bindings that are published: the manual's, and that of two headers in the ASP.NET quickstart.
var goldenPays = map[string]string{
	"custom-data":                     "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=",
	"Bearer myauth_tokenmy-device-id": "71tnS3rSq2lanEWrKz4MoexiOMtv7w0fspfM8BAQKNU=",
	"":                                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", // SHA-256 of nothing, FIPS 180-4
	"abc":                             "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", // FIPS 180-4
	strings.Repeat("a", 1_000_000):    "zcduXJkU+5KBocfihNc+Z/GAmkiklyAOBG05zMcRLNA=", // FIPS 180-4
}

func TestPay(t *testing.T) {
	for data, want := range goldenPays {
		if got := token.Pay([]byte(data)); got != want {
			t.Errorf("pay of %.40q: got %s, want %s", data, got, want)
		}
		if !token.Binds(want, data) {
			t.Errorf("Binds(%s, %.40q): got false, want true", want, data)
		}
	}
}

func TestBinds(t *testing.T) {
	const data = "Bearer user-token"
	sum := sha256.Sum256([]byte(data))
	right := base64.StdEncoding.EncodeToString(sum[:])
	last := map[byte]string{'0': "1", '4': "5", '8': "9", 'A': "B", 'E': "F", 'I': "J", 'M': "N", 'Q': "R", 'U': "V", 'Y': "Z", 'c': "d", 'g': "h", 'k': "l", 'o': "p", 's': "t", 'w': "x"}
	for _, row := range []struct {
		name, pay, data string
		want            bool
	}{
		{"the right hash binds", right, data, true},
		{"no pay does not bind data", "", data, false},
		{"no pay does not bind no data", "", "", false},
		{"the hash of no data binds no data", token.Pay(nil), "", true},
		{"the hash of no data does not bind data", token.Pay(nil), data, false},
		{"the hash of other data does not bind", token.Pay([]byte("other")), data, false},
		{"data with a space before it is other data", right, " " + data, false},
		{"data with a space behind it is other data", right, data + " ", false},
		{"data in other letter case is other data", right, strings.ToLower(data), false},
		{"the bare credential is other data", right, "user-token", false},
		{"the hash in URL-safe base64 does not bind", strings.NewReplacer("+", "-", "/", "_").Replace(token.Pay([]byte("custom-data"))), "custom-data", false},
		{"base64 without padding does not bind", strings.TrimRight(right, "="), data, false},
		{"base64 with too much padding does not bind", right + "=", data, false},
		{"base64 with unused bits set does not bind", right[:42] + last[right[42]] + "=", data, false},
		{"a space before the hash does not bind", " " + right, data, false},
		{"a space behind the hash does not bind", right + " ", data, false},
		{"a line break behind the hash does not bind", right + "\n", data, false},
		{"a line break in place of padding does not bind", right[:43] + "\n", data, false},
		{"the hash in hexadecimal does not bind", hex.EncodeToString(sum[:]), data, false},
		{"the raw hash does not bind", string(sum[:]), data, false},
		{"the data itself does not bind", data, data, false},
		{"44 other characters do not bind", strings.Repeat("A", 44), data, false},
		{"16 KB of data bind", token.Pay([]byte(strings.Repeat("x", 16<<10))), strings.Repeat("x", 16<<10), true},
		{"data of the room's size binds", token.Pay([]byte(strings.Repeat("x", 512))), strings.Repeat("x", 512), true},
		{"data one beyond the room binds", token.Pay([]byte(strings.Repeat("x", 513))), strings.Repeat("x", 513), true},
		{"data with any bytes binds", token.Pay([]byte("\x00\xff\r\n")), "\x00\xff\r\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := token.Binds(row.pay, row.data); got != row.want {
				t.Errorf("Binds(%q, %.40q): got %v, want %v", row.pay, row.data, got, row.want)
			}
		})
	}
	for i := range right {
		changed := []byte(right)
		changed[i] ^= 1
		if token.Binds(string(changed), data) {
			t.Errorf("%s: got bound, want the change in character %d noticed", changed, i)
		}
	}
}
