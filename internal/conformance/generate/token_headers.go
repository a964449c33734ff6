package main

// tokenHeaders are the cases about the header that carries the token.
func tokenHeaders(g *corpus) {
	token := g.hs(genuine)
	g.add("token/missing", "request without a token is denied", "R113, hw", strict, send("GET /v1/items"), deny("token_missing").body(`{"error":"unauthorized"}`))
	g.add("token/empty", "empty token header is denied", "R47, R113", strict, send("GET /v1/items", "Approov-Token:"), deny("token_empty"))
	g.add("token/blank", "token header of spaces is denied as empty", "R113", strict, send("GET /v1/items", "Approov-Token:    "), deny("token_empty"))
	g.add("token/surrounding-space", "white space around the token does not count", "T51", strict, send("GET /v1/items", "Approov-Token: \t "+token+" \t"), pass())
	g.add("token/lower-case-name", "name of the token header is case-insensitive", "T51", strict, send("GET /v1/items", "approov-token: "+token), pass())
	g.add("token/upper-case-name", "name of the token header may be in capitals", "T51", strict, send("GET /v1/items", "APPROOV-TOKEN: "+token), pass())

	repeated := func(file, name string, lines ...string) {
		g.add("token/"+file, name+" are denied", "T50", strict, send("GET /v1/items", lines...), deny("token_repeated"))
	}
	repeated("repeated-same", "two identical token headers", "Approov-Token: "+token, "Approov-Token: "+token)
	repeated("repeated-other", "a genuine and a forged token header", "Approov-Token: "+token, "Approov-Token: "+g.foreign(genuine))
	repeated("repeated-empty-first", "an empty and a genuine token header", "Approov-Token:", "Approov-Token: "+token)
	repeated("repeated-empty-last", "a genuine and an empty token header", "Approov-Token: "+token, "Approov-Token:")
	repeated("repeated-case", "two token headers in different letter case", "Approov-Token: "+token, "approov-TOKEN: "+token)
	g.add("token/comma-joined", "two tokens joined by a comma are denied", "T50", strict, get(token+","+token), deny("algorithm_refused"))
	g.add("token/comma-behind", "token with a comma behind it is denied", "T50", strict, get(token+","), deny("signature_invalid"))
	g.add("token/in-trailer", "token in a trailer does not count", "T50", strict,
		send("POST /v1/items", "Transfer-Encoding: chunked", "Trailer: Approov-Token")+"2\r\nok\r\n0\r\nApproov-Token: "+token+"\r\n\r\n", deny("token_missing"))
	g.add("token/in-query", "token in the query does not count", "R113", strict, send("GET /v1/items?Approov-Token="+token), deny("token_missing"))
	g.add("token/in-cookie", "token in a cookie does not count", "R113", strict, send("GET /v1/items", "Cookie: Approov-Token="+token), deny("token_missing"))
	g.add("token/in-authorization", "token in another header does not count", "R113", strict, send("GET /v1/items", "Authorization: Bearer "+token), deny("token_missing"))

	aliases(g, token)
	statusWords(g)
	schemes(g, token)
	publishedTokens(g)
}

// aliases are names that some servers fold into that of the token header.
func aliases(g *corpus, token string) {
	for file, name := range map[string]string{"underscore": "Approov_Token", "dot": "Approov.Token"} {
		g.add("token/alias-"+file, name+" is never read as the token", "T51", strict, send("GET /v1/items", name+": "+token), deny("token_missing"))
		g.add("token/alias-beside-"+file, name+" beside the token is not forwarded", "T51", strict,
			send("GET /v1/items", name+": x", "Approov-Token: "+token), pass().with(name+"=absent", "Approov-Token=absent"))
	}
	g.add("token/alias-space", "space before the header's colon is a bad request", "T51", strict, send("GET /v1/items", "Approov-Token : "+token), badRequest())
	g.add("token/value-nul", "NUL in the token header is a bad request", "T51", strict, get(token+"\x00"), badRequest())
	g.add("token/value-folded", "token folded over two lines is denied", "T51", strict,
		send("GET /v1/items", "Approov-Token: "+token[:8]+"\r\n "+token[8:]), deny("token_malformed"))
	g.add("token/value-non-ascii", "token with a non-ASCII byte is denied", "T51", strict, get("\xe9"+token), deny("token_malformed"))
}

// statusWords are what apps send in place of a token they could not fetch (manual, "Fetching Approov Tokens").
func statusWords(g *corpus) {
	for file, word := range map[string]string{
		"no-network": "NO_NETWORK", "poor-network": "POOR_NETWORK", "mitm-detected": "MITM_DETECTED", "no-approov-service": "NO_APPROOV_SERVICE", "rejected": "REJECTED",
		"unknown-url": "UNKNOWN_URL", "small": "no_network", "untrusted-network": "untrusted_network", "camel": "noApproovService",
	} {
		g.add("token/status-"+file, "status word "+word+" in place of a token is denied as such", "R46, R56", strict, get(word), deny("token_status"))
	}
	g.add("token/status-loggable", "loggable form of a status is denied as such", "R103, R56", strict, get(`{"error":"POOR_NETWORK"}`), deny("token_status"))
	g.add("token/status-unknown", "unknown word in place of a token is malformed", "R113", strict, get("HELLO"), deny("token_malformed"))
	g.add("token/status-with-dot", "status word with a dot is malformed", "R113", strict, get("NO_NETWORK."), deny("token_malformed"))
	g.add("token/loggable", "loggable token is no token", "R102, R56", strict, get(`{"did":"ExampleApproovTokenDID==","exp":1800000300,"sip":"AbCd-_"}`), deny("token_malformed"))
}

// schemes are the cases about token.scheme and token.header, as the Kong quickstart and web APIs use them.
func schemes(g *corpus, token string) {
	const bearer = `{"token": {"scheme": "Bearer"}, "keys": [$account]}`
	g.add("token/scheme-genuine", "Bearer scheme is stripped where the policy names it", "kong, R12", bearer, get("Bearer "+token), pass())
	g.add("token/scheme-case", "scheme is case-insensitive", "kong", bearer, get("bEARER "+token), pass())
	g.add("token/scheme-spaces", "several spaces may follow the scheme", "kong", bearer, get("Bearer   "+token), pass())
	g.add("token/scheme-missing", "token without the required scheme is denied", "R12", bearer, get(token), deny("token_malformed"))
	g.add("token/scheme-other", "token with another scheme is denied", "R12", bearer, get("Basic "+token), deny("token_malformed"))
	g.add("token/scheme-no-space", "scheme must be followed by a space", "R12", bearer, get("Bearer"+token), deny("token_malformed"))
	g.add("token/scheme-tab", "scheme followed by a tab is denied", "R12", bearer, get("Bearer\t"+token), deny("token_malformed"))
	g.add("token/scheme-twice", "scheme is stripped once only", "R12", bearer, get("Bearer Bearer "+token), deny("token_malformed"))
	g.add("token/scheme-alone", "scheme without a token is an empty token", "R47", bearer, get("Bearer"), deny("token_empty"))
	g.add("token/scheme-status", "status word behind the scheme is denied as such", "R56", bearer, get("Bearer NO_NETWORK"), deny("token_status"))
	g.add("token/scheme-not-configured", "Bearer before the token is denied where the policy names no scheme", "kong, R12", strict, get("Bearer "+token), deny("token_malformed"))
	g.add("token/scheme-expired", "expired token behind the scheme is denied", "kong, T21", bearer, get("Bearer "+g.hs(expired)), deny("token_expired"))

	const authorization = `{"token": {"header": "authorization", "scheme": "Bearer"}, "keys": [$account]}`
	g.add("token/header-authorization", "token may travel in Authorization", "R12", authorization, send("GET /v1/items", "Authorization: Bearer "+token), pass().with("Authorization=absent"))
	g.add("token/header-authorization-other", "Approov-Token does not count where the policy names another header", "R12", authorization, get(token), deny("token_missing"))
	const custom = `{"token": {"header": "x-approov-token"}, "keys": [$account]}`
	g.add("token/header-custom", "token may travel in a header of the policy's choice", "R12", custom, send("GET /v1/items", "X-Approov-Token: "+token), pass().with("X-Approov-Token=absent"))
}

// publishedTokens re-create the kinds of Approov's published requests that need no binding, with the manual's
// example secret and the float exp that the published ones have.
func publishedTokens(g *corpus) {
	const policy = `{"keys": [$manual]}`
	sign := func(claims string) string { return g.sign("HS256", g.keys.manual, hs256Header, claims) }
	const long = `{"exp":4708683205.891912}`
	g.add("token/published-valid", "published kind: valid token with a float exp is accepted", "hw, sh, gw, kong, nginx, aspnet, T20", policy, get(sign(long)), pass().key("manual"))
	g.add("token/published-missing", "published kind: no token is denied", "hw, sh, gw, kong, nginx, aspnet", policy, send("GET /v1/items"), deny("token_missing"))
	g.add("token/published-malformed", "published kind: malformed token is denied", "hw, aspnet", policy, get("adasdasdsadasd"), deny("token_malformed"))
	g.add("token/published-bad-signature", "published kind: unexpired token with a wrong signature is denied", "hwcurl-01", policy, get(g.foreign(long)), deny("signature_invalid"))
	g.add("token/published-bad-signature-expired", "published kind: wrong signature and expired is a wrong signature: denied", "hw-04, hw-12, kong-05, T11", policy, get(g.foreign(`{"exp":1555083349.3777623}`)), deny("signature_invalid"))
	g.add("token/published-expired", "published kind: expired token is denied", "hw, aspnet, T21", policy, get(sign(`{"exp":1555083349.3777623}`)), deny("token_expired"))
	g.add("token/published-exp-empty", "published kind: empty exp is denied", "hw-06, T20", policy, get(sign(`{"exp":""}`)), deny("claim_invalid"))
	g.add("token/published-exp-missing", "published kind: token without exp is denied", "hw-14, T20", policy, get(sign(`{"iss":"approov.io"}`)), deny("exp_missing"))
	g.add("token/published-full", "published kind: full token with aud, iss, sub and iat is accepted", "aspnet", policy,
		get(sign(`{"arc":"IXPSB7TRK26LXE3M","aud":"approov.io","did":"ExampleApproovTokenDID==","exp":4708683205,"iat":1700000000,"ip":"1.2.3.4","iss":"account.approov.io","sub":"approov|ExampleApproovTokenDID=="}`)), pass())
	g.add("token/published-failover", "failover token with nothing but exp is accepted", "R18, R107", policy, get(sign(`{"exp":1800000300}`)), pass())
	g.add("token/published-long-lived", "long-lived token with exp and iss is accepted", "R105", policy, get(sign(`{"exp":1807776000,"iss":"server-token"}`)), pass())
	g.add("token/published-kid", "token with a kid is accepted by a key without one", "nginx, kong", policy,
		get(g.sign("HS256", g.keys.manual, `{"alg":"HS256","kid":"0001","typ":"JWT"}`, long)), pass())
}
