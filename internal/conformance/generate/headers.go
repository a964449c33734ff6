package main

// device is the did of the genuine token.
const device = "ExampleApproovTokenDID=="

var claimed = []string{"X-Approov-Verdict: pass", "X-Approov-Reason: ok", "X-Approov-Device: forged"}

// spoofedHeaders are requests that carry the headers by which the gate tells the backend its verdict, or names
// that some backends fold into them.
func spoofedHeaders(g *corpus) {
	token := "Approov-Token: " + g.hs(genuine)
	row := func(file, name, policy string, w want, headers ...string) {
		g.add("headers/"+file, name, "T53", policy, send("GET /v1/items", headers...), w)
	}
	all := func(value string) []string {
		return []string{"X-Approov-Verdict=" + value, "X-Approov-Reason=" + value, "X-Approov-Device=" + value}
	}
	verdict := []string{"X-Approov-Verdict=pass", "X-Approov-Reason=ok", "X-Approov-Device=" + device}
	row("verdict", "backend is told the verdict, the reason and the device", strict, pass().with(verdict...), token)
	row("verdict-replaced", "client's copies of the verdict are replaced", strict, pass().with(verdict...), append(claimed, token)...)
	row("verdict-repeated", "several copies of the verdict are replaced by one", strict, pass().with(verdict...), append(claimed, "X-Approov-Verdict: pass", "x-approov-verdict: fail", token)...)
	row("device-absent", "device is not claimed for a token without one", strict, pass().with("X-Approov-Verdict=pass", "X-Approov-Device=absent"),
		append(claimed, "Approov-Token: "+g.hs(`{"exp":1800000300}`))...)
	for file, alias := range map[string]string{
		"underscore": "X_Approov_Verdict", "dot": "X.Approov.Verdict", "mixed": "X-Approov_Verdict", "small": "x_approov.verdict", "device": "X_Approov_Device", "reason": "X.Approov-Reason",
	} {
		row("alias-"+file, alias+" is never forwarded", strict, pass().with(append(verdict, alias+"=absent")...), alias+": pass", token)
		row("alias-log-"+file, alias+" is not forwarded in log mode", `{"keys": [$account], "mode": "log"}`, logged("token_missing").with(alias+"=absent"), alias+": pass")
	}
	row("near-name", "header with a longer name than ours is forwarded", strict, pass().with("X-Approov-Verdicts=mine", "X-Approov=mine"), "X-Approov-Verdicts: mine", "X-Approov: mine", token)
	row("approov-others", "Approov's other headers are forwarded", strict, pass().with("Approov-Traceid=abc", "Approov-Status=success"), "Approov-TraceID: abc", "Approov-Status: success", token)
	row("log-fail", "nothing is added, and copies are deleted, for a fail in log mode", `{"keys": [$account], "mode": "log"}`, logged("token_missing").with(all("absent")...), claimed...)
	row("log-pass", "nothing is added, and copies are deleted, for a pass in log mode", `{"keys": [$account], "mode": "log"}`, pass().with(all("absent")...), append(claimed, token)...)
	row("bypass", "nothing is added, and copies are deleted, in bypass mode", `{"keys": [$account], "mode": "bypass"}`, unchecked("bypassed").with(all("absent")...), claimed...)
	row("exempt", "exempt request is told apart from a pass", `{"keys": [$account], "routes": [{"name": "open", "paths": ["/v1/items"], "check": "none"}]}`,
		unchecked("exempt").with("X-Approov-Verdict=none", "X-Approov-Reason=exempt", "X-Approov-Device=absent"), append(claimed, token)...)
	row("rollout", "nothing is added for a device that is not enforced yet", `{"keys": [$account], "rollout": 0}`, logged("token_missing").mode("log").with(all("absent")...), claimed...)
	g.add("headers/preflight", "preflight is told apart from a pass", "T53, T56", strict,
		send("OPTIONS /v1/items", append(claimed, "Origin: https://app.example.com", "Access-Control-Request-Method: GET")...),
		unchecked("preflight").with("X-Approov-Verdict=none", "X-Approov-Reason=preflight", "X-Approov-Device=absent"))

	// A did that cannot stand in a header must neither end it nor make the backend's side refuse the request.
	for file, did := range map[string]string{"nul": `a\u0000b`, "line-end": `a\r\nX-Admin: yes`, "delete": `a\u007fb`} {
		g.add("headers/device-"+file, "did with a control character is not sent to the backend: "+file, "T53, T81", strict,
			get(g.hs(`{"did":"`+did+`","exp":1800000300}`)), pass().with("X-Approov-Verdict=pass", "X-Approov-Device=absent", "X-Admin=absent"))
	}

	const named = `{"keys": [$account], "upstream_headers": {"verdict": "x-gate-verdict", "reason": "", "device": "X-Gate-Device"}}`
	row("own-names", "verdict travels in headers of the policy's choice", named, pass().with("X-Gate-Verdict=pass", "X-Gate-Device="+device, "X-Approov-Verdict=absent", "X-Approov-Reason=absent"), token)
	row("own-names-replaced", "client's copies under the policy's names are replaced", named, pass().with("X-Gate-Verdict=pass", "X-Gate-Device="+device, "X_Gate_Verdict=absent"),
		"X-Gate-Verdict: fail", "X_Gate_Verdict: pass", "X-Gate-Device: forged", token)
	row("own-names-default", "default names are not ours where the policy has others", named, pass().with("X-Approov-Verdict=mine"), "X-Approov-Verdict: mine", token)

	claims(g)
}

// claims are headers by which clients claim to be, or to ask for, something else.
func claims(g *corpus) {
	for file, header := range map[string]string{
		"original-url": "X-Original-URL: /public/x", "rewrite-url": "X-Rewrite-URL: /public/x", "forwarded-uri": "X-Forwarded-Uri: /public/x", "forwarded-prefix": "X-Forwarded-Prefix: /public",
		"forwarded-method": "X-Forwarded-Method: OPTIONS", "forwarded-proto": "X-Forwarded-Proto: https", "real-ip": "X-Real-IP: 127.0.0.1", "client-ip": "True-Client-IP: 127.0.0.1",
		"forwarded-for": "X-Forwarded-For: 127.0.0.1", "forwarded": "Forwarded: for=127.0.0.1;host=localhost", "forwarded-port": "X-Forwarded-Port: 443",
	} {
		g.add("headers/claimed-"+file, header+" does not get round the check", "T54", open, send("GET /api/admin", header), deny("token_missing").route("-"))
	}
	g.add("headers/claimed-for-rollout", "X-Forwarded-For does not choose the side of a rollout", "T54", `{"keys": [$account], "rollout": 50}`,
		send("GET /", "X-Forwarded-For: 192.0.2.1"), deny("token_missing").mode("enforce")).Peer = "192.0.2.4:1234"
	for file, header := range map[string]string{"kubernetes": "User-Agent: kube-probe/1.30", "elb": "User-Agent: ELB-HealthChecker/2.0", "google": "User-Agent: GoogleHC/1.0"} {
		g.add("headers/health-"+file, header+" does not get round the check", "T55", strict, send("GET /", header), deny("token_missing"))
	}
	for file, path := range map[string]string{"health": "/health", "healthz": "/healthz", "live": "/live", "ready": "/ready", "metrics": "/metrics", "control": "/control"} {
		g.add("headers/path-"+file, path+" is not exempt on the data port", "T55", strict, send("GET "+path), deny("token_missing"))
	}
}

// preflights are the cases about CORS preflights (Fetch Standard, "CORS-preflight fetch"), which carry no token.
func preflights(g *corpus) {
	const origin, asked = "Origin: https://app.example.com", "Access-Control-Request-Method: POST"
	row := func(file, name, policy, request string, w want) {
		g.add("headers/preflight-"+file, name, "T56", policy, request, w)
	}
	preflight := send("OPTIONS /v1/items", origin, asked, "Access-Control-Request-Headers: approov-token")
	row("true", "true preflight needs no token", strict, preflight, unchecked("preflight"))
	row("length-zero", "preflight with an empty body needs no token", strict, send("OPTIONS /v1/items", origin, asked, "Content-Length: 0"), unchecked("preflight"))
	row("no-origin", "OPTIONS without Origin is no preflight", strict, send("OPTIONS /v1/items", asked), deny("token_missing"))
	row("no-method", "OPTIONS without Access-Control-Request-Method is no preflight", strict, send("OPTIONS /v1/items", origin), deny("token_missing"))
	row("empty-method", "OPTIONS with an empty Access-Control-Request-Method is no preflight", strict, send("OPTIONS /v1/items", origin, "Access-Control-Request-Method:"), deny("token_missing"))
	row("empty-origin", "OPTIONS with an empty Origin is no preflight", strict, send("OPTIONS /v1/items", "Origin:", asked), deny("token_missing"))
	row("two-origins", "OPTIONS with two Origins is no preflight", strict, send("OPTIONS /v1/items", origin, "Origin: https://evil.test", asked), deny("token_missing"))
	row("two-methods", "OPTIONS with two Access-Control-Request-Methods is no preflight", strict, send("OPTIONS /v1/items", origin, asked, asked), deny("token_missing"))
	row("body", "OPTIONS with a body is no preflight", strict, send("OPTIONS /v1/items", origin, asked, "Content-Length: 2")+"{}", deny("token_missing"))
	row("chunked", "OPTIONS with a chunked body is no preflight", strict, send("OPTIONS /v1/items", origin, asked, "Transfer-Encoding: chunked")+"0\r\n\r\n", deny("token_missing"))
	row("override", "OPTIONS that asks for another method is no preflight", strict, send("OPTIONS /v1/items", origin, asked, "X-HTTP-Method-Override: DELETE"), deny("token_missing"))
	row("override-alias", "OPTIONS that asks for another method under an alias is no preflight", strict, send("OPTIONS /v1/items", origin, asked, "X_Http_Method_Override: DELETE"), deny("token_missing"))
	row("post", "POST with the headers of a preflight is none", strict, send("POST /v1/items", origin, asked), deny("token_missing"))
	row("small", "options in small letters is no preflight", strict, send("options /v1/items", origin, asked), deny("token_missing"))
	row("expired", "token in a preflight does not count", strict, send("OPTIONS /v1/items", origin, asked, "Approov-Token: "+g.hs(expired)), unchecked("preflight"))
	row("target", "preflight with an ambiguous target is refused", strict, send("OPTIONS /v1%2fitems", origin, asked), refuse())
	row("exempt-route", "preflight on an exempt route is exempt", `{"keys": [$account], "routes": [{"name": "open", "paths": ["/v1/**"], "check": "none"}]}`, preflight, unchecked("exempt"))
	row("bypass", "preflight in bypass mode is bypassed", `{"keys": [$account], "mode": "bypass"}`, preflight, unchecked("bypassed"))
	row("log", "preflight in log mode is a preflight", `{"keys": [$account], "mode": "log"}`, preflight, unchecked("preflight").mode("log"))
	const check = `{"keys": [$account], "preflight": "check"}`
	row("check", "preflight needs a token where the policy says so", check, preflight, deny("token_missing"))
	row("check-genuine", "preflight with a genuine token passes where the policy asks for one", check, send("OPTIONS /v1/items", origin, asked, "Approov-Token: "+g.hs(genuine)), pass())
}

// connections are the cases about headers that belong to the connection (RFC 9110 §7.6.1, §7.8).
func connections(g *corpus) {
	token := "Approov-Token: " + g.hs(genuine)
	verdict := []string{"X-Approov-Verdict=pass", "X-Approov-Reason=ok", "X-Approov-Device=" + device}
	row := func(file, name, about string, w want, headers ...string) {
		g.add("headers/connection-"+file, name, about, strict, send("GET /v1/items", headers...), w)
	}
	row("verdict", "verdict arrives although Connection names it", "T52", pass().with(verdict...), "Connection: X-Approov-Verdict", token)
	row("verdict-small", "verdict arrives although Connection names it in small letters", "T52", pass().with(verdict...), "connection: close, x-approov-verdict, x-approov-reason,x-approov-device", token)
	row("verdict-second-line", "verdict arrives although a second Connection line names it", "T52", pass().with(verdict...), "Connection:", "Connection: X-Approov-Verdict", token)
	row("token", "token counts although Connection names it", "T52", pass().with("Approov-Token=absent"), "Connection: Approov-Token", token)
	row("token-missing", "Connection that names the token does not replace it", "T52", deny("token_missing"), "Connection: Approov-Token")
	row("named", "header that Connection names does not reach the backend", "T52", pass().hop("X-Hop=absent", "X-Stays=1"), "Connection: x-hop", "X-Hop: 1", "X-Stays: 1", token)
	row("fixed", "hop-by-hop headers do not reach the backend", "T52", pass().hop("Keep-Alive=absent", "Proxy-Authorization=absent", "Te=absent"), "Keep-Alive: timeout=5", "Proxy-Authorization: Basic eA==", "TE: gzip", token)
	g.add("headers/connection-binding", "bound header counts although Connection names it", "T52", authorization,
		get(g.bound(login), "Connection: Authorization", "Authorization: "+login), pass())
	g.add("headers/connection-host-routes", "Connection that names Host changes no rule", "T52, T42", byHost, send("GET /x", "Connection: Host"), deny("token_missing").route("api"))

	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}
	row("websocket-missing", "WebSocket without a token is denied before the upgrade", "T57", deny("token_missing"), upgrade...)
	row("websocket-expired", "WebSocket with an expired token is denied before the upgrade", "T57", deny("token_expired"), append(upgrade, "Approov-Token: "+g.hs(expired))...)
	row("websocket", "WebSocket with a genuine token is forwarded with its upgrade", "T57", pass().with("Upgrade=websocket"), append(upgrade, token)...)
	h2c := []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}
	row("h2c-missing", "h2c upgrade without a token is denied", "T57", deny("token_missing"), h2c...)
	row("h2c", "h2c upgrade is never forwarded, the request is", "T57", pass().hop("Upgrade=absent", "Http2-Settings=absent"), append(h2c, token)...)
	row("h2c-capitals", "H2C upgrade in capitals is never forwarded", "T57", pass().hop("Upgrade=absent"), "Connection: Upgrade", "Upgrade: H2C", token)
	row("h2c-hidden", "h2c upgrade behind another is never forwarded", "T57", pass().hop("Upgrade=absent"), "Connection: Upgrade", "Upgrade: websocket, h2c", token)
	row("event-stream", "event stream with a genuine token is forwarded", "T57", pass().with("Accept=text/event-stream"), "Accept: text/event-stream", token)
	row("grpc", "gRPC call without a token is denied", "T57", deny("token_missing"), "Content-Type: application/grpc", "TE: trailers")
	row("keep-alive", "HTTP/1.1 keep-alive changes no verdict", "T52", pass(), "Connection: keep-alive", token)
}
