package config

import "testing"

// Each row is a policy with one usable key, the values of doc above it, and its problems.
var rules = []struct {
	name string
	doc  string
	want []string
}{
	{"an empty name is refused", `{"name": ""}`, []string{"name: must have 1 to 100 bytes"}},
	{"a name with a line break is refused", `{"name": "a\nb"}`, []string{"name: must have 1 to 100 bytes"}},
	{"a number where a string is expected is refused", `{"name": 7}`, []string{"name: must be a string, is a number; put it in quotes"}},
	{"keys are matched case-exactly", `{"Mode": "log"}`, []string{"Mode: unknown key; did you mean mode?"}},
	{"check is no value of the whole policy", `{"check": "none"}`, []string{"check: unknown key"}},
	{"null is refused", `{"mode": null}`, []string{"mode: has no value"}},
	{"a mode looser than enforce is fine", `{"mode": "bypass", "routes": [{"mode": "log"}]}`, nil},

	{"a token header with spaces is refused", `{"token": {"header": "Approov Token"}}`, []string{"token.header: is not a header name"}},
	{"an empty token header is refused", `{"token": {"header": ""}}`, []string{"token.header: is empty"}},
	{"a token header that servers fold is refused", `{"token": {"header": "Approov_Token"}}`, []string{"token.header: holds _ or ."}},
	{"Host is no token header", `{"token": {"header": "host"}}`, []string{"token.header: belongs to the connection"}},
	{"a hop-by-hop token header is refused", `{"token": {"header": "Proxy-Authorization"}}`, []string{"token.header: belongs to the connection"}},
	{"the token header cannot be bound", `{"token": {"header": "authorization", "scheme": "Bearer"}, "binding": {"from": "header:Authorization"}}`,
		[]string{"binding.from[0]: is the header that carries the token"}},
	{"an alias of the token header cannot be bound in a route", `{"routes": [{"binding": {"from": ["cookie:a", "header:Approov_Token"]}}]}`,
		[]string{"routes[0].binding.from[1]: is the header that carries the token"}},
	{"an upstream header cannot be the token header", `{"upstream_headers": {"reason": "approov-token"}}`,
		[]string{"upstream_headers.reason: is the same header as token.header"}},
	{"two upstream headers cannot be one", `{"upstream_headers": {"reason": "X-A", "device": "x-a"}}`,
		[]string{"upstream_headers.device: is the same header as upstream_headers.reason"}},
	{"an upstream header name is checked", `{"upstream_headers": {"verdict": "a:b", "device": "Connection"}}`,
		[]string{"upstream_headers.device: belongs to the connection", "upstream_headers.verdict: is not a header name"}},
	{"a scheme of two words is refused", `{"token": {"scheme": "Bearer "}}`, []string{"token.scheme: must be one word"}},
	{"a negative leeway is refused", `{"token": {"leeway": "-1s"}}`, []string{"token.leeway: must be from 0s to 5m0s, is -1s"}},
	{"a leeway above five minutes is refused", `{"token": {"leeway": "5m1s"}}`, []string{"token.leeway: must be from 0s to 5m0s"}},
	{"five minutes of leeway are fine", `{"token": {"leeway": "5m"}}`, nil},
	{"zero needs no unit", `{"token": {"leeway": 0}}`, nil},
	{"max_bytes of 511 is refused", `{"token": {"max_bytes": 511}}`, []string{"token.max_bytes: must be from 512 to 65536, is 511"}},
	{"max_bytes of 65537 is refused", `{"token": {"max_bytes": "65537"}}`, []string{"token.max_bytes: must be from 512 to 65536"}},
	{"max_bytes with a fraction is refused", `{"token": {"max_bytes": 1024.5}}`, []string{"token.max_bytes: must be a whole number"}},
	{"an unknown forward is refused", `{"token": {"forward": "yes"}}`, []string{"token.forward: must be auto or always or never"}},

	{"an unknown target choice is refused", `{"targets": {"encoded_slash": "true", "path_case": "lower"}}`,
		[]string{"targets.encoded_slash: must be refuse or allow", "targets.path_case: must be exact or fold"}},
	{"a rollout above 100 is refused", `{"rollout": 101}`, []string{"rollout: must be from 0 to 100"}},
	{"a negative rollout is refused", `{"routes": [{"rollout": "-1"}]}`, []string{"routes[0].rollout: must be from 0 to 100"}},
	{"an empty allow_issuers is the default", `{"allow_issuers": []}`, nil},
	{"an empty allow_issuers under an inherited one is refused", `{"allow_issuers": ["a"], "routes": [{"allow_issuers": []}]}`,
		[]string{"routes[0].allow_issuers: is empty"}},
	{"an empty entry is refused", `{"deny_issuers": ["a", ""]}`, []string{"deny_issuers[1]: is empty"}},
	{"an issuer both allowed and denied is refused", `{"allow_issuers": "a", "deny_issuers": ["a"]}`,
		[]string{"allow_issuers[0]: an issuer is both allowed and denied"}},
	{"an unknown preflight is refused", `{"preflight": "none"}`, []string{"preflight: must be exempt or check"}},
	{"a status of 200 is refused", `{"respond": {"status": 200}}`, []string{"respond.status: must be from 400 to 499"}},
	{"a status of 500 is refused", `{"respond": {"status": 500}}`, []string{"respond.status: must be from 400 to 499"}},
	{"a content type with a line break is refused", `{"respond": {"content_type": "text/plain\r\nX: y"}}`, []string{"respond.content_type: must be"}},
	{"unknown privacy words are refused", `{"privacy": {"device_id": "none", "ip": "full"}}`,
		[]string{"privacy.device_id: must be hashed or raw", "privacy.ip: must be truncated or raw"}},

	{"a binding without from is refused", `{"binding": {}}`, []string{"binding.from: is missing"}},
	{"a binding from nothing is refused", `{"binding": {"from": []}}`, []string{"binding.from: is empty"}},
	{"a binding that is a list is refused", `{"binding": ["header:A"]}`, []string{"binding: must be a map, is a list"}},
	{"a source without a kind is refused", `{"binding": {"from": "Authorization"}}`, []string{"binding.from[0]: must be header:NAME"}},
	{"a source of an unknown kind is refused", `{"binding": {"from": "body:x"}}`, []string{"binding.from[0]: must begin with"}},
	{"a bad header source is refused", `{"binding": {"from": "header:a b"}}`, []string{"binding.from[0]: is not a header name"}},
	{"Host is no source", `{"binding": {"from": "header:host"}}`, []string{"binding.from[0]: belongs to the connection"}},
	{"a bad cookie source is refused", `{"binding": {"from": "cookie:a=b"}}`, []string{"binding.from[0]: is not a cookie name"}},
	{"an unnamed query source is refused", `{"binding": {"from": "query:"}}`, []string{"binding.from[0]: needs the decoded name"}},
	{"an empty constant is refused", `{"binding": {"from": ["header:a", "const:"]}}`, []string{"binding.from[1]: needs a value"}},
	{"constants alone bind nothing", `{"binding": {"from": ["const:a"]}}`, []string{"binding.from: has only constants"}},
	{"trim_scheme needs a header", `{"binding": {"from": "cookie:a", "trim_scheme": true}}`, []string{"binding.trim_scheme: needs a header: source"}},
	{"absent is reject or a constant", `{"binding": {"from": "header:a", "absent": "none"}}`, []string{"binding.absent: must be reject or const:VALUE"}},
	{"absent needs a value", `{"binding": {"from": "header:a", "absent": "const:"}}`, []string{"binding.absent: must be reject or const:VALUE"}},
	{"missing_pay is one of three", `{"binding": {"from": "header:a", "missing_pay": "allow"}}`, []string{"binding.missing_pay: must be reject or failover or accept"}},

	{"encrypted tokens need a key for them", `{"format": "jwe"}`, []string{"format: accepts encrypted tokens"}},
	{"a route inherits the format's problem once", `{"format": "any", "routes": [{}]}`, []string{"format: accepts encrypted tokens"}},
	{"a route's format needs a key for it", `{"routes": [{"format": "any"}]}`, []string{"routes[0].format: accepts encrypted tokens"}},
	{"a route's keys must open its format", `{"format": "any", "routes": [{"keys": "a"}], "keys": [
		{"name": "a", "alg": "HS256", "secret": "env:A"}, {"name": "b", "alg": "HS256", "secret": "env:B", "jwe": true}]}`,
		[]string{"routes[0].keys: accepts encrypted tokens"}},
	{"a route's empty keys are refused", `{"routes": [{"keys": []}]}`, []string{"routes[0].keys: is empty"}},
	{"a route's unknown key is refused", `{"routes": [{"keys": ["acount"]}]}`, []string{"routes[0].keys[0]: no key has this name; did you mean account?"}},
	{"an unknown check is refused", `{"routes": [{"check": "false"}]}`, []string{"routes[0].check: must be token or none"}},
	{"an exempt route warns of values without effect", `{"routes": [{"check": "none", "paths": "/live", "mode": "log"}]}`,
		[]string{"warning: routes[0].mode: has no effect beside check: none"}},
	{"an exempt route for everything warns", `{"routes": [{"check": "none"}]}`, []string{"warning: routes[0].check: exempts every request"}},

	{"a host with a port is refused", `{"routes": [{"hosts": "a.example:443"}]}`, []string{"routes[0].hosts[0]: must not have a port"}},
	{"a host with a wildcard is refused", `{"routes": [{"hosts": "*.example"}]}`, []string{"routes[0].hosts[0]: must not hold a wildcard"}},
	{"a URL is no host", `{"routes": [{"hosts": "https://a.example"}]}`, []string{"routes[0].hosts[0]: must be a host alone"}},
	{"a host with a user is refused", `{"routes": [{"hosts": "u@a.example"}]}`, []string{"routes[0].hosts[0]: must be a host alone"}},
	{"a host beyond ASCII is refused", `{"routes": [{"hosts": "bücher.example"}]}`, []string{"routes[0].hosts[0]: must be written in ASCII"}},
	{"an empty label is refused", `{"routes": [{"hosts": ["a..b", "."]}]}`,
		[]string{"routes[0].hosts[0]: has a part", "routes[0].hosts[1]: has a part"}},
	{"two hosts in one entry are refused", `{"routes": [{"hosts": "a.example,b.example"}]}`, []string{"routes[0].hosts[0]: may hold only"}},
	{"an IPv6 host with a port is refused", `{"routes": [{"hosts": "[::1]:80"}]}`, []string{"routes[0].hosts[0]: must be an IPv6 address"}},
	{"an IPv6 host with a zone is refused", `{"routes": [{"hosts": "fe80::1%eth0"}]}`, []string{"routes[0].hosts[0]: must be an IPv6 address"}},
	{"a method in lower case is refused", `{"routes": [{"methods": ["post"]}]}`, []string{"routes[0].methods[0]: must be upper case, because methods are compared exactly; write POST"}},
	{"a method wildcard is refused", `{"routes": [{"methods": "*"}]}`, []string{"routes[0].methods[0]: must not be a wildcard"}},
	{"two methods in one entry are refused", `{"routes": [{"methods": "GET,POST"}]}`, []string{"routes[0].methods[0]: is not a method"}},
	{"CONNECT is no method of a route", `{"routes": [{"methods": ["CONNECT"]}]}`, []string{"routes[0].methods[0]: CONNECT is always refused"}},
	{"a relative path is refused", `{"routes": [{"paths": "v1"}]}`, []string{"routes[0].paths[0]: must begin with /"}},
	{"a wildcard inside a path is refused", `{"routes": [{"paths": ["/a/*/b", "/a/*", "/a**"]}]}`, []string{
		"routes[0].paths[0]: may have * only at the end", "routes[0].paths[1]: may have *", "routes[0].paths[2]: may have *"}},
	{"a placeholder is refused", `{"routes": [{"paths": "/a/{id}"}]}`, []string{"routes[0].paths[0]: must not hold a placeholder"}},
	{"an encoded path is refused", `{"routes": [{"paths": "/a%20b"}]}`, []string{"routes[0].paths[0]: must be written decoded"}},
	{"a path with query, fragment, backslash or semicolon is refused", `{"routes": [{"paths": ["/a?b", "/a#b", "/a\\b", "/a;b"]}]}`, []string{
		"routes[0].paths[0]: must be a path alone", "routes[0].paths[1]: must be", "routes[0].paths[2]: must be", "routes[0].paths[3]: must be"}},
	{"a path with control characters is refused", `{"routes": [{"paths": "/a\u0000"}]}`, []string{"routes[0].paths[0]: must be valid UTF-8"}},
	{"two slashes in a path are refused", `{"routes": [{"paths": ["/a//b", "//", "/a//**"]}]}`, []string{
		"routes[0].paths[0]: must not hold //", "routes[0].paths[1]: must not hold //", "routes[0].paths[2]: must not hold //"}},
	{"dot segments are refused", `{"routes": [{"paths": ["/a/../b", "/./**", "/a/.."]}]}`, []string{
		"routes[0].paths[0]: must not hold the segments", "routes[0].paths[1]: must not", "routes[0].paths[2]: must not"}},
	{"dots inside a segment are fine", `{"routes": [{"paths": ["/a/..b", "/.well-known/**"]}]}`, nil},
	{"two paths in one entry get a warning", `{"routes": [{"paths": "/a,/b"}]}`, []string{"warning: routes[0].paths: has an entry with a comma"}},

	{"control documents by URL need keys", `{"control": {"url": "https://c.example/x"}}`, []string{"control.keys: is missing"}},
	{"control keys need a URL", `{"control": {"keys": "file:/k", "ca": "/ca", "token": "env:T"}}`, []string{
		"control.ca: has no effect without control.url or a ring", "control.keys: has no effect without", "control.token: has no effect without"}},
	{"control values that are empty do no harm", `{"control": {"keys": [], "ca": "", "token": "", "cache": "", "seal": "", "file": "", "url": ""}}`, nil},
	{"a control URL is https", `{"control": {"url": "http://c.example", "keys": "file:/k"}}`, []string{"control.url: must be a URL such as https://"}},
	{"a control URL has no user", `{"control": {"url": "https://u:p@c.example/", "keys": "file:/k"}}`, []string{"control.url: must be a URL such as https://"}},
	{"an inline control key is public", `{"control": {"url": "https://c.example", "keys": "inline:x"}}`, nil},
	{"an inline control token warns", `{"control": {"url": "https://c.example", "keys": "inline:x", "token": "inline:y"}}`, []string{"warning: control.token: an inline secret"}},
	{"a seal needs a cache", `{"control": {"seal": "file:/s"}}`, []string{"control.seal: has no effect without cache"}},
	{"a ring needs the keys that sign it", `{"keys": [{"name": "fleet", "ring": "https://c.example/ring"}]}`, []string{"keys[0].ring: needs control.keys"}},
	{"a ring's keys say the rest themselves", `{"keys": [{"name": "fleet", "ring": "https://c.example/ring", "alg": "HS256", "ca": "/x"}], "control": {"keys": "file:/k"}}`,
		[]string{"keys[0].alg: is each key's own in a ring", "keys[0].ca: stands only beside jwks"}},
	{"a ring is behind https", `{"keys": [{"name": "fleet", "ring": "file:/x"}], "control": {"keys": "file:/k"}}`, []string{"keys[0].ring: must be a URL"}},
	{"what is not fetched is not refreshed", `{"keys": [{"name": "a", "alg": "HS256", "secret": "file:/s", "refresh": "5s"}]}`, []string{"keys[0].refresh: stands only beside a URL"}},
	{"the header of the app's version is a header", `{"report": {"app_version": "x y"}}`, []string{"report.app_version: is not a header name"}},
	{"a control file is a plain path", `{"control": {"file": "file:/x"}}`, []string{"control.file: must be a plain path"}},
	{"an interval below a second is refused", `{"control": {"interval": "10ms"}}`, []string{"control.interval: must be from 1s to 1h0m0s"}},
}

func TestRules(t *testing.T) {
	for _, row := range rules {
		t.Run(row.name, func(t *testing.T) {
			_, problems := Decode(withKey(t, row.doc))
			sameProblems(t, problems, row.want)
		})
	}
}

// Each row is the only entry of keys.
var keyRules = []struct {
	name string
	key  string
	want []string
}{
	{"a key needs a name", `{"alg": "HS256", "secret": "env:A"}`, []string{"keys[0].name: is missing"}},
	{"a key needs an alg", `{"name": "a", "secret": "env:A"}`, []string{"keys[0].alg: is missing"}},
	{"a public key needs an alg", `{"name": "a", "public_key": "env:A"}`, []string{"keys[0].alg: is missing"}},
	{"alg none is refused", `{"name": "a", "alg": "none", "secret": "env:A"}`, []string{"keys[0].alg: must be HS256 or"}},
	{"HS384 is refused", `{"name": "a", "alg": "HS384", "secret": "env:A"}`, []string{"keys[0].alg: must be HS256 or"}},
	{"a secret is HS256", `{"name": "a", "alg": "RS256", "secret": "env:A"}`, []string{"keys[0].alg: RS256 needs public_key"}},
	{"a public key is not HS256", `{"name": "a", "alg": "HS256", "public_key": "env:A"}`, []string{"keys[0].alg: HS256 needs secret"}},
	{"a key of nothing is refused", `{"name": "a", "alg": "HS256"}`, []string{"keys[0]: must have exactly one of secret, public_key, jwks and ring; it has 0"}},
	{"a key of two things is refused", `{"name": "a", "alg": "HS256", "secret": "env:A", "public_key": "env:B"}`, []string{"keys[0]: must have exactly one"}},
	{"a public key is fine", `{"name": "a", "alg": "PS256", "public_key": "inline:x", "kid": "1"}`, nil},
	{"a public key has no encoding and no jwe", `{"name": "a", "alg": "PS256", "public_key": "env:B", "jwe": true, "encoding": "raw"}`,
		[]string{"keys[0].encoding: stands only beside secret", "keys[0].jwe: stands only beside secret"}},
	{"a secret has no algs", `{"name": "a", "alg": "HS256", "secret": "env:B", "algs": ["HS256"]}`, []string{"keys[0].algs: stands only beside jwks"}},
	{"a key set needs algs", `{"name": "a", "jwks": "file:k"}`, []string{"keys[0].algs: is missing"}},
	{"a key set needs an entry of algs", `{"name": "a", "jwks": "file:k", "algs": []}`, []string{"keys[0].algs: is missing"}},
	{"a key set's algs are checked", `{"name": "a", "jwks": "file:k", "algs": ["ES256", "none"]}`, []string{"keys[0].algs[1]: must be HS256 or"}},
	{"a key set forbids a single key's fields", `{"name": "a", "jwks": "file:k", "algs": "ES256", "alg": "ES256", "kid": "1", "jwe": true,
		"encoding": "raw", "not_before": "2030-01-31T12:00:00Z", "not_after": "2031-01-31T12:00:00Z"}`, []string{"keys[0].alg: is each",
		"keys[0].encoding: is each", "keys[0].jwe: is each", "keys[0].kid: is each"}},
	{"a key set's URL is https", `{"name": "a", "jwks": "http://k.example/x", "algs": "ES256"}`, []string{"keys[0].jwks: must begin with file:"}},
	{"a key set behind https is fine", `{"name": "a", "jwks": "https://k.example/x", "algs": ["ES256", "RS256"]}`, nil},
	{"a secret's URL is refused", `{"name": "a", "alg": "HS256", "secret": "https://k.example/x"}`, []string{"keys[0].secret: must begin with"}},
	{"secrets in a set come from a file", `{"name": "a", "jwks": "https://k.example/x", "algs": ["HS256"]}`, []string{"keys[0].algs[0]: HS256 is accepted from file:"}},
	{"an empty reference is refused", `{"name": "a", "alg": "HS256", "secret": ""}`, []string{"keys[0].secret: must begin with"}},
	{"a bare path is refused", `{"name": "a", "alg": "HS256", "secret": "/run/secret"}`, []string{"keys[0].secret: must begin with"}},
	{"an unnamed variable is refused", `{"name": "a", "alg": "HS256", "secret": "env:"}`, []string{"keys[0].secret: env: must be followed"}},
	{"a variable with $ is refused", `{"name": "a", "alg": "HS256", "secret": "env:$A"}`, []string{"keys[0].secret: env: must be followed"}},
	{"an empty inline secret is refused", `{"name": "a", "alg": "HS256", "secret": "inline:"}`, []string{"keys[0].secret: inline: is followed by nothing"}},
	{"an inline secret warns", `{"name": "a", "alg": "HS256", "secret": "inline:x"}`, []string{"warning: keys[0].secret: an inline secret"}},
	{"an unknown encoding is refused", `{"name": "a", "alg": "HS256", "secret": "env:A", "encoding": "hex"}`, []string{"keys[0].encoding: must be base64 or base32 or raw"}},
	{"a kid that is a number is refused", `{"name": "a", "alg": "HS256", "secret": "env:A", "kid": 1}`, []string{"keys[0].kid: must be a string, is a number; put it in quotes"}},
	{"a date is no time", `{"name": "a", "alg": "HS256", "secret": "env:A", "not_after": "2030-01-31"}`, []string{"keys[0].not_after: must be an RFC 3339 time"}},
	{"the year 1 is no time", `{"name": "a", "alg": "HS256", "secret": "env:A", "not_after": "0001-01-01T00:00:00Z"}`, []string{"keys[0].not_after: must be an RFC 3339 time"}},
	{"a window that ends as it begins is refused", `{"name": "a", "alg": "HS256", "secret": "env:A",
		"not_before": "2030-01-31T12:00:00Z", "not_after": "2030-01-31T13:00:00+01:00"}`, []string{"keys[0].not_after: must be later than not_before"}},
	{"a misspelt field is named", `{"name": "a", "alg": "HS256", "secret": "env:A", "encodng": "raw"}`, []string{"keys[0].encodng: unknown key; did you mean encoding?"}},
}

func TestKeyRules(t *testing.T) {
	for _, row := range keyRules {
		t.Run(row.name, func(t *testing.T) {
			_, problems := Decode(tree(t, `{"keys": [`+row.key+`]}`))
			sameProblems(t, problems, row.want)
		})
	}
}

func TestAPolicyNeedsAKey(t *testing.T) {
	for name, row := range map[string]struct{ doc, want string }{
		"an empty document has no key": {`{}`, "keys: is missing"},
		"an empty list has no key":     {`{"keys": []}`, "keys: is missing"},
		"null has no key":              {`{"keys": null}`, "keys: has no value"},
		"text is no list of keys":      {`{"keys": "file:/x"}`, "keys: must be a list of maps, is a string"},
		"a map is no list of keys":     {`{"keys": {}}`, "keys: must be a list of maps, is a map"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Decode(tree(t, row.doc))
			sameProblems(t, problems, []string{row.want})
		})
	}
}
