package main

import "strings"

// guarded logs everything but /api/admin and what is below it, which is enforced. A target that a backend
// could read as /api/admin and that is forwarded all the same would show.
const guarded = `{"keys": [$account], "mode": "log", "routes": [{"name": "admin", "paths": ["/api/admin/**"], "mode": "enforce"}]}`

// open exempts /public and what is below it; everything else is enforced.
const open = `{"keys": [$account], "routes": [{"name": "public", "paths": ["/public/**"], "check": "none"}]}`

// refusedTargets are request targets that backends read in different ways, or not at all.
func refusedTargets(g *corpus) {
	row := func(file, name, target string) {
		g.add("targets/refused-"+file, name+" is refused", "T40", guarded, send("GET "+target), refuse())
	}
	row("encoded-slash", "encoded slash", "/api%2fadmin")
	row("encoded-slash-upper-case", "encoded slash in capitals", "/api%2Fadmin")
	row("encoded-slash-dots", "encoded slash behind two dots", "/public/..%2fapi/admin")
	row("encoded-slash-unmatched", "encoded slash where no route is near", "/x%2fy")
	row("semicolon", "semicolon", "/api/admin;x=y")
	row("semicolon-dots", "semicolon behind two dots", "/public/..;/api/admin")
	row("semicolon-encoded", "encoded semicolon", "/api/admin%3bx")
	row("semicolon-encoded-upper-case", "encoded semicolon in capitals", "/api/admin%3Bx")
	row("backslash", "backslash", `/api\admin`)
	row("backslash-dots", "backslash behind two dots", `/public/..\api\admin`)
	row("backslash-encoded", "encoded backslash", "/api%5cadmin")
	row("backslash-encoded-upper-case", "encoded backslash in capitals", "/api%5Cadmin")
	row("nul", "encoded NUL", "/api/admin%00")
	row("nul-suffix", "encoded NUL before an extension", "/api/admin%00.html")
	row("control", "encoded control character", "/api/admin%01")
	row("tab", "encoded tab", "/api/admin%09")
	row("line-end", "encoded line end", "/api/admin%0d%0aX:%20y")
	row("delete", "encoded delete character", "/api/admin%7f")
	row("fragment", "fragment", "/api/admin#x")
	row("fragment-public", "fragment that hides a path", "/public#/../api/admin")
	row("fragment-in-query", "fragment behind a query", "/api/admin?x#y")
	row("above-root", "path above the root", "/../api/admin")
	row("above-root-encoded", "path above the root by escapes", "/%2e%2e/api/admin")
	row("above-root-later", "path above the root further on", "/x/../../api/admin")
	row("overlong-slash", "overlong encoding of a slash", "/api%c0%afadmin")
	row("overlong-dots", "overlong encoding of dots", "/public/%c0%ae%c0%ae/api/admin")
	row("overlong-three", "overlong encoding in three bytes", "/api%e0%80%afadmin")
	row("overlong-four", "overlong encoding in four bytes", "/api%f0%80%80%afadmin")
	row("overlong-raw", "overlong encoding in raw bytes", "/api\xc0\xafadmin")
	row("long-path", "path of 8193 bytes", "/"+strings.Repeat("x", 8192))
	row("star", "star in place of a path", "*")
	row("other-scheme", "target of another scheme", "ftp://api.example.com/api/admin")
	row("authority-form", "authority in place of a path", "api.example.com:80")
	row("no-authority", "absolute target without a host", "http:///api/admin")
	row("userinfo", "absolute target with a user", "http://user:secret@api.example.com/api/admin")
	row("absolute-bad-port", "absolute target with a port out of range", "http://api.example.com:99999/api/admin")
	row("absolute-fragment", "absolute target with a fragment", "http://api.example.com/x#y")
	g.add("targets/refused-options-star", "OPTIONS * is refused", "T43", guarded, send("OPTIONS *"), refuse())
	g.add("targets/refused-options-star-preflight", "OPTIONS * that looks like a preflight is refused", "T43, T56", guarded,
		send("OPTIONS *", "Origin: https://app.example.com", "Access-Control-Request-Method: GET"), refuse())
	g.add("targets/refused-with-token", "ambiguous target is refused with a genuine token too", "T40", guarded, send("GET /api%2fadmin", "Approov-Token: "+g.hs(genuine)), refuse())

	bad := func(file, name, target string) {
		g.add("targets/bad-"+file, name+" is a bad request", "T40", guarded, send("GET "+target), badRequest())
	}
	bad("escape", "escape without hex digits", "/api/%zz")
	bad("escape-short", "escape of one digit", "/api/%2")
	bad("escape-end", "percent sign at the end", "/api/%")
	bad("control-raw", "raw control character", "/api\x01")
	bad("tab-raw", "raw tab", "/api\tadmin")
	bad("delete-raw", "raw delete character", "/api\x7f")
	bad("nul-raw", "raw NUL", "/api\x00")
	bad("space-raw", "raw space", "/api /admin")
	bad("relative", "relative target", "api/admin")
}

// canonicalTargets are spellings of one path: the rule is that of the canonical one, and exactly that is forwarded.
func canonicalTargets(g *corpus) {
	guardedAs := func(file, target string) {
		c := g.add("targets/admin-"+file, "spelling of the guarded path is guarded: "+file, "T40", guarded, send("GET "+target), deny("token_missing").route("admin"))
		c.AllSizes = file == "plain" || file == "slashes" || file == "escaped-letter" || file == "dots-escaped"
	}
	guardedAs("plain", "/api/admin")
	guardedAs("final-slash", "/api/admin/")
	guardedAs("below", "/api/admin/users/7")
	guardedAs("query", "/api/admin?x=1")
	guardedAs("empty-query", "/api/admin?")
	guardedAs("slashes", "//api//admin")
	guardedAs("many-slashes", "///api////admin///")
	guardedAs("dot", "/./api/./admin/.")
	guardedAs("dots", "/public/../api/admin")
	guardedAs("dots-inside", "/api/x/../admin")
	guardedAs("dots-behind", "/api/admin/x/..")
	guardedAs("dots-and-slashes", "/public//..///api//admin")
	guardedAs("dot-escaped", "/api/%2e/admin")
	guardedAs("dots-escaped", "/public/%2e%2e/api/admin")
	guardedAs("dots-escaped-upper-case", "/public/%2E%2E/api/admin")
	guardedAs("dots-half-escaped", "/public/.%2e/api/admin")
	guardedAs("escaped-letter", "/%61pi/adm%69n")
	guardedAs("escaped-everything", "/%61%70%69/%61%64%6d%69%6e")
	guardedAs("space-below", "/api/admin/%20")
	guardedAs("double-escape-below", "/api/admin/%252e%252e/%252e%252e/public")
	guardedAs("absolute", "http://api.example.com/api/admin")
	guardedAs("absolute-slashes", "HTTP://API.example.com//api/%61dmin")
	guardedAs("absolute-https", "https://api.example.com/api/admin")

	canonical := func(file, target, forwarded string) {
		g.add("targets/canonical-"+file, "target is forwarded in its one form: "+file, "T40, T41", guarded, send("GET "+target), logged("token_missing").route("-").target(forwarded))
	}
	for _, row := range [][3]string{
		{"root", "/", "/"}, {"slashes-only", "////", "/"}, {"slashes", "//x///y", "/x/y"}, {"slashes-authority", "//evil.example.com/x", "/evil.example.com/x"},
		{"final-slash", "/x/", "/x/"}, {"final-slashes", "/x//", "/x/"}, {"dot", "/x/./y", "/x/y"}, {"dot-final", "/x/.", "/x/"}, {"dots", "/x/../y", "/y"},
		{"dots-final", "/x/y/..", "/x/"}, {"dots-to-root", "/x/..", "/"}, {"admin-left", "/api/admin/../x", "/api/x"}, {"admin-left-escaped", "/api/admin/%2e%2e/x", "/api/x"},
		{"three-dots", "/x/.../y", "/x/.../y"}, {"hidden", "/.hidden", "/.hidden"}, {"dots-behind-name", "/x../y", "/x../y"},
		{"tilde", "/%7euser", "/~user"}, {"unreserved", "/%41%7A%30%2D%5F", "/Az0-_"}, {"escape-upper-cased", "/%c3%a9", "/%C3%A9"}, {"raw-utf8", "/\xc3\xa9", "/%C3%A9"},
		{"raw-latin1", "/\xe9", "/%E9"}, {"colon", "/a:b", "/a:b"}, {"colon-escaped", "/a%3ab", "/a%3Ab"}, {"plus", "/a+b", "/a+b"}, {"plus-escaped", "/a%2bb", "/a%2Bb"},
		{"sub-delims", "/!$&'()*,=@", "/!$&'()*,=@"}, {"quote", `/a"b`, "/a%22b"}, {"angle", "/<a>", "/%3Ca%3E"}, {"pipe", "/a|b", "/a%7Cb"}, {"caret", "/a^b", "/a%5Eb"},
		{"backquote", "/a`b", "/a%60b"}, {"braces", "/{a}", "/%7Ba%7D"}, {"brackets", "/a[b]", "/a%5Bb%5D"}, {"hash-escaped", "/a%23b", "/a%23b"}, {"question-escaped", "/a%3fb", "/a%3Fb"},
		{"percent-escaped", "/100%25", "/100%25"}, {"double-escape", "/%252e%252e/x", "/%252e%252e/x"}, {"double-slash-escape", "/api%252fadmin", "/api%252fadmin"},
		{"fullwidth-slash", "/api%ef%bc%8fadmin", "/api%EF%BC%8Fadmin"}, {"kelvin-sign", "/%e2%84%aa", "/%E2%84%AA"}, {"decomposed", "/cafe%cc%81", "/cafe%CC%81"}, {"composed", "/caf%c3%a9", "/caf%C3%A9"},
		{"not-utf8", "/%ff%fe", "/%FF%FE"}, {"long", "/" + strings.Repeat("x", 8191), "/" + strings.Repeat("x", 8191)}, {"absolute", "http://api.example.com/x", "/x"},
		{"absolute-empty", "http://api.example.com", "/"}, {"absolute-query", "http://api.example.com?x=1", "/?x=1"}, {"absolute-port", "http://api.example.com:8080/x?y", "/x?y"},
		// Not the guarded path, however near.
		{"prefix-of-name", "/api/administrator", "/api/administrator"}, {"name-with-dots", "/api/admin..", "/api/admin.."}, {"extension", "/api/admin.json", "/api/admin.json"},
		{"other-case", "/api/Admin", "/api/Admin"}, {"other-case-first", "/API/admin", "/API/admin"}, {"name-with-space", "/api/admin%20", "/api/admin%20"}, {"parent", "/api", "/api"}, {"in-query", "/x?/api/admin", "/x?/api/admin"},
	} {
		canonical(row[0], row[1], row[2])
	}
	queries(g)
}

// queries are forwarded byte for byte.
func queries(g *corpus) {
	for _, row := range [][2]string{
		{"plain", "a=1&b=2"}, {"empty", ""}, {"semicolon", "a=1;b=2"}, {"bad-escape", "a=%zz&b=%"}, {"slashes", "next=/../api//admin/./"}, {"encoded-slash", "a=%2f%2F%5c"},
		{"encoded-nul", "a=%00"}, {"plus", "q=a+b%20c"}, {"duplicate", "a=1&a=2&a"}, {"question", "a=b?c=d?"}, {"raw-utf8", "q=\xc3\xa9"}, {"odd", `a="<>|{}[]^` + "`" + `\`},
		{"ampersands", "&&a&&"}, {"many", strings.Repeat("a&", 10001)},
	} {
		g.add("targets/query-"+row[0], "query is forwarded byte for byte: "+row[0], "T40", strict,
			send("GET /v1/items?"+row[1], "Approov-Token: "+g.hs(genuine)), pass().target("/v1/items?"+row[1]))
	}
}

// publicTargets try to reach guarded resources through an exempt route, and the other way about.
func publicTargets(g *corpus) {
	row := func(file, name, target string, w want) {
		c := g.add("targets/public-"+file, name, "T40, T41, T44", open, send("GET "+target), w)
		c.AllSizes = file == "itself" || file == "left" || file == "prefix-of-name"
	}
	row("itself", "exempt path needs no token", "/public", unchecked("exempt").route("public"))
	row("below", "path below the exempt one needs no token", "/public/css/site.css", unchecked("exempt").route("public").target("/public/css/site.css"))
	row("entered", "path that resolves to the exempt one needs no token", "/api/../public/x", unchecked("exempt").target("/public/x"))
	row("left", "path that leaves the exempt one needs a token", "/public/../api/admin", deny("token_missing").route("-"))
	row("left-escaped", "path that leaves the exempt one by escapes needs a token", "/public/%2e%2e/api/admin", deny("token_missing"))
	row("left-slashes", "path that leaves the exempt one through double slashes needs a token", "/public//../api/admin", deny("token_missing"))
	row("left-encoded-slash", "encoded slash behind the exempt path is refused", "/public/..%2fapi/admin", refuse())
	row("left-semicolon", "semicolon behind the exempt path is refused", "/public/..;/api/admin", refuse())
	row("left-backslash", "backslash behind the exempt path is refused", `/public/..\api\admin`, refuse())
	row("left-fragment", "fragment behind the exempt path is refused", "/public#x", refuse())
	row("prefix-of-name", "name that begins like the exempt one needs a token", "/publicx", deny("token_missing"))
	row("name-with-dots", "exempt name with dots behind it needs a token", "/public..", deny("token_missing"))
	row("other-case", "exempt name in capitals needs a token", "/PUBLIC/x", deny("token_missing"))
	row("in-query", "exempt path in the query needs a token", "/api/admin?/public/", deny("token_missing"))
	row("double-escape", "doubly escaped dots stay below the exempt path", "/public/%252e%252e/api", unchecked("exempt").target("/public/%252e%252e/api"))
	row("parent", "parent of the exempt path needs a token", "/", deny("token_missing"))
}
