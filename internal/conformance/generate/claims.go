package main

import (
	"strings"
	"time"
)

// expiries are the cases about exp: a positive JSON number is required, floats and large ones included.
func expiries(g *corpus) {
	g.add("claims/exp-missing", "token without exp is denied", "T20, R94", strict, get(g.hs(`{"did":"ExampleApproovTokenDID=="}`)), deny("exp_missing"))
	g.add("claims/exp-missing-alone", "token without any claim is denied", "T20", strict, get(g.hs(`{}`)), deny("exp_missing"))
	for file, value := range map[string]string{
		"null": "null", "empty": `""`, "text": `"1800000300"`, "true": "true", "array": "[1800000300]", "object": "{}", "nan": "NaN", "infinity": "Infinity",
		"negative": "-1", "negative-large": "-1800000300", "zero": "0", "zero-float": "0.0", "minus-zero": "-0", "overflow": "1e400", "minus-overflow": "-1e400",
		"plus": "+1800000300", "leading-zero": "01800000300", "hex": "0x6B49D200", "bare-fraction": ".5", "bare-point": "1800000300.", "bare-exponent": "18e", "two-signs": "--1",
		"two-values": "1800000300 1800000300", "underscore": "1_800_000_300",
	} {
		g.add("claims/exp-"+file, "exp "+value+" is denied", "T20", strict, get(g.hs(`{"exp":`+value+`}`)), deny("claim_invalid"))
	}
	for file, value := range map[string]string{
		"float": "1800000300.5", "published-float": "4708683205.891912", "exponent": "1.8000003e9", "exponent-upper-case": "18000003E2", "exponent-plus": "1.9e+9",
		"above-32-bits": "4294967297", "above-53-bits": "9007199254740993", "above-63-bits": "9223372036854775808", "large": "1e18", "very-large": "2.001e206", "largest": "1.7976931348623157e308",
		"many-digits": "1800000300.00000000000000000000000000000001",
	} {
		g.add("claims/exp-"+file, "exp "+value+" is accepted", "T20", strict, get(g.hs(`{"exp":`+value+`}`)), pass())
	}
	for file, value := range map[string]string{"fraction": "0.5", "one": "1", "exponent-past": "1.7e9", "small-exponent": "18e-1"} {
		g.add("claims/exp-"+file, "exp "+value+" has passed", "T20", strict, get(g.hs(`{"exp":`+value+`}`)), deny("token_expired"))
	}
}

// times are the cases about exp, nbf and iat against the clock (RFC 7519 §4.1.4, §4.1.5).
func times(g *corpus) {
	const lenient = `{"token": {"leeway": "30s"}, "keys": [$account]}`
	row := func(file, name, about, policy, claims string, w want) {
		g.add("claims/"+file, name, about, policy, get(g.hs(claims)), w)
	}
	row("exp-one-second-left", "token is valid one second before exp", "T21", strict, `{"exp":1800000001}`, pass())
	row("exp-now", "token has expired at exp itself", "T21", strict, `{"exp":1800000000}`, deny("token_expired"))
	row("exp-one-second-past", "token has expired one second after exp", "T21", strict, `{"exp":1799999999}`, deny("token_expired"))
	row("exp-half-second-left", "token is valid half a second before exp", "T21", strict, `{"exp":1800000000.5}`, pass())
	row("exp-half-second-past", "token has expired half a second after exp", "T21", strict, `{"exp":1799999999.5}`, deny("token_expired"))
	row("exp-leeway-inside", "token is valid inside the leeway after exp", "T21", lenient, `{"exp":1799999971}`, pass())
	row("exp-leeway-end", "token has expired when the leeway ends", "T21", lenient, `{"exp":1799999970}`, deny("token_expired"))
	row("exp-leeway-fraction", "leeway ends to the fraction of a second", "T21", lenient, `{"exp":1799999970.25}`, pass())
	at := func(offset time.Duration, file, name string, w want) {
		g.add("claims/"+file, name, "T21", strict, get(g.hs(`{"exp":1800000000.5}`)), w).Now = now.Add(offset)
	}
	at(499*time.Millisecond, "clock-just-before", "token is valid a millisecond before a fractional exp", pass())
	at(500*time.Millisecond, "clock-at", "token has expired at a fractional exp itself", deny("token_expired"))
	at(-time.Hour, "clock-hour-back", "token is valid when the clock steps an hour back", pass())
	at(time.Hour, "clock-hour-ahead", "token has expired when the clock steps an hour ahead", deny("token_expired"))

	row("nbf-past", "token is valid after nbf", "T22", strict, `{"exp":1800000300,"nbf":1799999999}`, pass())
	row("nbf-now", "token is valid at nbf itself", "T22", strict, `{"exp":1800000300,"nbf":1800000000}`, pass())
	row("nbf-future", "token is denied one second before nbf", "T22", strict, `{"exp":1800000300,"nbf":1800000001}`, deny("token_not_yet_valid"))
	row("nbf-future-fraction", "token is denied half a second before nbf", "T22", strict, `{"exp":1800000300,"nbf":1800000000.5}`, deny("token_not_yet_valid"))
	row("nbf-leeway", "token is valid inside the leeway before nbf", "T22", lenient, `{"exp":1800000300,"nbf":1800000030}`, pass())
	row("nbf-leeway-outside", "token is denied before the leeway before nbf", "T22", lenient, `{"exp":1800000300,"nbf":1800000031}`, deny("token_not_yet_valid"))
	row("nbf-text", "nbf that is a string is denied", "T22", strict, `{"exp":1800000300,"nbf":"1799999999"}`, deny("claim_invalid"))
	row("nbf-null", "nbf that is null is denied", "T22", strict, `{"exp":1800000300,"nbf":null}`, deny("claim_invalid"))
	row("nbf-overflow", "nbf beyond all numbers is denied", "T22", strict, `{"exp":1800000300,"nbf":1e400}`, deny("claim_invalid"))
	row("nbf-and-expired", "token that is expired and not yet valid is denied as expired", "T21, T22", strict, `{"exp":1799999999,"nbf":1800000300}`, deny("token_expired"))
	row("iat-future", "iat is not judged", "T22, R113", strict, `{"exp":1800000300,"iat":1800000200}`, pass())
	row("iat-float", "iat may have a fraction", "T22", strict, `{"exp":1800000300,"iat":1799999999.25}`, pass())
	row("iat-text", "iat that is a string is denied", "T22", strict, `{"exp":1800000300,"iat":"1799999999"}`, deny("claim_invalid"))
	g.add("claims/invalid-and-expired", "expired token with a claim of the wrong type is denied for the claim", "T20", strict,
		get(g.hs(`{"exp":1799999999,"did":1}`)), deny("claim_invalid"))
}

// claimTexts are payloads that are not, or not only, one strict JSON object (RFC 8259, RFC 7519 §7.2).
func claimTexts(g *corpus) {
	invalid := func(file, name, payload string) {
		g.add("claims/"+file, name+" is denied", "T23", strict, get(g.hs(payload)), deny("claim_invalid"))
	}
	const good = `"exp":1800000300`
	invalid("payload-empty", "empty payload", "")
	invalid("payload-space", "payload of white space", "  \n")
	invalid("payload-null", "payload null", "null")
	invalid("payload-array", "payload that is an array", `[{"exp":1800000300}]`)
	invalid("payload-text", "payload that is a string", `"exp"`)
	invalid("payload-number", "payload that is a number", "1800000300")
	invalid("payload-truncated", "truncated payload", `{"exp":1800000300`)
	invalid("payload-trailing-bytes", "payload with bytes behind it", "{"+good+"}x")
	invalid("payload-trailing-object", "payload of two objects", "{"+good+"}{"+good+"}")
	invalid("payload-trailing-nul", "payload with NUL behind it", "{"+good+"}\x00")
	invalid("payload-trailing-comma", "payload with a comma too many", "{"+good+",}")
	invalid("payload-leading-comma", "payload that begins with a comma", "{,"+good+"}")
	invalid("payload-comment", "payload with a comment", "{"+good+"/* */}")
	invalid("payload-unquoted-name", "payload with an unquoted name", "{exp:1800000300}")
	invalid("payload-bom", "payload with a byte order mark", "\xef\xbb\xbf{"+good+"}")
	invalid("payload-utf16", "payload in UTF-16", "{\x00\"\x00e\x00x\x00p\x00\"\x00:\x001\x00}\x00")
	invalid("payload-invalid-utf8", "payload that is not UTF-8", "{"+good+",\"did\":\"\xff\"}")
	invalid("payload-overlong-utf8", "payload with overlong UTF-8", "{"+good+",\"did\":\"\xc0\xaf\"}")
	invalid("payload-surrogate-bytes", "payload with an encoded surrogate", "{"+good+",\"did\":\"\xed\xa0\x80\"}")
	invalid("payload-lone-high-surrogate", "payload with a lone high surrogate", "{"+good+`,"did":"\ud800"}`)
	invalid("payload-lone-low-surrogate", "payload with a lone low surrogate", "{"+good+`,"did":"\udc00x"}`)
	invalid("payload-bad-escape", "payload with an unknown escape", "{"+good+`,"did":"\q"}`)
	invalid("payload-short-escape", "payload with a short escape", "{"+good+`,"did":"\u12"}`)
	invalid("payload-control-character", "payload with a raw control character in a string", "{"+good+",\"did\":\"a\nb\"}")
	invalid("payload-vertical-tab", "payload with a vertical tab between members", "{"+good+",\v\"x\":1}")
	invalid("payload-deep", "payload nested thousands deep", "{"+good+`,"x":`+strings.Repeat("[", 2900)+strings.Repeat("]", 2900)+"}")
	invalid("payload-deep-unclosed", "payload nested without end", "{"+good+`,"x":`+strings.Repeat("[", 5900))
	invalid("payload-nested-34", "payload nested 34 deep", "{"+good+`,"x":`+strings.Repeat("[", 33)+strings.Repeat("]", 33)+"}")

	accepted := func(file, name, payload string) {
		g.add("claims/"+file, name+" is accepted", "T23", strict, get(g.hs(payload)), pass())
	}
	accepted("payload-nested-32", "payload nested 32 deep", "{"+good+`,"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+"}")
	accepted("payload-white-space", "payload with white space everywhere", " \t\r\n{ \"exp\" : 1800000300 , \"did\" :\n\"x\" } \n")
	accepted("payload-surrogate-pair", "payload with a surrogate pair", "{"+good+`,"did":"\ud83d\ude00"}`)
	accepted("payload-escaped-nul", "payload with an escaped NUL in a string", "{"+good+`,"x":"a\u0000b"}`)
	accepted("payload-unknown-claims", "payload with claims we do not know", "{"+good+`,"embed":{"recap:key":{"hostname":"x"}},"x":[1,2,{"y":null}]}`)
	accepted("payload-nested-duplicates", "claim of ours inside another", "{"+good+`,"x":{"exp":1,"EXP":2}}`)
	claimNames(g)
}

// claimNames are members that another reader could take for a claim of ours.
func claimNames(g *corpus) {
	invalid := func(file, name, payload string) {
		g.add("claims/"+file, name+" is denied", "T23", strict, get(g.hs(payload)), deny("claim_invalid"))
	}
	invalid("duplicate-exp", "payload with exp twice", `{"exp":1799999999,"exp":1800000300}`)
	invalid("duplicate-exp-same", "payload with the same exp twice", `{"exp":1800000300,"exp":1800000300}`)
	invalid("duplicate-pay", "payload with pay twice", `{"exp":1800000300,"pay":"a","pay":"b"}`)
	invalid("duplicate-unknown", "payload with an unknown member twice", `{"exp":1800000300,"x":1,"x":2}`)
	invalid("duplicate-escaped", "payload with exp twice, once by an escape", `{"exp":1800000300,"\u0065xp":1}`)
	invalid("escaped-exp", "payload whose exp is written with an escape", `{"\u0065xp":1800000300}`)
	invalid("escaped-did", "payload whose did is written with an escape", `{"exp":1800000300,"d\u0069d":"x"}`)
	invalid("upper-case-exp", "payload with EXP in place of exp", `{"EXP":1800000300}`)
	invalid("mixed-case-exp", "payload with Exp beside exp", `{"exp":1800000300,"eXp":1}`)
	invalid("mixed-case-pay", "payload with Pay", `{"exp":1800000300,"Pay":"x"}`)
	invalid("kelvin-sign", "payload with mpk spelt with the Kelvin sign", "{\"exp\":1800000300,\"mp\u212a\":\"x\"}")
	invalid("long-s", "payload with iss spelt with the long s", "{\"exp\":1800000300,\"i\u017fs\":\"x\"}")
	g.add("claims/confusable-exp", "Cyrillic letters do not spell exp", "T23", strict, get(g.hs("{\"\u0435xp\":1800000300}")), deny("exp_missing"))
	g.add("claims/name-with-space", "name with a space does not stand for exp", "T23", strict, get(g.hs(`{"exp ":1800000300}`)), deny("exp_missing"))
}

// claimTypes are the fixed types of the claims (manual, "Token Claims").
func claimTypes(g *corpus) {
	for _, claim := range []string{"did", "ip", "iss", "sub", "pay", "arc", "mpk", "imh", "dmh", "ipk", "mskid"} {
		g.add("claims/type-"+claim+"-number", claim+" that is a number is denied", "T24, T27, R95", strict, get(g.hs(`{"exp":1800000300,"`+claim+`":1}`)), deny("claim_invalid"))
	}
	for file, member := range map[string]string{
		"did-null": `"did":null`, "did-array": `"did":["x"]`, "iss-object": `"iss":{}`, "pay-true": `"pay":true`, "ip-false": `"ip":false`,
		"anno-text": `"anno":"rooted"`, "anno-number": `"anno":1`, "anno-mixed": `"anno":["rooted",1]`, "anno-nested": `"anno":[["rooted"]]`, "anno-object": `"anno":{}`, "anno-null": `"anno":null`,
		"aud-number": `"aud":1`, "aud-mixed": `"aud":["a",1]`, "aud-object": `"aud":{}`, "aud-null": `"aud":null`,
	} {
		claim, value, _ := strings.Cut(file, "-")
		g.add("claims/type-"+file, claim+" that is "+value+" is denied", "T27, R98", strict, get(g.hs(`{"exp":1800000300,`+member+`}`)), deny("claim_invalid"))
	}
	g.add("claims/type-anno-empty", "empty anno is accepted", "R98", strict, get(g.hs(`{"anno":[],"exp":1800000300}`)), pass())
	g.add("claims/type-anno", "annotations alone deny nothing", "R98, R149", strict, get(g.hs(`{"anno":["rooted","frida"],"exp":1800000300}`)), pass())
	g.add("claims/type-aud-empty", "empty aud is accepted where none is required", "T27", strict, get(g.hs(`{"aud":[],"exp":1800000300}`)), pass())
	g.add("claims/type-texts-empty", "empty texts are accepted", "T27", strict, get(g.hs(`{"did":"","exp":1800000300,"ip":"","iss":"","pay":""}`)), pass())
}
