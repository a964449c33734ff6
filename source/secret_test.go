package source

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"strings"
	"testing"
)

// testKey is a test key of 32 bytes whose base64 has characters that differ between the alphabets, and whose
// last byte is a line feed, as in published Approov secrets.
var testKey = append(bytes.Repeat([]byte{0xfb, 0xff}, 15), 'k', '\n')

func TestDecodeSecret(t *testing.T) {
	std := base64.StdEncoding.EncodeToString(testKey)
	url := base64.URLEncoding.EncodeToString(testKey)
	b32 := base32.StdEncoding.EncodeToString(testKey)
	key := string(testKey)
	for _, row := range []struct {
		name, text, encoding, want, err string
	}{
		{"the standard alphabet", std, "base64", key, ""},
		{"the URL alphabet", url, "base64", key, ""},
		{"no padding", strings.TrimRight(std, "="), "base64", key, ""},
		{"white space around", "\t\r\n " + url + "\r\n", "base64", key, ""},
		{"white space inside", std[:8] + "\n" + std[8:], "base64", "", "a character of neither alphabet"},
		{"mixed alphabets", strings.Replace(std, "/", "_", 1), "base64", "", "mixes"},
		{"too much padding", std + "=", "base64", "", "padding does not fit"},
		{"padding of a whole group", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, 33)) + "====", "base64", "", "padding does not fit"},
		{"padding cut off", base64.StdEncoding.EncodeToString(testKey[:31]) + "=", "base64", "", "padding does not fit"},
		{"padding inside", std[:4] + "=" + std[4:], "base64", "", "neither alphabet"},
		{"bits that must be zero", strings.TrimRight(std, "=")[:42] + "h", "base64", "", "incomplete"},
		{"a last character too many", strings.Repeat("A", 45), "base64", "", "incomplete"},
		{"hexadecimal with colons", strings.Repeat("0a:", 32), "base64", "", "neither alphabet"},
		{"31 bytes", base64.StdEncoding.EncodeToString(testKey[:31]), "base64", "", "weak: 31 bytes, at least 32 needed"},
		{"nothing", "", "base64", "", "weak: 0 bytes"},
		{"padding alone", "====", "base64", "", "padding does not fit"},

		{"base32", b32, "base32", key, ""},
		{"base32 in lower case, without padding", strings.ToLower(strings.TrimRight(b32, "=")) + "\n", "base32", key, ""},
		{"base32 in mixed case", "a" + b32[1:], "base32", "", "mixes upper and lower"},
		{"base32 with a digit it does not have", strings.Repeat("A1", 32), "base32", "", "outside A-Z and 2-7"},
		{"base32 with bits that must be zero", strings.TrimRight(b32, "=")[:51] + "B", "base32", "", "incomplete"},
		{"base32 with a line break inside", b32[:8] + "\n" + b32[8:], "base32", "", "outside A-Z and 2-7"},
		{"base32 with wrong padding", strings.TrimRight(b32, "=") + "=", "base32", "", "padding does not fit"},

		{"raw text", strings.Repeat("k ", 16) + "\x00", "raw", strings.Repeat("k ", 16) + "\x00", ""},
		{"raw text with a line feed", strings.Repeat("k", 40) + "\n", "raw", "", "ends in a line break"},
		{"raw text with a carriage return", strings.Repeat("k", 40) + "\r", "raw", "", "ends in a line break"},
		{"raw text of 31 bytes", strings.Repeat("k", 31), "raw", "", "weak: 31 bytes"},
		{"raw text is not decoded", std, "raw", std, ""},

		{"a PEM block as raw text", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", "raw", "", "holds a PEM block"},
		{"a PEM block as base64", "\n-----BEGIN PRIVATE KEY-----\nMFkw", "base64", "", "holds a PEM block"},
		{"an undeclared encoding", std, "", "", "must be base64, base32 or raw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := DecodeSecret([]byte(row.text), row.encoding)
			check(t, string(got), err, row.want, row.err)
		})
	}
}

func TestARawSecretIsItsOwnMemory(t *testing.T) {
	text := bytes.Repeat([]byte{'k'}, 32)
	secret, err := DecodeSecret(text, "raw")
	text[0] = 'x'
	if err != nil || secret[0] != 'k' {
		t.Errorf("secret begins with %q, %v; want %q", secret[0], err, 'k')
	}
}

// FuzzDecodeSecret decodes texts. Oracle: an accepted one re-encodes to the same text, but for white space,
// padding, alphabet and case.
func FuzzDecodeSecret(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(testKey), "base64")
	f.Add(base64.URLEncoding.EncodeToString(testKey)+"\n", "base64")
	f.Add(strings.ToLower(base32.StdEncoding.EncodeToString(testKey)), "base32")
	f.Add(strings.Repeat("k", 33), "raw")
	f.Fuzz(func(t *testing.T, text, encoding string) {
		secret, err := DecodeSecret([]byte(text), encoding)
		if err != nil {
			return
		}
		want := strings.TrimRight(strings.TrimSpace(text), "=")
		var got string
		switch encoding {
		case "base64":
			got = base64.RawStdEncoding.EncodeToString(secret)
			want = strings.NewReplacer("-", "+", "_", "/").Replace(want)
		case "base32":
			got = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
			want = strings.ToUpper(want)
		default:
			got, want = string(secret), text
		}
		if got != want || len(secret) < MinSecret {
			t.Errorf("%q decodes to %d bytes that encode to %q, want %q", text, len(secret), got, want)
		}
	})
}
