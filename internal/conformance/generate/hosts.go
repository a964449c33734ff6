package main

// byHost enforces one host and logs all others.
const byHost = `{"keys": [$account], "mode": "log", "routes": [{"name": "api", "hosts": ["api.example.com"], "mode": "enforce"}]}`

// hosts are the cases about the Host header and the authority of absolute targets (RFC 9110 §7.2, RFC 9112 §3.2).
func hosts(g *corpus) {
	sized := map[string]bool{"plain": true, "capitals": true, "final-dot": true, "port": true, "sub-domain": true, "other": true}
	same := func(file, host, forwarded string) {
		g.add("hosts/same-"+file, "spelling of the enforced host is enforced: "+file, "T42", byHost, send("GET /x", "Host: "+host), deny("token_missing").route("api")).AllSizes = sized[file]
		g.add("hosts/forwarded-"+file, "host is forwarded in its one form: "+file, "T42", byHost,
			send("GET /x", "Host: "+host, "Approov-Token: "+g.hs(genuine)), pass().route("api").host(forwarded))
	}
	same("plain", "api.example.com", "api.example.com")
	same("capitals", "API.Example.COM", "api.example.com")
	same("final-dot", "api.example.com.", "api.example.com")
	same("port", "api.example.com:8443", "api.example.com:8443")
	same("port-80", "api.example.com:80", "api.example.com:80")
	same("port-empty", "api.example.com:", "api.example.com")
	same("everything", "API.EXAMPLE.com.:8443", "api.example.com:8443")

	other := func(file, host string) {
		g.add("hosts/other-"+file, "other host is not the enforced one: "+file, "T42", byHost, send("GET /x", "Host: "+host), logged("token_missing").route("-")).AllSizes = sized[file]
	}
	other("other", "www.example.com")
	other("parent", "example.com")
	other("sub-domain", "v1.api.example.com")
	other("suffix", "xapi.example.com")
	other("prefix", "api.example.com.evil.test")
	other("longer", "api.example.community")
	other("hyphen", "api-example.com")
	other("underscore", "api_.example.com")
	other("punycode", "xn--example-.com")
	other("ipv4", "127.0.0.1")
	other("ipv6", "[::1]:8080")
	other("localhost", "localhost")

	refusedHosts(g)
	absoluteHosts(g)
	literalHosts(g)
}

// refusedHosts are hosts that nobody can be reached at, or that servers read in different ways.
func refusedHosts(g *corpus) {
	refused := func(file, name, host string) {
		g.add("hosts/refused-"+file, name+" is refused", "T42", byHost, send("GET /x", "Host: "+host), refuse())
	}
	refused("empty-label", "host with an empty part", "api..example.com")
	refused("leading-dot", "host with a leading dot", ".api.example.com")
	refused("two-final-dots", "host with two final dots", "api.example.com..")
	refused("dot", "host that is a dot", ".")
	refused("port-range", "port out of range", "api.example.com:65536")
	refused("port-letters", "port with letters", "api.example.com:80x")
	refused("two-ports", "two ports", "api.example.com:80:80")
	refused("port-alone", "port without a host", ":80")
	refused("zone", "IPv6 address with a zone", "[fe80::1%25eth0]")
	refused("bracket-open", "IPv6 address without its closing bracket", "[::1")
	refused("bracket-text", "text behind an IPv6 address", "[::1]x")
	refused("bracket-name", "name in brackets", "[api.example.com]")
	refused("ipv6-bare", "IPv6 address without brackets", "2001:db8::1")
	refused("comma", "two hosts joined by a comma", "api.example.com,www.example.com")
	refused("semicolon", "host with a semicolon", "api.example.com;x")
	refused("percent", "host with an escape", "api%2eexample.com")
	refused("star", "star in place of a host", "*")
	g.add("hosts/refused-empty", "empty host is refused where routes name hosts", "T42", byHost, send("GET /x", "Host:"), refuse())
	g.add("hosts/refused-none", "HTTP/1.0 request without a host is refused where routes name hosts", "T42", byHost, send("GET /x HTTP/1.0", noHost), refuse())
	g.add("hosts/none", "HTTP/1.0 request without a host is checked where no route names hosts", "T42", strict, send("GET /x HTTP/1.0", noHost), deny("token_missing"))

	bad := func(file, name string, headers ...string) {
		g.add("hosts/bad-"+file, name+" is a bad request", "T42", byHost, send("GET /x", headers...), badRequest())
	}
	bad("missing", "HTTP/1.1 request without a host", noHost)
	bad("two", "request with two hosts", "Host: api.example.com", "Host: www.example.com")
	bad("two-same", "request with the same host twice", "Host: api.example.com", "Host: api.example.com")
	bad("user", "host with a user", "Host: user@api.example.com")
	bad("path", "host with a path", "Host: api.example.com/x")
	bad("space", "host with a space", "Host: api.example.com www.example.com")
	bad("non-ascii", "host that is not ASCII", "Host: \xc3\xa4pi.example.com")
	bad("slash-colon", "host with a scheme", "Host: http://api.example.com")

}

// absoluteHosts are absolute targets, whose authority replaces the Host header (RFC 9112 §3.2.2), and headers by
// which clients claim another host.
func absoluteHosts(g *corpus) {
	g.add("hosts/absolute-enforced", "host of an absolute target is the one that counts", "T42", byHost, send("GET http://api.example.com/x", "Host: www.example.com"), deny("token_missing").route("api"))
	g.add("hosts/absolute-other", "Host header beside an absolute target does not count", "T42", byHost, send("GET http://www.example.com/x", "Host: api.example.com"),
		logged("token_missing").route("-").host("www.example.com").target("/x"))
	g.add("hosts/absolute-capitals", "host of an absolute target is forwarded in its one form", "T42", byHost,
		send("GET http://API.example.com.:8080/x", "Approov-Token: "+g.hs(genuine)), pass().route("api").host("api.example.com:8080"))
	for _, header := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "Forwarded"} {
		value := "www.example.com"
		if header == "Forwarded" {
			value = "host=www.example.com"
		}
		g.add("hosts/claimed-"+header, header+" does not choose the host", "T42, T54", byHost, send("GET /x", header+": "+value), deny("token_missing").route("api"))
	}
}

// literalHosts are addresses in place of names, and hosts in policies.
func literalHosts(g *corpus) {
	const literal = `{"keys": [$account], "mode": "log", "routes": [{"name": "v6", "hosts": ["[2001:db8::1]"], "mode": "enforce"}, {"name": "v4", "hosts": ["192.0.2.7"], "mode": "enforce"}]}`
	g.add("hosts/ipv6-short", "IPv6 host in its short form matches", "T42", literal, send("GET /x", "Host: [2001:db8::1]"), deny("token_missing").route("v6"))
	g.add("hosts/ipv6-long", "IPv6 host in its long form matches", "T42", literal, send("GET /x", "Host: [2001:DB8:0:0:0:0:0:1]:443"), deny("token_missing").route("v6"))
	g.add("hosts/ipv6-forwarded", "IPv6 host is forwarded in its short form", "T42", literal, send("GET /x", "Host: [2001:DB8:0::1]:443", "Approov-Token: "+g.hs(genuine)), pass().route("v6").host("[2001:db8::1]:443"))
	g.add("hosts/ipv4", "IPv4 host matches", "T42", literal, send("GET /x", "Host: 192.0.2.7:8080"), deny("token_missing").route("v4"))
	const spelt = `{"keys": [$account], "mode": "log", "routes": [{"name": "api", "hosts": ["www.example.net", "API.Example.COM."], "mode": "enforce"}]}`
	g.add("hosts/pattern-capitals", "host of a route may be written in capitals and with a final dot", "T42", spelt, send("GET /x"), deny("token_missing").route("api")).AllSizes = true
}
