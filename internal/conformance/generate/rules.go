package main

// routeMatching are the cases about which route applies: the first that matches, at every table size.
func routeMatching(g *corpus) {
	const table = `{"keys": [$account], "routes": [
		{"name": "exact", "paths": ["/a/b"], "mode": "log"},
		{"name": "narrow", "hosts": ["api.example.com"], "methods": ["POST"], "paths": ["/a/**"], "mode": "bypass"},
		{"name": "wide", "paths": ["/a/**", "/b"], "check": "none"},
		{"name": "elsewhere", "hosts": ["www.example.com", "m.example.com"], "mode": "log"},
		{"name": "last", "paths": ["/**"], "methods": ["DELETE"], "mode": "bypass"}]}`
	row := func(file, name, request string, w want) {
		g.add("rules/match-"+file, name, "T41, T42, T44", table, request, w).AllSizes = true
	}
	row("exact", "exact path matches", send("GET /a/b"), logged("token_missing").route("exact"))
	row("exact-slash", "exact path matches with one final slash", send("GET /a/b/"), logged("token_missing").route("exact").target("/a/b/"))
	row("exact-not-below", "exact path does not match what is below it", send("GET /a/b/c"), unchecked("exempt").route("wide"))
	row("exact-first", "first route that matches wins over a later, wider one", send("POST /a/b"), logged("token_missing").route("exact"))
	row("narrow", "host, method and path must all match", send("POST /a/c"), unchecked("bypassed").route("narrow"))
	row("narrow-other-host", "other host falls to the next route", send("POST /a/c", "Host: other.example.com"), unchecked("exempt").route("wide"))
	row("narrow-other-method", "other method falls to the next route", send("PUT /a/c"), unchecked("exempt").route("wide"))
	row("wide-itself", "prefix matches its own path", send("GET /a"), unchecked("exempt").route("wide"))
	row("wide-itself-slash", "prefix matches its own path with a final slash", send("GET /a/"), unchecked("exempt").route("wide"))
	row("wide-deep", "prefix matches far below", send("GET /a/c/d/e/f/g"), unchecked("exempt").route("wide"))
	row("wide-second", "second path of a route matches", send("GET /b"), unchecked("exempt").route("wide"))
	row("wide-boundary", "prefix ends at a slash", send("GET /ab"), deny("token_missing").route("-"))
	row("wide-boundary-dots", "prefix does not match its name with dots", send("GET /a../b"), deny("token_missing").route("-"))
	row("elsewhere", "route without paths matches all paths of its hosts", send("GET /x/y", "Host: m.example.com"), logged("token_missing").route("elsewhere"))
	row("elsewhere-earlier", "earlier route without hosts wins over a later one with them", send("GET /a/c", "Host: www.example.com"), unchecked("exempt").route("wide"))
	row("last-root", "prefix of the root matches the root", send("DELETE /"), unchecked("bypassed").route("last"))
	row("last-deep", "prefix of the root matches everything", send("DELETE /x/y"), unchecked("bypassed").route("last"))
	row("default", "request that no route matches is enforced", send("GET /x/y"), deny("token_missing").route("-").mode("enforce"))
	row("default-genuine", "request that no route matches passes with a genuine token", send("GET /x/y", "Approov-Token: "+g.hs(genuine)), pass().route("-"))
	row("query", "query plays no part in matching", send("GET /x?/a/b"), deny("token_missing").route("-"))

	const decoded = `{"keys": [$account], "routes": [{"name": "space", "paths": ["/my files/**"], "check": "none"}, {"name": "accent", "paths": ["/caf\u00e9"], "check": "none"}, {"name": "colon", "paths": ["/v1/items:batch"], "check": "none"}]}`
	one := func(file, name, target string, w want) {
		g.add("rules/match-"+file, name, "T40, T41", decoded, send("GET "+target), w)
	}
	one("space", "pattern with a space matches its escape", "/my%20files/x", unchecked("exempt").route("space").target("/my%20files/x"))
	one("plus", "plus is no space in a path", "/my+files/x", deny("token_missing"))
	one("accent", "pattern with an accent matches its escape", "/caf%c3%a9", unchecked("exempt").route("accent").target("/caf%C3%A9"))
	one("accent-raw", "pattern with an accent matches its raw bytes", "/caf\xc3\xa9", unchecked("exempt").route("accent").target("/caf%C3%A9"))
	one("accent-decomposed", "pattern with an accent does not match the decomposed form", "/cafe%cc%81", deny("token_missing"))
	one("colon", "pattern with a colon matches it", "/v1/items:batch", unchecked("exempt").route("colon"))
	one("colon-escaped", "pattern with a colon matches its escape", "/v1/items%3abatch", unchecked("exempt").route("colon").target("/v1/items%3Abatch"))
}

// routeRules are the values a route has of its own or inherits.
func routeRules(g *corpus) {
	row := func(file, name, about, policy, line, token string, w want, headers ...string) {
		g.add("rules/"+file, name, about, policy, send(line, append(headers, "Approov-Token: "+token)...), w)
	}
	next := g.sign("HS256", g.keys.next, hs256Header, genuine)
	const subset = `{"keys": [$account, $next], "routes": [{"name": "new", "paths": ["/new/**"], "keys": ["next"]}]}`
	row("keys-listed", "listed key is accepted on a route", "T14, R69", subset, "GET /new/x", next, pass().key("next").route("new"))
	row("keys-not-listed", "key that is not listed is not accepted on a route", "T14, R69", subset, "GET /new/x", g.hs(genuine), deny("signature_invalid").route("new"))
	row("keys-all", "all keys are accepted where none is listed", "T14, R69", subset, "GET /x", next, pass().key("next").route("-"))
	const algs = `{"keys": [$account, $es256], "routes": [{"name": "ec", "paths": ["/ec"], "keys": ["ec"]}]}`
	row("keys-algorithm", "algorithm that no listed key has is denied", "T2", algs, "GET /ec", g.hs(genuine), deny("algorithm_refused"))

	const formats = `{"keys": [$account-jwe], "routes": [{"name": "sealed", "paths": ["/sealed"], "format": "jwe"}, {"name": "any", "paths": ["/any"], "format": "any"}]}`
	sealed := g.jwe(jweHeader, genuine, nil)
	row("format-jwe", "JWE is accepted on the route for JWE", "T3, R64", formats, "GET /sealed", sealed, pass().route("sealed"))
	row("format-jwe-jws", "JWS is denied on the route for JWE", "T3, R64", formats, "GET /sealed", g.hs(genuine), deny("algorithm_refused"))
	row("format-any-jwe", "JWE is accepted on the route for any", "T3, R64", formats, "GET /any", sealed, pass())
	row("format-any-jws", "JWS is accepted on the route for any", "T3, R64", formats, "GET /any", g.hs(genuine), pass())
	row("format-jws", "JWE is denied where no route says otherwise", "T3, R64", formats, "GET /x", sealed, deny("algorithm_refused"))

	const bindings = `{"keys": [$account], "binding": {"from": ["header:Authorization"]}, "routes": [
		{"name": "login", "paths": ["/login"], "binding": "none"},
		{"name": "device", "paths": ["/device"], "binding": {"from": ["header:X-Device-Id"]}},
		{"name": "inherits", "paths": ["/inherits"]}]}`
	row("binding-none", "route clears an inherited binding", "R99, R19", bindings, "GET /login", g.hs(genuine), pass().route("login"))
	row("binding-own", "route has a binding of its own", "R99", bindings, "GET /device", g.bound("d-1"), pass().route("device"), "X-Device-Id: d-1")
	row("binding-own-other", "route with its own binding does not use the inherited one", "R99", bindings, "GET /device", g.bound(login), deny("binding_mismatch"), "X-Device-Id: d-1", "Authorization: "+login)
	row("binding-inherited", "route inherits the binding", "R99", bindings, "GET /inherits", g.bound(login), pass().route("inherits"), "Authorization: "+login)
	row("binding-inherited-missing", "route with an inherited binding denies a token without pay", "R99", bindings, "GET /inherits", g.hs(genuine), deny("pay_missing"))
	row("binding-default", "request without a route has the policy's binding", "R99", bindings, "GET /x", g.hs(genuine), deny("pay_missing").route("-"))

	const exempt = `{"keys": [$account], "routes": [{"name": "hook", "methods": ["POST"], "paths": ["/hooks/**"], "check": "none"}]}`
	row("exempt-forged", "forged token on an exempt route is not looked at", "T53", exempt, "POST /hooks/pay", g.foreign(genuine), unchecked("exempt").key("-"))
	row("exempt-other-method", "exempt route is exempt for its methods only", "T43, T44", exempt, "PUT /hooks/pay", g.foreign(genuine), deny("signature_invalid"))
	row("exempt-repeated", "repeated token on an exempt route is not looked at", "T50", exempt, "POST /hooks/pay", "x", unchecked("exempt"), "Approov-Token: y")
}

// claimRules are the rules on genuine tokens' claims: exact comparisons of texts.
func claimRules(g *corpus) {
	row := func(file, name, about, rule, claims string, w want) {
		g.add("rules/"+file, name, about, `{"keys": [$account], `+rule+`}`, get(g.hs(`{`+claims+`"exp":1800000300}`)), w)
	}
	const audience = `"audience": "api.example.com"`
	row("audience", "required audience is accepted", "T27", audience, `"aud":"api.example.com",`, pass())
	row("audience-list", "required audience in a list is accepted", "T27", audience, `"aud":["www.example.com","api.example.com"],`, pass())
	row("audience-missing", "token without an audience is denied where one is required", "T27", audience, ``, deny("claim_denied").key("account"))
	row("audience-empty", "empty list of audiences is denied where one is required", "T27", audience, `"aud":[],`, deny("claim_denied"))
	row("audience-other", "other audience is denied", "T27", audience, `"aud":"www.example.com",`, deny("claim_denied"))
	row("audience-case", "audience is case-sensitive", "T27", audience, `"aud":"API.example.com",`, deny("claim_denied"))
	row("audience-prefix", "audience is compared as a whole", "T27", audience, `"aud":"api.example.com.evil.test",`, deny("claim_denied"))
	row("audience-escaped", "audience may be written with escapes", "T27", audience, `"aud":"\u0061pi.example.com",`, pass())
	row("audience-not-required", "audience does not matter where none is required", "T27", `"mode": "enforce"`, `"aud":"anything",`, pass())

	const allow = `"allow_issuers": ["account.approov.io", "failover"]`
	row("issuer-allowed", "allowed issuer is accepted", "T27, R97", allow, `"iss":"account.approov.io",`, pass())
	row("issuer-allowed-second", "second allowed issuer is accepted", "T27, R97", allow, `"iss":"failover",`, pass())
	row("issuer-not-allowed", "issuer that is not allowed is denied", "T27, R97", allow, `"iss":"server-token",`, deny("claim_denied"))
	row("issuer-missing", "token without an issuer is denied where some are allowed", "T27, R97", allow, ``, deny("claim_denied"))
	row("issuer-empty", "empty issuer is denied where some are allowed", "T27, R97", allow, `"iss":"",`, deny("claim_denied"))
	row("issuer-case", "issuer is case-sensitive", "T27", allow, `"iss":"Failover",`, deny("claim_denied"))
	const deniedIssuer = `"deny_issuers": ["server-token"]`
	row("issuer-denied", "denied issuer is denied: a long-lived token is revoked so", "R105, T27", deniedIssuer, `"iss":"server-token",`, deny("claim_denied"))
	row("issuer-not-denied", "issuer that is not denied is accepted", "R105, T27", deniedIssuer, `"iss":"other-token",`, pass())
	row("issuer-missing-not-denied", "token without an issuer is accepted where one is denied", "R105, T27", deniedIssuer, ``, pass())

	const annotations = `"deny_annotations": ["rooted", "frida"]`
	row("annotation-denied", "denied annotation is denied", "R98, R149, T27", annotations, `"anno":["rooted"],`, deny("claim_denied"))
	row("annotation-denied-later", "denied annotation behind others is denied", "R98, R149, T27", annotations, `"anno":["debug","emulator","frida"],`, deny("claim_denied"))
	row("annotation-other", "other annotations are accepted", "R98, R149, T27", annotations, `"anno":["debug","xposed"],`, pass())
	row("annotation-case", "annotations are case-sensitive", "T27", annotations, `"anno":["Rooted"],`, pass())
	row("annotation-part", "annotations are compared as a whole", "T27", annotations, `"anno":["rooted-risk"],`, pass())
	row("annotation-escaped", "denied annotation written with escapes is denied", "T27", annotations, `"anno":["r\u006foted"],`, deny("claim_denied"))
	row("annotation-missing", "token without annotations is accepted", "R98, T27", annotations, ``, pass())
	row("annotation-empty", "empty list of annotations is accepted where some are denied", "R98, T27", annotations, `"anno":[],`, pass())

	row("order-binding-first", "wrong binding is found before a denied claim", "T27", annotations+`, "binding": {"from": ["header:Authorization"]}`, `"anno":["rooted"],`, deny("pay_missing"))
	row("order-expired-first", "expiry is found before a denied claim", "T27, T21", audience, `"aud":"x","nbf":1800000100,`, deny("token_not_yet_valid"))
	const cleared = `{"keys": [$account], "deny_annotations": ["rooted"], "audience": "a", "routes": [
		{"name": "own", "paths": ["/own"], "deny_annotations": [], "audience": "b"}, {"name": "inherits", "paths": ["/inherits"]}]}`
	at := func(file, name, path, claims string, w want) {
		g.add("rules/"+file, name, "T27", cleared, send("GET "+path, "Approov-Token: "+g.hs(`{`+claims+`"exp":1800000300}`)), w)
	}
	at("own-cleared", "route clears inherited denied annotations and has its own audience", "/own", `"anno":["rooted"],"aud":"b",`, pass().route("own"))
	at("own-audience", "route with its own audience does not accept the inherited one", "/own", `"aud":"a",`, deny("claim_denied").route("own"))
	at("inherited-denied", "route inherits denied annotations", "/inherits", `"anno":["rooted"],"aud":"a",`, deny("claim_denied").route("inherits"))
	at("inherited-audience", "route inherits the audience", "/inherits", `"aud":"a",`, pass().route("inherits"))
}
