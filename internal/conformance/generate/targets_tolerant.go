package main

// tolerantTargets are the cases under policies that allow what is refused by default: every reading of the target
// must then fall under one route.
func tolerantTargets(g *corpus) {
	const routes = `"keys": [$account], "routes": [{"name": "open", "paths": ["/open/**"], "check": "none"}, {"name": "logged", "paths": ["/logged"], "mode": "log"}]`
	slash := `{"targets": {"encoded_slash": "allow"}, ` + routes + `}`
	semicolon := `{"targets": {"semicolon": "allow"}, ` + routes + `}`
	both := `{"targets": {"semicolon": "allow", "encoded_slash": "allow"}, ` + routes + `}`
	fold := `{"targets": {"path_case": "fold"}, ` + routes + `}`
	row := func(file, name, policy, target string, w want) {
		g.add("targets/tolerant-"+file, name, "T40", policy, send("GET "+target), w)
	}
	token := "Approov-Token: " + g.hs(genuine)
	g.add("targets/tolerant-slash-forwarded", "allowed encoded slash is forwarded as one", "T40", slash, send("GET /v1/files/a%2fb", token), pass().target("/v1/files/a%2Fb"))
	row("slash-inside", "allowed encoded slash inside one route falls under it", slash, "/open/a%2Fb", unchecked("exempt").target("/open/a%2Fb"))
	row("slash-entering", "allowed encoded slash is refused where reading it enters a route", slash, "/open%2Fx", refuse())
	row("slash-leaving", "allowed encoded slash is refused where reading it leaves a route", slash, "/open/..%2Fsecret", refuse())
	row("slash-leaving-escaped", "allowed encoded slash with escaped dots is refused where it leaves a route", slash, "/open/%2e%2e%2fsecret", refuse())
	row("slash-above-root", "allowed encoded slash is refused where reading it leaves the root", slash, "/..%2F..%2Fx", refuse())
	row("slash-semicolon", "semicolon is refused where only the encoded slash is allowed", slash, "/open/a;b", refuse())
	g.add("targets/tolerant-semicolon-forwarded", "allowed semicolon is forwarded as it is", "T40", semicolon, send("GET /v1/items;v=1", token), pass().target("/v1/items;v=1"))
	g.add("targets/tolerant-semicolon-escaped", "allowed encoded semicolon is forwarded as one", "T40", semicolon, send("GET /v1/items%3bv=1", token), pass().target("/v1/items%3Bv=1"))
	row("semicolon-inside", "allowed semicolon inside one route falls under it", semicolon, "/open/a;v=1/b", unchecked("exempt").target("/open/a;v=1/b"))
	row("semicolon-entering", "allowed semicolon is refused where dropping parameters enters a route", semicolon, "/open;x/y", refuse())
	row("semicolon-leaving", "allowed semicolon is refused where dropping parameters leaves a route", semicolon, "/open/..;/secret", refuse())
	row("semicolon-leaving-escaped", "allowed encoded semicolon is refused where dropping parameters leaves a route", semicolon, "/open/..%3b/secret", refuse())
	row("semicolon-exact", "allowed semicolon is refused where dropping parameters meets an exact path", semicolon, "/logged;x", refuse())
	row("both-leaving", "allowed semicolon and slash together are refused where they leave a route", both, "/open/..;x%2fsecret", refuse())
	row("both-inside", "allowed semicolon and slash inside one route fall under it", both, "/open/a;x%2fb", unchecked("exempt"))

	row("fold-same", "path in capitals matches where case does not count", fold, "/OPEN/x", unchecked("exempt").route("open").target("/OPEN/x"))
	row("fold-mixed", "path in mixed case matches where case does not count", fold, "/LoGGed", logged("token_missing").route("logged"))
	row("fold-escaped", "escaped capital matches where case does not count", fold, "/%4fpen/x", unchecked("exempt").target("/Open/x"))
	row("fold-long-s", "long s, which folds to s only in Unicode, is refused near a route", `{"targets": {"path_case": "fold"}, "keys": [$account], "routes": [{"name": "s", "paths": ["/s"], "check": "none"}]}`, "/%c5%bf", refuse())
	row("fold-kelvin", "Kelvin sign, which folds to k only in Unicode, is refused near a route", `{"targets": {"path_case": "fold"}, "keys": [$account], "routes": [{"name": "k", "paths": ["/k"], "check": "none"}]}`, "/%e2%84%aa", refuse())
	row("fold-pattern", "route in capitals matches a path in small letters where case does not count", `{"targets": {"path_case": "fold"}, "keys": [$account], "routes": [{"name": "open", "paths": ["/Open/**"], "check": "none"}]}`, "/open/x", unchecked("exempt"))
	row("exact-pattern", "route in capitals does not match a path in small letters by default", `{"keys": [$account], "routes": [{"name": "open", "paths": ["/Open/**"], "check": "none"}]}`, "/open/x", deny("token_missing"))
}

// methods are the cases about request methods (RFC 9110 §9).
func methods(g *corpus) {
	const reads = `{"keys": [$account], "routes": [{"name": "reads", "methods": ["GET"], "check": "none"}, {"name": "files", "paths": ["/files/**"], "methods": ["PUT", "DELETE"], "mode": "log"}]}`
	token := "Approov-Token: " + g.hs(genuine)
	row := func(file, name, policy, line string, w want, headers ...string) {
		c := g.add("targets/method-"+file, name, "T43", policy, send(line, headers...), w)
		c.AllSizes = file == "get" || file == "head" || file == "post" || file == "lower-case-route"
	}
	row("get", "GET falls under the route for GET", reads, "GET /x", unchecked("exempt").route("reads"))
	row("head", "HEAD falls under the route for GET", reads, "HEAD /x", unchecked("exempt").route("reads"))
	row("post", "POST does not fall under the route for GET", reads, "POST /x", deny("token_missing").route("-"))
	row("second", "second method of a list matches", reads, "DELETE /files/1", logged("token_missing").route("files"))
	row("lower-case-route", "method in small letters is refused where its capitals have another rule", reads, "get /x", refuse())
	row("mixed-case-route", "method in mixed case is refused where its capitals have another rule", reads, "Put /files/1", refuse())
	row("lower-case-same", "method in small letters is checked where its capitals have the same rule", reads, "patch /x", deny("token_missing"))
	row("lower-case-no-methods", "method in small letters is forwarded where no route names methods", strict, "get /x", pass(), token)
	row("unknown", "unknown method is checked like any other", strict, "FROBNICATE /x", deny("token_missing"))
	row("unknown-genuine", "unknown method is forwarded with a genuine token", strict, "FROBNICATE /x", pass(), token)
	row("trace", "TRACE needs a token", strict, "TRACE /x", deny("token_missing"))
	row("options", "OPTIONS that is no preflight needs a token", strict, "OPTIONS /x", deny("token_missing"))
	row("connect", "CONNECT is refused", strict, "CONNECT api.example.com:443", refuse().status(405), token)
	row("connect-path", "CONNECT with a path is refused", strict, "CONNECT /x", refuse().status(405), token)
	row("connect-log", "CONNECT is refused in log mode", `{"keys": [$account], "mode": "log"}`, "CONNECT api.example.com:443", refuse().status(405))
	for file, header := range map[string]string{
		"override": "X-HTTP-Method-Override", "override-short": "X-HTTP-Method", "override-other": "X-Method-Override", "override-alias": "X_HTTP_Method_Override",
	} {
		row(file, header+" is refused where the other method has another rule", reads, "GET /x", refuse(), header+": DELETE")
		row(file+"-same", header+" is forwarded where the other method has the same rule", reads, "POST /x", pass(), header+": PATCH", token)
		row(file+"-none", header+" is forwarded where no route names methods", strict, "POST /x", pass(), header+": DELETE", token)
	}
	row("override-lower-case", "override in small letters is read as its capitals", reads, "POST /x", refuse(), "X-HTTP-Method-Override: get")
	row("override-repeated", "every one of several overrides counts", reads, "POST /x", refuse(), "X-HTTP-Method-Override: PATCH", "X-HTTP-Method-Override: GET")
}
