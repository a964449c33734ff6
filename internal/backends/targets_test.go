package backends

import (
	"net/url"
	"strings"
)

// joints are what may stand where two segments of a path meet.
var joints = []string{
	"/", "//", "///", "/./", "/././", "/%2e/", "/%2E/", "/../", "/%2e%2e/", "/.%2e/", "/..;/", "/.;/", "/..%3b/", "/;/", "/;p=1/", ";p/", ";p=1;q/", "%3bp/",
	"%2f", "%2F", "%252f", "%25%32%66", "%5c", "\\", "%5C", "%255c", "%c0%af", "%c1%9c", "%e0%80%af", "%f0%80%80%af", "%ef%bc%8f", "%e2%88%95", "\u2215", "\uff0f",
	"/..%2f", "/%2e%2e%2f", "/..%252f", "/%252e%252e/", "/..%5c", "/..\\", "/..%c0%af", "%2f..%2f", "%2f%2e%2e/", "%2f/", "/%2f", "/..%00/", "%00/", "%0a/", "%0d%0a/",
	"/ /", "/%20/", "/%09/", "/\t/", "..//", "../", "/...//", "/~/../", "/a/../", "/a/%2e%2e/", "/a;b/../", "/a%2fb/../", "/a%2f..%2f", "/a/..;/", "/a%2fb/..;/..%2f",
	"?/../", "%3f/../", "#/../", "%23/../", "&/../", "/:80/", "/@/../", "/%u002e%u002e/", "/%uff0e/", "/\x80/", "/\x7f/",
}

// tails are what may follow a path.
var tails = []string{
	"", "/", "//", "/.", "/./", "/..", "/../", ".", "..", "%20", " ", "+", "\t", "%09", "?", "?x=1", "?/../../public/page", "#", "#x", "%23", "%23x", "%3f", ";", ";x", ";x=/..",
	"%3b", "%2f", "%5c", "\\", "%00", "%0a", "%", "%2", "%zz", "~", "*", ":", "::$DATA", ".json", "%c0%80", "%ff", "\x80", "%e2%80%8b", "&", "?;", "/;", "/..;/admin",
}

// cases are spellings of one path that readers who ignore letter case, or Unicode's forms, may take for it.
var cases = []string{
	"/API/ADMIN", "/Api/Admin", "/api/adMin", "/%41PI/admin", "/%61pi/%61dmin", "/ap%69/admin", "/api/adm%c4%b1n", "/api/adm%c4%b0n", "/api/\u0131dmin",
	"/api/%e2%84%aaeys/1", "/api/\u212aeys/1", "/api/key%c5%bf/1", "/API/KEYS/1", "/api/caf%c3%a9", "/api/cafe%cc%81", "/api/caf%C3%89", "/API/caf\u00c9", "/api/caf\u00e9",
	"/api/CAFE\u0301", "/\uff41pi/admin", "/%ef%bd%81pi/admin", "/api/caf%e9",
}

// forms are targets that are not a path, or not only one.
var forms = []string{
	"http://api.example.com/api/admin", "http://api.example.com/public/../api/admin", "http://api.example.com//api/admin", "HTTP://API.EXAMPLE.COM/api/admin",
	"https://api.example.com/api/admin", "http://other.example/api/admin", "http://user@api.example.com/api/admin", "http://api.example.com:80/api/admin",
	"http://api.example.com", "http://api.example.com?/api/admin", "http://api.example.com#/api/admin", "http:///api/admin", "http:/api/admin", "http:api/admin",
	"ftp://api.example.com/api/admin", "//api.example.com/api/admin", "//public/../api/admin", "*", "", "?", "?/api/admin", "#", "api/admin", "api.example.com:80",
	"\\api\\admin", "/\\api/admin", ".", "..", "/..", "/../api/admin", "/%2e%2e/api/admin", "/api../admin", "/api..;/admin", "/api.;/admin", "/public../api/admin",
}

// spellings are all targets of the matrix: for the protected paths, for the public one, and for ways from
// the public one to the protected ones.
func spellings() []string {
	seen := map[string]bool{}
	var all []string
	add := func(targets ...string) {
		for _, target := range targets {
			if !seen[target] {
				seen[target] = true
				all = append(all, target)
			}
		}
	}
	for _, joint := range joints {
		add(joint+"api/admin", "/api"+joint+"admin", "/api"+joint+"keys/1", "/public"+joint+"page", joint+"public/page")
		add("/public"+joint+"api/admin", "/public/page"+joint+"api/admin", "/public"+joint+joint+"api/admin", "/public"+joint+"api"+joint+"admin",
			"/public/a"+joint+"../../api/admin", "/public/a/b"+joint+joint+joint+"api/admin", "/api/admin"+joint+"public/page", "/api/other"+joint+"admin")
	}
	for _, tail := range tails {
		add("/api/admin"+tail, "/public/page"+tail, "/api/keys"+tail, "/public"+tail+"/../api/admin")
	}
	add(cases...)
	add(forms...)
	add("/"+url.PathEscape("api/admin"), "/"+strings.ReplaceAll("api/admin", "a", "%61"))
	add(long()...)
	return all
}

// long are targets near the limits of what is read.
func long() []string {
	return []string{
		"/public/" + strings.Repeat("a", 8100) + "/../../api/admin", "/public" + strings.Repeat("/.", 4000) + "/../api/admin",
		"/public/" + strings.Repeat("a/", 900) + strings.Repeat("../", 901) + "api/admin", "/" + strings.Repeat("/", 8000) + "api/admin",
		"/public/" + strings.Repeat("%2e%2e/", 2) + "api/admin" + strings.Repeat("/.", 3500), "/api/admin?" + strings.Repeat("a&", 10001),
		"/public/page?" + strings.Repeat("a&", 10001) + "/../api/admin", "/api/admin/" + strings.Repeat("a", 9000),
	}
}
