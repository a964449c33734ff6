package main

// modes are enforce, log and bypass, for the whole policy and for single routes.
func modes(g *corpus) {
	genuineToken, expiredToken := g.hs(genuine), g.hs(expired)
	withMode := func(mode string) string { return `{"keys": [$account], "mode": "` + mode + `"}` }
	row := func(file, name, policy, request string, w want) {
		g.add("modes/"+file, name, "R114, R115, F18", policy, request, w)
	}
	row("enforce-default", "enforce is the default mode", strict, send("GET /"), deny("token_missing").mode("enforce"))
	row("enforce-explicit", "enforce rejects a fail", withMode("enforce"), get(expiredToken), deny("token_expired").mode("enforce"))
	row("log-pass", "log mode reports a pass", withMode("log"), get(genuineToken), pass().mode("log").key("account"))
	for _, fail := range []struct{ file, request, reason string }{
		{"missing", send("GET /"), "token_missing"}, {"empty", send("GET /", "Approov-Token:"), "token_empty"}, {"status", get("NO_NETWORK"), "token_status"},
		{"repeated", send("GET /", "Approov-Token: a", "Approov-Token: b"), "token_repeated"}, {"malformed", get("x.y.z"), "token_malformed"},
		{"algorithm", get(g.headed(`{"alg":"none"}`)), "algorithm_refused"}, {"forged", get(g.foreign(genuine)), "signature_invalid"},
		{"expired", get(expiredToken), "token_expired"}, {"exp-missing", get(g.hs(`{}`)), "exp_missing"}, {"claim", get(g.hs(`{"exp":"x"}`)), "claim_invalid"},
	} {
		row("log-"+fail.file, "log mode reports and forwards: "+fail.reason+" ("+fail.file+")", withMode("log"), fail.request, logged(fail.reason).mode("log"))
		row("bypass-"+fail.file, "bypass mode does not look at the token: "+fail.file, withMode("bypass"), fail.request, unchecked("bypassed").mode("bypass"))
	}
	row("log-binding", "log mode reports and forwards a wrong binding", `{"keys": [$account], "mode": "log", "binding": {"from": ["header:Authorization"]}}`,
		get(g.bound("other"), "Authorization: "+login), logged("binding_mismatch").mode("log").with("Authorization="+login))
	row("bypass-genuine", "bypass mode does not look at a genuine token either", withMode("bypass"), get(genuineToken), unchecked("bypassed").key("-"))

	row("log-target", "ambiguous target is refused in log mode too", withMode("log"), send("GET /a%2fb"), refuse())
	row("log-host", "ambiguous host is refused in log mode too", withMode("log"), send("GET /", "Host: a..b"), refuse())
	row("bypass-target", "bypass of the whole gate forwards an ambiguous target as it is", withMode("bypass"), send("GET /a;b"), unchecked("bypassed").target("/a;b"))
	row("bypass-connect", "bypass of the whole gate forwards an encoded slash as it is", withMode("bypass"), send("GET /a%2fb?x=%zz"), unchecked("bypassed").target("/a%2fb?x=%zz"))

	const mixed = `{"keys": [$account], "routes": [
		{"name": "logged", "paths": ["/logged/**"], "mode": "log"},
		{"name": "bypassed", "paths": ["/bypassed/**"], "mode": "bypass"},
		{"name": "open", "paths": ["/open/**"], "check": "none"}]}`
	row("route-log", "route's mode wins over the policy's: log", mixed, send("GET /logged/x"), logged("token_missing").mode("log").route("logged"))
	row("route-bypass", "route's mode wins over the policy's: bypass", mixed, send("GET /bypassed/x"), unchecked("bypassed").mode("bypass").route("bypassed"))
	row("route-open", "exempt route is forwarded in every mode", mixed, send("GET /open/x"), unchecked("exempt").route("open"))
	row("route-none", "request without a route has the policy's mode", mixed, send("GET /x"), deny("token_missing").mode("enforce").route("-"))
	row("route-bypass-target", "ambiguous target is refused although a route is bypassed", mixed, send("GET /bypassed/a%2fb"), refuse())
	const loose = `{"keys": [$account], "mode": "bypass", "routes": [{"name": "strict", "paths": ["/strict/**"], "mode": "enforce"}, {"name": "inherits", "paths": ["/inherits/**"]}]}`
	row("route-enforce", "route's mode wins over the policy's: enforce", loose, send("GET /strict/x"), deny("token_missing").mode("enforce").route("strict"))
	row("route-inherits", "route without a mode has the policy's", loose, send("GET /inherits/x"), unchecked("bypassed").mode("bypass").route("inherits"))
	row("route-enforce-target", "ambiguous target is refused where one route is enforced", loose, send("GET /strict%2fx"), refuse())
	const exemptAndBypass = `{"keys": [$account], "mode": "bypass", "routes": [{"name": "open", "paths": ["/open/**"], "check": "none"}]}`
	row("bypass-exempt-target", "ambiguous target is forwarded where all is bypassed or exempt", exemptAndBypass, send("GET /open/..;/x"), unchecked("bypassed").target("/open/..;/x"))
	row("bypass-exempt", "exempt route stays exempt in bypass mode", exemptAndBypass, send("GET /open/x"), unchecked("exempt").route("open"))
}

// rollouts enforce a share of devices: those whose number is below the percentage. The number of a device is the
// first four bytes of the SHA-256 of "did:" and its did, modulo 100; without a verified did it is that of "ip:"
// and the client's address. It must be the same on every gate and in every release, or devices change sides.
func rollouts(g *corpus) {
	device := func(did, exp string) string { return get(g.hs(`{"did":"` + did + `","exp":` + exp + `}`)) }
	percent := func(n string) string { return `{"keys": [$account], "rollout": ` + n + `}` }
	row := func(file, name, policy, request string, w want) {
		g.add("modes/rollout-"+file, name, "R115", policy, request, w)
	}
	row("none-fail", "nobody is enforced at 0 percent", percent("0"), send("GET /"), logged("token_missing").mode("log"))
	row("none-pass", "pass is logged at 0 percent", percent("0"), get(g.hs(genuine)), pass().mode("log").with("X-Approov-Verdict=absent", "Approov-Token=present"))
	row("all-fail", "everybody is enforced at 100 percent", percent("100"), send("GET /"), deny("token_missing").mode("enforce"))
	row("low-expired", "device number 33 is enforced at 50 percent", percent("50"), device("device-4", "1799999999"), deny("token_expired").mode("enforce"))
	row("low-pass", "pass of device number 33 is enforced at 50 percent", percent("50"), device("device-4", "1800000300"), pass().mode("enforce").with("X-Approov-Verdict=pass", "Approov-Token=absent"))
	row("high-expired", "device number 81 is logged at 50 percent", percent("50"), device("ExampleApproovTokenDID==", "1799999999"), logged("token_expired").mode("log"))
	row("high-pass", "pass of device number 81 is logged at 50 percent", percent("50"), device("ExampleApproovTokenDID==", "1800000300"), pass().mode("log").with("X-Approov-Verdict=absent", "Approov-Token=present"))
	row("low-at-number", "device number 33 is logged at 33 percent", percent("33"), device("device-4", "1799999999"), logged("token_expired").mode("log"))
	row("low-above-number", "device number 33 is enforced one percent above", percent("34"), device("device-4", "1799999999"), deny("token_expired").mode("enforce"))
	row("claim", "device is known although its token is denied later", `{"keys": [$account], "rollout": 50, "audience": "a"}`, device("ExampleApproovTokenDID==", "1800000300"), logged("claim_denied").mode("log"))
	byAddress := func(file, name, peer string, request string, w want) {
		g.add("modes/rollout-address-"+file, name, "R115, T54", percent("50"), request, w).Peer = peer
	}
	byAddress("low", "address number 39 without a token is enforced at 50 percent", "192.0.2.4:4711", send("GET /"), deny("token_missing").mode("enforce"))
	byAddress("low-port", "address number 39 is enforced from every port", "192.0.2.4:9", send("GET /"), deny("token_missing").mode("enforce"))
	byAddress("high", "address number 99 without a token is logged at 50 percent", "192.0.2.1:4711", send("GET /"), logged("token_missing").mode("log"))
	byAddress("forged", "did of a forged token does not choose the side", "192.0.2.4:4711", get(g.foreign(`{"did":"ExampleApproovTokenDID==","exp":1800000300}`)), deny("signature_invalid").mode("enforce"))
	row("log", "rollout does not make log mode stricter", `{"keys": [$account], "mode": "log", "rollout": 100}`, send("GET /"), logged("token_missing").mode("log"))
	row("route", "rollout of a route is its own", `{"keys": [$account], "rollout": 0, "routes": [{"name": "all", "paths": ["/all"], "rollout": 100}]}`, send("GET /all"), deny("token_missing").mode("enforce"))
	row("inherited", "rollout of the policy is inherited", `{"keys": [$account], "rollout": 0, "routes": [{"name": "some", "paths": ["/some"]}]}`, send("GET /some"), logged("token_missing").mode("log").route("some"))
	row("target", "ambiguous target is refused at 0 percent", percent("0"), send("GET /a%2fb"), refuse())
}

// forwarding is token.forward in every mode: whether the backend sees the token.
func forwarding(g *corpus) {
	token := g.hs(genuine)
	for _, f := range []struct{ forward, enforce, log, bypass string }{
		{"auto", "absent", "present", "present"}, {"always", "present", "present", "present"}, {"never", "absent", "absent", "absent"},
	} {
		policy := func(mode string) string {
			return `{"token": {"forward": "` + f.forward + `"}, "keys": [$account], "mode": "` + mode + `"}`
		}
		row := func(mode, verdict string, request string, w want, seen string) {
			g.add("modes/forward-"+f.forward+"-"+mode+"-"+verdict, "token is "+seen+" to the backend: forward "+f.forward+", "+mode+", "+verdict, "T82", policy(mode), request, w.with("Approov-Token="+seen))
		}
		row("enforce", "pass", get(token), pass(), f.enforce)
		row("log", "pass", get(token), pass(), f.log)
		row("log", "fail", get(g.hs(expired)), logged("token_expired"), f.log)
		row("bypass", "unchecked", get(token), unchecked("bypassed"), f.bypass)
	}
	g.add("modes/forward-value", "token that is kept arrives unchanged", "T82", `{"token": {"forward": "always"}, "keys": [$account]}`, get(token), pass().with("Approov-Token="+token))
	g.add("modes/forward-repeated", "repeated token headers are kept as they are in log mode", "T50", `{"keys": [$account], "mode": "log"}`,
		send("GET /", "Approov-Token: a", "Approov-Token: b"), logged("token_repeated").with("Approov-Token=a, b"))
	g.add("modes/forward-alias", "aliases of the token header go even where the token is kept", "T51", `{"token": {"forward": "always"}, "keys": [$account]}`,
		get(token, "Approov_Token: x", "approov.token: y"), pass().with("Approov-Token="+token, "Approov_Token=absent", "Approov.Token=absent"))
	g.add("modes/forward-bound-header", "bound header is forwarded", "R99", authorization, get(g.bound(login), "Authorization: "+login), pass().with("Authorization="+login))
}

// responses are what a rejected client is told: the same for every reason.
func responses(g *corpus) {
	const constant = `{"error":"unauthorized"}`
	row := func(file, name, about, policy, request string, w want) {
		g.add("modes/respond-"+file, name, about, policy, request, w)
	}
	row("missing", "body does not tell a missing token", "T83", strict, send("GET /"), deny("token_missing").body(constant))
	row("forged", "body does not tell a forged token", "T83", strict, get(g.foreign(genuine)), deny("signature_invalid").body(constant))
	row("expired", "body does not tell an expired token", "T83", strict, get(g.hs(expired)), deny("token_expired").body(constant))
	row("binding", "body does not tell a wrong binding", "T83", authorization, get(g.bound("other"), "Authorization: "+login), deny("binding_mismatch").body(constant))
	row("target", "body does not tell an ambiguous target", "T83", strict, send("GET /a%2fb"), refuse().body(constant))
	row("status", "status of a rejection is the policy's", "R113, sh", `{"keys": [$account], "respond": {"status": 403}}`, send("GET /"), deny("token_missing").status(403))
	row("status-target", "ambiguous target is a bad request whatever the policy's status", "T40", `{"keys": [$account], "respond": {"status": 403}}`, send("GET /a%2fb"), refuse())
	row("status-400", "status of a rejection may be 400", "sh", `{"keys": [$account], "respond": {"status": 400, "body": "{}"}}`, send("GET /"), deny("token_missing").status(400).body("{}"))
	row("body", "body of a rejection is the policy's", "kong, nginx", `{"keys": [$account], "respond": {"body": "{}"}}`, send("GET /"), deny("token_missing").body("{}"))
	row("head", "rejection of HEAD has a status", "T83", strict, send("HEAD /"), deny("token_missing"))
	row("post", "rejection of POST does not wait for the body", "T83", strict, send("POST /", "Content-Length: 5", "Expect: 100-continue")+"hello", deny("token_missing").body(constant))
	row("post-genuine", "POST with a genuine token is forwarded with its body", "R113", strict, send("POST /v1/items", "Content-Length: 5", "Approov-Token: "+g.hs(genuine))+"a\r\nb\n", pass().with("Content-Length=5"))
}
