package token_test

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/approovgate/approovgate/token"
)

// known are the claims with a meaning, and the type each must have: n a number, s a string, l a list of strings,
// a either of the last two.
var known = map[string]byte{
	"exp": 'n', "nbf": 'n', "iat": 'n', "did": 's', "ip": 's', "iss": 's', "sub": 's', "pay": 's', "arc": 's', "ipk": 's', "mskid": 's',
	"mpk": 's', "imh": 's', "dmh": 's', "anno": 'l', "aud": 'a',
}

// judge decides about a claims set as Decode must, slowly and by other means. Without a fault it returns the claims
// as encoding/json reads them.
func judge(text string) (map[string]any, token.Fault) {
	if !strict(text) {
		return nil, token.Invalid
	}
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil || claims == nil {
		return nil, token.Invalid
	}
	names, spelt := topNames(text)
	if len(names) != len(claims) || len(names) > 64 {
		return nil, token.Invalid
	}
	for i, name := range names {
		if !fits(claims[name], known[name]) || known[name] != 0 && strings.Contains(spelt[i], `\`) {
			return nil, token.Invalid
		}
		for other := range known {
			if name != other && strings.EqualFold(name, other) {
				return nil, token.Invalid
			}
		}
	}
	switch at, ok := claims["exp"]; {
	case !ok:
		return nil, token.ExpMissing
	case float(at) <= 0:
		return nil, token.Invalid
	}
	return claims, ""
}

// fits reports whether a claim has the type it must have; kind 0 is any.
func fits(value any, kind byte) bool {
	switch v := value.(type) {
	case json.Number:
		var f float64
		return kind == 0 || kind == 'n' && json.Unmarshal([]byte(v), &f) == nil
	case string:
		return kind == 0 || kind == 's' || kind == 'a'
	case []any:
		for _, element := range v {
			if _, ok := element.(string); !ok {
				return kind == 0
			}
		}
		return kind == 0 || kind == 'l' || kind == 'a'
	}
	return kind == 0
}

func float(value any) (f float64) {
	number, _ := value.(json.Number)
	if json.Unmarshal([]byte(number), &f) != nil {
		return 0
	}
	return f
}

var (
	surrogatePair = regexp.MustCompile(`(?i)\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`)
	surrogate     = regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`)
)

// strict reports whether text is RFC 8259 JSON in UTF-8 without lone surrogates, and no value lies in more than 32
// lists and objects.
func strict(text string) bool {
	if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
		return false
	}
	escapes := strings.ReplaceAll(text, `\\`, "_")
	if surrogate.MatchString(surrogatePair.ReplaceAllString(escapes, "_")) {
		return false
	}
	depth := 0
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		switch part, err := d.Token(); {
		case err == io.EOF:
			return true
		case err != nil:
			return false
		case part == json.Delim('}') || part == json.Delim(']'):
			depth--
		case depth > 32:
			return false
		case part == json.Delim('{') || part == json.Delim('['):
			depth++
		}
	}
}

// topNames are an object's names in order, and the text each stands in.
func topNames(text string) (names, spelt []string) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return nil, nil
	}
	for d.More() {
		start := d.InputOffset()
		name, err := d.Token()
		if err != nil {
			return nil, nil
		}
		names, spelt = append(names, name.(string)), append(spelt, text[start:d.InputOffset()])
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil
		}
	}
	return names, spelt
}

// FuzzClaims holds Decode against the judge: the same texts are refused, for the same reason, and the claims of the
// others are read alike.
func FuzzClaims(f *testing.F) {
	for _, row := range claimsRows() {
		if len(row.text) < 2048 {
			f.Add(row.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantFault := judge(text)
		c, fault := token.Decode(text)
		if fault != wantFault {
			t.Fatalf("%q: got %q, want %q", text, fault, wantFault)
		}
		token.Loggable("e30." + text + ".AAAAAA")
		if fault != "" {
			return
		}
		for name, got := range map[string]string{
			"did": c.Device, "ip": c.IP, "iss": c.Issuer, "sub": c.Subject, "pay": c.Pay, "arc": c.ARC, "ipk": c.InstallKey, "mskid": c.SigningKey,
		} {
			if text, _ := want[name].(string); got != text {
				t.Errorf("%q, %s: got %q, want %q", c.JSON, name, got, text)
			}
		}
		if got, want := c.Exp, float(want["exp"]); got != want {
			t.Errorf("%q, exp: got %v, want %v", text, got, want)
		}
		if got, want := c.NotBefore, float(want["nbf"]); got != want {
			t.Errorf("%q, nbf: got %v, want %v", text, got, want)
		}
		if _, want := want["pay"]; c.HasPay != want {
			t.Errorf("%q: got HasPay %v, want %v", text, c.HasPay, want)
		}
		checkLists(t, c, want)
	})
}

// checkLists compares the claims that are lists.
func checkLists(t *testing.T, c token.Claims, want map[string]any) {
	t.Helper()
	var wanted []string
	list, _ := want["anno"].([]any)
	for _, element := range list {
		wanted = append(wanted, element.(string))
	}
	if got := c.Annotations(); strings.Join(got, "\x00") != strings.Join(wanted, "\x00") || len(got) != len(wanted) {
		t.Errorf("%q: got annotations %q, want %q", c.JSON, got, wanted)
	}
	audiences, _ := want["aud"].([]any)
	if text, ok := want["aud"].(string); ok {
		audiences = []any{text}
	}
	for _, audience := range append(audiences, "never this one") {
		asked := audience.(string)
		if got, want := c.HasAudience(asked), asked != "never this one"; got != want {
			t.Errorf("%q, audience %q: got %v, want %v", c.JSON, asked, got, want)
		}
	}
}
