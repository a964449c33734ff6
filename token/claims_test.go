package token_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/token"
)

type claimsRow struct {
	name, text string
	want       token.Fault
}

// exp is a claims set with the given JSON text as its exp.
func exp(raw string) string { return `{"exp":` + raw + `}` }

// also is a claims set with a good exp and more.
func also(members string) string { return `{"exp":4708683205.891912,` + members + `}` }

// claimsRows are the rules of Decode by name.
func claimsRows() []claimsRow {
	rows := []claimsRow{
		{"exp as a whole number is accepted", exp(`1700000000`), ""},
		{"exp as a fraction is accepted", exp(`4708683205.891912`), ""},
		{"exp with an exponent is accepted", exp(`1.7e9`), ""},
		{"exp of 2.001e206 is accepted", exp(`2.001e206`), ""},
		{"exp of 1e18 is accepted", exp(`1e18`), ""},
		{"exp of 2^53 + 1 is accepted", exp(`9007199254740993`), ""},
		{"exp above 2^63 is accepted", exp(`9223372036854775808`), ""},
		{"exp of a hundred digits is accepted", exp(strings.Repeat("9", 100)), ""},
		{"exp of the smallest positive number is accepted", exp(`5e-324`), ""},
		{"exp of 1 is accepted", exp(`1`), ""},

		{"no claims at all miss exp", `{}`, token.ExpMissing},
		{"claims without exp miss it", `{"iat":1,"did":"x"}`, token.ExpMissing},
		{"exp in a nested object is not exp", `{"x":{"exp":1}}`, token.ExpMissing},
		{"exp with a space is another claim", `{"exp ":1}`, token.ExpMissing},
		{"exp with a letter that only looks alike is another claim", `{"ехр":1}`, token.ExpMissing},
		{"expires is another claim", `{"expires":1}`, token.ExpMissing},

		{"exp null is invalid", exp(`null`), token.Invalid},
		{"exp of empty text is invalid", exp(`""`), token.Invalid},
		{"exp as text is invalid", exp(`"1700000000"`), token.Invalid},
		{"exp true is invalid", exp(`true`), token.Invalid},
		{"exp as a list is invalid", exp(`[]`), token.Invalid},
		{"exp as a list of a number is invalid", exp(`[1700000000]`), token.Invalid},
		{"exp as an object is invalid", exp(`{}`), token.Invalid},
		{"exp NaN is invalid", exp(`NaN`), token.Invalid},
		{"exp Infinity is invalid", exp(`Infinity`), token.Invalid},
		{"exp of -1 is invalid", exp(`-1`), token.Invalid},
		{"exp of 0 is invalid", exp(`0`), token.Invalid},
		{"exp of -0 is invalid", exp(`-0`), token.Invalid},
		{"exp of 0.0e5 is invalid", exp(`0.0e5`), token.Invalid},
		{"exp of 1e400 is invalid", exp(`1e400`), token.Invalid},
		{"exp of -1e400 is invalid", exp(`-1e400`), token.Invalid},
		{"exp too small to be told from 0 is invalid", exp(`1e-400`), token.Invalid},
		{"exp with a leading zero is invalid", exp(`01700000000`), token.Invalid},
		{"exp with a plus is invalid", exp(`+1700000000`), token.Invalid},
		{"exp in hexadecimal is invalid", exp(`0x7fffffff`), token.Invalid},
		{"exp with underscores is invalid", exp(`1_700_000_000`), token.Invalid},
		{"exp twice is invalid", `{"exp":1700000000,"exp":9999999999}`, token.Invalid},
		{"exp and EXP is invalid", `{"exp":1700000000,"EXP":9999999999}`, token.Invalid},
		{"eXp alone is invalid", `{"eXp":9999999999}`, token.Invalid},
		{"exp spelt with an escape is invalid", `{"\u0065xp":9999999999}`, token.Invalid},
		{"exp twice, once spelt with an escape, is invalid", `{"exp":1700000000,"\u0065xp":9999999999}`, token.Invalid},
		{"pay spelt with an escape is invalid", also(`"p\u0061y":"x"`), token.Invalid},
		{"mſkid, which folds to mskid, is invalid", also(`"mſkid":"x"`), token.Invalid},
		{"msKid with the Kelvin sign, which folds to mskid, is invalid", also("\"ms\u212aid\":\"x\""), token.Invalid},
		{"mſ\u212aid spelt with escapes is invalid", also(`"m\u017f\u212aid":"x"`), token.Invalid},

		{"nbf as a number is accepted", also(`"nbf":1.5`), ""},
		{"nbf below zero is accepted", also(`"nbf":-1`), ""},
		{"nbf as text is invalid", also(`"nbf":"1"`), token.Invalid},
		{"nbf null is invalid", also(`"nbf":null`), token.Invalid},
		{"nbf of 1e400 is invalid", also(`"nbf":1e400`), token.Invalid},
		{"iat in the future is accepted", also(`"iat":9e15`), ""},
		{"iat as a fraction is accepted", also(`"iat":1.25`), ""},
		{"iat as text is invalid", also(`"iat":"1"`), token.Invalid},
		{"iat of 1e400 is invalid", also(`"iat":1e400`), token.Invalid},

		{"an audience is accepted", also(`"aud":"api"`), ""},
		{"several audiences are accepted", also(`"aud":["api","other"]`), ""},
		{"no audiences in a list are accepted", also(`"aud":[]`), ""},
		{"an audience that is a number is invalid", also(`"aud":1`), token.Invalid},
		{"an audience among numbers is invalid", also(`"aud":["api",1]`), token.Invalid},
		{"an audience in a list in a list is invalid", also(`"aud":[["api"]]`), token.Invalid},
		{"an audience null is invalid", also(`"aud":null`), token.Invalid},
		{"annotations are accepted", also(`"anno":["rooted","frida"]`), ""},
		{"no annotations in a list are accepted", also(`"anno":[]`), ""},
		{"an annotation as text is invalid", also(`"anno":"rooted"`), token.Invalid},
		{"an annotation null is invalid", also(`"anno":[null]`), token.Invalid},
		{"annotations null are invalid", also(`"anno":null`), token.Invalid},

		{"unknown claims of any type are accepted", also(`"x":null,"y":[1,{"z":true}],"z":"\u0000"`), ""},
		{"an unknown claim in capitals is accepted", also(`"X-Y":1`), ""},
		{"unknown claims that differ in letter case are accepted", also(`"xx":1,"XX":2`), ""},
		{"an unknown claim spelt with an escape is accepted", also(`"\u0078":1`), ""},
		{"an unknown claim twice is invalid", also(`"x":1,"x":1`), token.Invalid},
		{"the same name twice in a nested object is accepted", also(`"x":{"exp":1,"exp":2}`), ""},

		{"text that is no JSON is invalid", `exp`, token.Invalid},
		{"no text is invalid", ``, token.Invalid},
		{"null is invalid", `null`, token.Invalid},
		{"a list is invalid", `[{"exp":1}]`, token.Invalid},
		{"a text is invalid", `"exp"`, token.Invalid},
		{"a nested token is invalid", `eyJhbGciOiJIUzI1NiJ9.e30.AA`, token.Invalid},
		{"trailing text is invalid", exp(`1`) + "x", token.Invalid},
		{"a second object is invalid", exp(`1`) + exp(`1`), token.Invalid},
		{"trailing space is accepted", exp(`1`) + " \n", ""},
		{"a byte order mark is invalid", "\xef\xbb\xbf" + exp(`1`), token.Invalid},
		{"invalid UTF-8 is invalid", also("\"x\":\"\xff\""), token.Invalid},
		{"a lone surrogate is invalid", also(`"did":"\ud800"`), token.Invalid},
		{"a depth of 10,000 is invalid", also(`"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), token.Invalid},
		{"100 claims are invalid", also(manyClaims(100)), token.Invalid},
		{"60 claims are accepted", also(manyClaims(59)), ""},
	}
	for _, name := range []string{"did", "ip", "iss", "sub", "pay", "arc", "ipk", "mskid", "mpk", "imh", "dmh"} {
		rows = append(rows,
			claimsRow{name + " as text is accepted", also(fmt.Sprintf(`%q:"text"`, name)), ""},
			claimsRow{name + " as empty text is accepted", also(fmt.Sprintf(`%q:""`, name)), ""},
			claimsRow{name + " as a number is invalid", also(fmt.Sprintf(`%q:1`, name)), token.Invalid},
			claimsRow{name + " null is invalid", also(fmt.Sprintf(`%q:null`, name)), token.Invalid},
			claimsRow{name + " as a list is invalid", also(fmt.Sprintf(`%q:["text"]`, name)), token.Invalid},
			claimsRow{name + " in capitals is invalid", also(fmt.Sprintf(`%q:"text"`, strings.ToUpper(name))), token.Invalid},
			claimsRow{name + " twice is invalid", also(fmt.Sprintf(`%q:"text",%q:"text"`, name, name)), token.Invalid},
		)
	}
	for _, name := range []string{"nbf", "iat", "aud", "anno"} {
		rows = append(rows, claimsRow{name + " in capitals is invalid", also(fmt.Sprintf(`%q:1`, strings.ToUpper(name))), token.Invalid})
	}
	return rows
}

func manyClaims(n int) string {
	var all []string
	for i := 0; i < n; i++ {
		all = append(all, fmt.Sprintf(`"c%d":%d`, i, i))
	}
	return strings.Join(all, ",")
}

func TestDecode(t *testing.T) {
	for _, row := range claimsRows() {
		t.Run(row.name, func(t *testing.T) {
			c, fault := token.Decode(row.text)
			if fault != row.want {
				t.Errorf("%.200s: got %q, want %q", row.text, fault, row.want)
			}
			if fault != "" && (c.JSON != "" || c.Exp != 0 || c.Device != "" || c.HasPay) {
				t.Errorf("%.200s: got claims %+v with a fault, want none", row.text, c)
			}
			if _, judged := judge(row.text); judged != row.want {
				t.Errorf("%.200s: the judge says %q, want %q", row.text, judged, row.want)
			}
		})
	}
}

func TestClaimValues(t *testing.T) {
	const text = `{"exp":4708683205.891912,"nbf":-1.5,"iat":1,"did":"d\u00e9v\n","ip":"1.2.3.4","iss":"i","sub":"s","pay":"p",` +
		`"arc":"a","ipk":"k","mskid":"m","mpk":"1","imh":"2","dmh":"3","anno":["rooted","fr\u0069da"],"aud":["one","tw\u006f"],"other":{"did":"no"}}`
	c, fault := token.Decode(text)
	if fault != "" {
		t.Fatalf("got %q, want the claims", fault)
	}
	for name, row := range map[string]struct{ got, want any }{
		"JSON": {c.JSON, text}, "Exp": {c.Exp, 4708683205.891912}, "NotBefore": {c.NotBefore, -1.5}, "Device": {c.Device, "dév\n"},
		"IP": {c.IP, "1.2.3.4"}, "Issuer": {c.Issuer, "i"}, "Subject": {c.Subject, "s"}, "Pay": {c.Pay, "p"}, "HasPay": {c.HasPay, true},
		"ARC": {c.ARC, "a"}, "InstallKey": {c.InstallKey, "k"}, "SigningKey": {c.SigningKey, "m"},
		"Annotations": {strings.Join(c.Annotations(), "|"), "rooted|frida"},
		"first aud":   {c.HasAudience("one"), true}, "last aud": {c.HasAudience("two"), true}, "no aud": {c.HasAudience("On"), false},
		"upper-case aud": {c.HasAudience("ONE"), false}, "empty aud": {c.HasAudience(""), false},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %v, want %v", name, row.got, row.want)
		}
	}
}

func TestAudience(t *testing.T) {
	for _, row := range []struct {
		claim, audience string
		want            bool
	}{
		{`"api"`, "api", true}, {`"api"`, "Api", false}, {`"api"`, "ap", false}, {`"api"`, "api ", false}, {`"a\u0070i"`, "api", true},
		{`[]`, "api", false}, {`["api"]`, "api", true}, {`["x","api"]`, "api", true}, {`["x"]`, "api", false}, {`"[\"api\"]"`, "api", false}, {`""`, "", true},
	} {
		c, fault := token.Decode(also(`"aud":` + row.claim))
		if got := c.HasAudience(row.audience); got != row.want || fault != "" {
			t.Errorf("aud %s asked for %q: got %v (%q), want %v", row.claim, row.audience, got, fault, row.want)
		}
	}
	for _, c := range []token.Claims{{}} {
		if c.HasAudience("") || c.HasAudience("api") || len(c.Annotations()) != 0 {
			t.Error("no claims: got an audience or annotations, want none")
		}
	}
}

func TestPayPresence(t *testing.T) {
	for text, want := range map[string]bool{exp(`1`): false, also(`"pay":""`): true, also(`"pay":"x"`): true, also(`"Pays":"x"`): false} {
		if c, fault := token.Decode(text); c.HasPay != want || fault != "" {
			t.Errorf("%s: got HasPay %v (%q), want %v", text, c.HasPay, fault, want)
		}
	}
}
