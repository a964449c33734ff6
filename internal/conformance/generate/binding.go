package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// bindTo is a policy with this binding, a JSON object without its braces.
func bindTo(binding string) string { return `{"keys": [$account], "binding": {` + binding + `}}` }

var authorization = bindTo(`"from": ["header:Authorization"]`)

// login is the bound value of most cases.
const login = "Bearer myauth_token"

// payClaims are the cases about the pay claim itself (manual, "Token Binding"): exactly the standard base64, with
// padding, of the SHA-256 of the bound data.
func payClaims(g *corpus) {
	auth := "Authorization: " + login
	g.add("binding/match", "token bound to the Authorization header is accepted", "R99, R162, hw, sh, gw, kong, nginx, aspnet", authorization,
		get(g.bound(login), auth), pass().with("Authorization="+login))
	g.add("binding/manual-example", "binding of the manual's example is accepted", "R108", bindTo(`"from": ["header:X-Data"]`),
		get(g.hs(`{"exp":1800000300,"pay":"tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="}`), "X-Data: custom-data"), pass())

	sum := sha256.Sum256([]byte(login))
	url := base64.URLEncoding.EncodeToString(sum[:])
	std := pay(login)
	padded := "Bearer 4" // its hash has a character that differs between the two alphabets
	for !strings.ContainsAny(pay(padded), "+/") {
		padded += "4"
	}
	mismatch := func(file, name, value string, headers ...string) {
		if len(headers) == 0 {
			headers = []string{auth}
		}
		g.add("binding/pay-"+file, "pay that is "+name+" is denied", "T24", authorization, get(g.paid(`"`+value+`"`), headers...), deny("binding_mismatch"))
	}
	mismatch("other", "the hash of another value", pay("Bearer other"))
	mismatch("empty", "empty", "")
	mismatch("empty-hash", "the hash of nothing", pay(""))
	mismatch("base64url", "in base64url", strings.NewReplacer("+", "-", "/", "_").Replace(pay(padded)), "Authorization: "+padded)
	mismatch("unpadded", "without padding", strings.TrimRight(std, "="))
	mismatch("base64url-unpadded", "in base64url without padding", strings.TrimRight(url, "="))
	mismatch("unused-bits", "with unused bits set", std[:42]+neighbour(std[42])+"=")
	mismatch("space-behind", "followed by a space", std+" ")
	mismatch("space-before", "preceded by a space", " "+std)
	mismatch("line-end", "followed by an escaped line end", std+`\n`)
	mismatch("hex", "in hex", hex.EncodeToString(sum[:]))
	mismatch("double", "the hash of the hash", pay(std))
	mismatch("value", "the bound value itself", login)
	mismatch("bare-token", "the hash of the bare credential", pay("myauth_token"))
	mismatch("with-space", "the hash of the value with a space", pay(login+" "))
	mismatch("with-line-end", "the hash of the value with a line end", pay(login+"\r\n"))
	mismatch("lower-case", "the hash of the value in lower case", pay(strings.ToLower(login)))
	mismatch("other-header", "the hash of another header", pay("my-device-id"), auth, "X-Device-Id: my-device-id")
	mismatch("truncated", "truncated", std[:43])
	mismatch("swapped-case", "in other letter case", swapCase(std))
	g.add("binding/pay-plus-and-slash", "pay with + and / in it is accepted", "T24", authorization, get(g.bound(padded), "Authorization: "+padded), pass())
	g.add("binding/pay-escaped", "pay written with JSON escapes is accepted", "T24", authorization,
		get(g.paid(`"`+strings.Replace(std, "=", `\u003d`, 1)+`"`), auth), pass())
	g.add("binding/pay-missing", "token without pay is denied on a bound route", "T24, R19, hw-18, sh-14, sh-24, aspnet-07", authorization, get(g.hs(genuine), auth), deny("pay_missing"))
	g.add("binding/pay-missing-no-header", "token without pay is denied before the missing header is", "T24", authorization, get(g.hs(genuine)), deny("pay_missing"))
	g.add("binding/expired-and-mismatch", "expired token is denied as such before its binding", "T21", authorization,
		get(g.hs(`{"exp":1799999999,"pay":"`+pay("other")+`"}`), auth), deny("token_expired"))
	g.add("binding/pay-unused", "pay does not matter where no binding is set", "R99", strict, get(g.bound("anything")), pass())
	g.add("binding/jwe", "encrypted token bound to the header is accepted", "R91, R99",
		`{"keys": [$account-jwe], "format": "jwe", "binding": {"from": ["header:Authorization"]}}`,
		get(g.jwe(jweHeader, `{"exp":1800000300,"pay":"`+std+`"}`, nil), auth), pass())
	g.add("binding/jwe-mismatch", "encrypted token bound to another value is denied", "R91, R99",
		`{"keys": [$account-jwe], "format": "jwe", "binding": {"from": ["header:Authorization"]}}`,
		get(g.jwe(jweHeader, `{"exp":1800000300,"pay":"`+pay("other")+`"}`, nil), auth), deny("binding_mismatch"))
	boundHeaders(g)
}

func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

// boundHeaders are the cases about the header that is bound.
func boundHeaders(g *corpus) {
	row := func(file, name, about, policy, data string, w want, headers ...string) {
		g.add("binding/"+file, name, about, policy, get(g.bound(data), headers...), w)
	}
	row("header-missing", "request without the bound header is denied", "T25", authorization, login, deny("binding_missing"))
	row("header-empty", "empty bound header is denied as missing", "T25", authorization, login, deny("binding_missing"), "Authorization:")
	row("header-empty-hash", "empty bound header is denied even if pay is the hash of nothing", "T25", authorization, "", deny("binding_missing"), "Authorization:")
	row("header-blank", "bound header of spaces is denied as missing", "T25", authorization, login, deny("binding_missing"), "Authorization:   ")
	row("header-other-value", "bound header with another value is denied", "T25", authorization, login, deny("binding_mismatch"), "Authorization: Bearer stolen")
	row("header-repeated", "two bound headers are denied", "T25", authorization, login, deny("binding_repeated"), "Authorization: "+login, "Authorization: Bearer other")
	row("header-repeated-same", "two identical bound headers are denied", "T25", authorization, login, deny("binding_repeated"), "Authorization: "+login, "Authorization: "+login)
	row("header-repeated-empty", "empty second bound header is denied", "T25", authorization, login, deny("binding_repeated"), "Authorization: "+login, "Authorization:")
	row("header-comma", "bound header with a comma is bound as it stands", "T25", authorization, "Bearer a, Bearer b", pass(), "Authorization: Bearer a, Bearer b")
	row("header-comma-first", "one of two comma-joined values does not bind", "T25", authorization, "Bearer a", deny("binding_mismatch"), "Authorization: Bearer a, Bearer b")
	row("header-surrounding-space", "white space around the bound header does not count", "T25", authorization, login, pass(), "Authorization:  \t"+login+"\t ")
	row("header-inner-space", "white space inside the bound header counts", "T25", authorization, login, deny("binding_mismatch"), "Authorization: Bearer  myauth_token")
	row("header-name-case", "name of the bound header is case-insensitive", "T25", bindTo(`"from": ["header:aUTHORIZATION"]`), login, pass(), "authorization: "+login)
	row("header-alias-beside", "alias beside the bound header is not forwarded", "T51", bindTo(`"from": ["header:X-Device-Id"]`), "d",
		pass().with("X-Device-Id=d", "X_device_id=absent", "X.device.id=absent"), "X-Device-Id: d", "X_Device_Id: other", "X.Device.Id: other")
	row("header-alias", "alias of the bound header does not bind", "T51, T25", bindTo(`"from": ["header:X-Device-Id"]`), "d", deny("binding_missing"), "X_Device_Id: d")
	row("header-folded", "bound header folded over two lines reads as one line", "T25", authorization, "Bearer a b", pass(), "Authorization: Bearer a\r\n   b")
	row("header-non-ascii", "bound header is bound byte for byte", "T25", authorization, "Bearer \xc3\xa9\xff", pass(), "Authorization: Bearer \xc3\xa9\xff")
	long := "Bearer " + strings.Repeat("x", 16000)
	row("header-long", "bound header of 16 KB is accepted", "T25", authorization, long, pass(), "Authorization: "+long)
	row("trim-scheme", "bare credential is bound where the policy trims the scheme", "sh-20", bindTo(`"from": ["header:Authorization"], "trim_scheme": true`), "myauth_token", pass(), "Authorization: "+login)
	row("trim-scheme-full", "full value does not bind where the policy trims the scheme", "sh-20", bindTo(`"from": ["header:Authorization"], "trim_scheme": true`), login, deny("binding_mismatch"), "Authorization: "+login)
	row("trim-scheme-spaces", "spaces behind the trimmed scheme do not count", "sh-20", bindTo(`"from": ["header:Authorization"], "trim_scheme": true`), "myauth_token", pass(), "Authorization: Bearer    myauth_token")
	row("trim-scheme-none", "value without a scheme is bound as it stands", "sh-20", bindTo(`"from": ["header:Authorization"], "trim_scheme": true`), "myauth_token", pass(), "Authorization: myauth_token")
}

// bindingSources are the cases about where bound data is taken from.
func bindingSources(g *corpus) {
	row := func(file, name, about, from, data, line string, w want, headers ...string) {
		request := send(line, append([]string{"Approov-Token: " + g.bound(data)}, headers...)...)
		g.add("binding/"+file, name, about, bindTo(`"from": [`+from+`]`), request, w)
	}
	const both = `"header:Authorization", "header:X-Device-Id"`
	g.add("binding/two-headers", "two bound headers are joined without a separator", "aspnet, T25", bindTo(`"from": [`+both+`]`),
		get(g.hs(`{"exp":1800000300,"pay":"71tnS3rSq2lanEWrKz4MoexiOMtv7w0fspfM8BAQKNU="}`), "X-Device-Id: my-device-id", "Authorization: "+login), pass())
	row("two-headers-trimmed", "each of two bound headers is trimmed", "aspnet, T25", both, login+"my-device-id", "GET /", pass(), "Authorization:   "+login+"  ", "X-Device-Id:  my-device-id ")
	row("two-headers-order", "two bound headers are joined in the policy's order", "T25", both, "my-device-id"+login, "GET /", deny("binding_mismatch"), "X-Device-Id: my-device-id", "Authorization: "+login)
	row("two-headers-shifted", "two headers that only join to the same text are accepted, as the format has it", "T25", both, login+"my-device-id", "GET /", pass(), "Authorization: "+login+"my", "X-Device-Id: -device-id")
	row("two-headers-first-missing", "missing first of two bound headers is denied", "T25", both, "my-device-id", "GET /", deny("binding_missing"), "X-Device-Id: my-device-id")
	row("two-headers-second-missing", "missing second of two bound headers is denied", "T25", both, login, "GET /", deny("binding_missing"), "Authorization: "+login)
	row("two-headers-second-repeated", "repeated second of two bound headers is denied", "T25", both, login+"d", "GET /", deny("binding_repeated"), "Authorization: "+login, "X-Device-Id: d", "X-Device-Id: d")

	row("cookie", "bound cookie is accepted", "T25", `"cookie:session"`, "abc", "GET /", pass(), "Cookie: theme=dark; session=abc; lang=en")
	row("cookie-other", "bound cookie with another value is denied", "T25", `"cookie:session"`, "abc", "GET /", deny("binding_mismatch"), "Cookie: session=stolen")
	row("cookie-missing", "request without the bound cookie is denied", "T25", `"cookie:session"`, "abc", "GET /", deny("binding_missing"), "Cookie: sessionx=abc; Session=abc")
	row("cookie-none", "request without any cookie is denied where one is bound", "T25", `"cookie:session"`, "abc", "GET /", deny("binding_missing"))
	row("cookie-empty", "empty bound cookie is denied as missing", "T25", `"cookie:session"`, "", "GET /", deny("binding_missing"), "Cookie: session=")
	row("cookie-repeated", "bound cookie given twice is denied", "T25", `"cookie:session"`, "abc", "GET /", deny("binding_repeated"), "Cookie: session=abc; session=other")
	row("cookie-second-line", "bound cookie may be on a second Cookie line", "T25", `"cookie:session"`, "abc", "GET /", pass(), "Cookie: theme=dark", "Cookie: session=abc")
	row("cookie-repeated-lines", "bound cookie on two lines is denied", "T25", `"cookie:session"`, "abc", "GET /", deny("binding_repeated"), "Cookie: session=abc", "Cookie: session=abc")
	row("cookie-with-equals", "bound cookie may hold an equals sign", "T25", `"cookie:session"`, "a=b==", "GET /", pass(), "Cookie: session=a=b==")
	row("cookie-header", "whole Cookie header is bound with its lines joined", "T25", `"header:Cookie"`, "a=1; b=2", "GET /", pass(), "Cookie: a=1", "Cookie: b=2")

	row("query", "bound query parameter is accepted", "T25", `"query:user"`, "alice", "GET /v1/items?page=2&user=alice", pass().target("/v1/items?page=2&user=alice"))
	row("query-decoded", "query parameter is bound decoded", "T25", `"query:user"`, "alice smith&co", "GET /?user=alice+smith%26co", pass())
	row("query-name-decoded", "name of a query parameter is compared decoded", "T25", `"query:user"`, "alice", "GET /?us%65r=alice", pass())
	row("query-other", "query parameter with another value is denied", "T25", `"query:user"`, "alice", "GET /?user=bob", deny("binding_mismatch"))
	row("query-missing", "request without the bound query parameter is denied", "T25", `"query:user"`, "alice", "GET /?User=alice&xuser=alice", deny("binding_missing"))
	row("query-none", "request without a query is denied where a parameter is bound", "T25", `"query:user"`, "alice", "GET /", deny("binding_missing"))
	row("query-empty", "empty bound query parameter is denied as missing", "T25", `"query:user"`, "", "GET /?user=", deny("binding_missing"))
	row("query-repeated", "bound query parameter given twice is denied", "T25", `"query:user"`, "alice", "GET /?user=alice&user=bob", deny("binding_repeated"))
	row("query-repeated-encoded", "bound query parameter given twice, once encoded, is denied", "T25", `"query:user"`, "alice", "GET /?user=alice&%75ser=bob", deny("binding_repeated"))

	row("const-and-header", "constant is joined with a header", "T25", `"const:v1:", "header:X-Device-Id"`, "v1:d", "GET /", pass(), "X-Device-Id: d")
	row("const-only-hash", "hash of the constant alone does not bind", "T25", `"const:v1:", "header:X-Device-Id"`, "v1:", "GET /", deny("binding_mismatch"), "X-Device-Id: d")
	row("three-kinds", "header, cookie and query parameter are joined", "T25", `"header:X-A", "cookie:b", "query:c"`, "123", "GET /?c=3", pass(), "Cookie: b=2", "X-A: 1")
}

// bindingAbsence are the cases about absent data and absent pay (manual, "Cloud Server Redundancy", "Token Binding").
func bindingAbsence(g *corpus) {
	none := bindTo(`"from": ["header:Authorization"], "absent": "const:none"`)
	row := func(file, name, about, policy, token string, w want, headers ...string) {
		g.add("binding/"+file, name, about, policy, get(token, headers...), w)
	}
	row("absent-const", "known value is bound where the header is absent", "R19", none, g.bound("none"), pass())
	row("absent-const-empty-header", "known value is bound where the header is empty", "R19, T25", none, g.bound("none"), pass(), "Authorization:")
	row("absent-const-other", "other value than the known one is denied where the header is absent", "R19", none, g.bound(login), deny("binding_mismatch"))
	row("absent-const-present", "present header is bound although absent ones are allowed", "R19", none, g.bound(login), pass(), "Authorization: "+login)
	row("absent-const-replaced", "known value does not bind where the header is present", "R19", none, g.bound("none"), deny("binding_mismatch"), "Authorization: "+login)
	row("absent-const-repeated", "repeated header is not an absent one", "R19, T25", none, g.bound("none"), deny("binding_repeated"), "Authorization: a", "Authorization: b")
	two := bindTo(`"from": ["header:Authorization", "cookie:session"], "absent": "const:none"`)
	row("absent-const-all", "known value is bound where all sources are absent", "R19", two, g.bound("none"), pass())
	row("absent-const-some", "request with some of the sources is denied", "R19", two, g.bound("none"), deny("binding_missing"), "Authorization: "+login)
	row("absent-const-some-hash", "request with some of the sources is denied even if they are bound", "R19", two, g.bound(login), deny("binding_missing"), "Authorization: "+login)
	constant := bindTo(`"from": ["const:v1:", "header:X-Device-Id"], "absent": "const:none"`)
	row("absent-const-beside-constant", "constant source does not count as present", "R19", constant, g.bound("none"), pass())
	row("absent-const-pay-missing", "token without pay is denied although absent data is allowed", "R19", none, g.hs(genuine), deny("pay_missing"))

	failover := bindTo(`"from": ["header:Authorization"], "missing_pay": "failover"`)
	row("failover-without-did", "failover token without pay and did is accepted where the policy says so", "R18, R19, nginx-03, kong-09, gw-06, gw-16", failover, g.hs(`{"exp":1800000300}`), pass().unbound(), "Authorization: "+login)
	row("failover-without-header", "failover token is accepted without the bound header too", "R18, R19", failover, g.hs(`{"exp":1800000300,"iss":"failover"}`), pass().unbound())
	row("failover-with-did", "token with did but without pay is no failover token: denied", "R18, R19", failover, g.hs(genuine), deny("pay_missing"), "Authorization: "+login)
	row("failover-with-pay", "token with pay is checked where failover tokens are accepted", "R19", failover, g.hs(`{"exp":1800000300,"pay":"`+pay("other")+`"}`), deny("binding_mismatch"), "Authorization: "+login)
	row("failover-empty-pay", "empty pay is not a missing one", "R19", failover, g.hs(`{"exp":1800000300,"pay":""}`), deny("binding_mismatch"), "Authorization: "+login)
	row("failover-bound", "bound token is accepted and not counted as unbound", "R19", failover, g.bound(login), pass(), "Authorization: "+login)
	row("failover-expired", "expired failover token is denied", "R18, T21", failover, g.hs(`{"exp":1799999999}`), deny("token_expired"))
	accept := bindTo(`"from": ["header:Authorization"], "missing_pay": "accept"`)
	row("accept-with-did", "token without pay is accepted where the policy says so", "R19, nginx-03, kong-09, gw-06, gw-16", accept, g.hs(genuine), pass().unbound(), "Authorization: "+login)
	row("accept-mismatch", "wrong pay is denied where missing ones are accepted", "R19", accept, g.bound("other"), deny("binding_mismatch"), "Authorization: "+login)
	row("accept-no-header", "bound token without the header is denied where missing pay is accepted", "R19", accept, g.bound(login), deny("binding_missing"))
}
