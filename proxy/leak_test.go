package proxy

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/mint"
)

// boundValue is what every request below carries where its route looks for bound data.
const boundValue = "Bearer bound-value-of-the-leak-test"

// leakPolicy has every binding source and tells clients as much as a policy can.
func leakPolicy(mode string) map[string]any {
	bind := func(source string) map[string]any { return map[string]any{"from": []any{source}} }
	return map[string]any{
		"mode": mode, "respond": map[string]any{"details": true},
		"routes": []any{
			map[string]any{"name": "header", "paths": []any{"/header"}, "binding": bind("header:Authorization")},
			map[string]any{"name": "cookie", "paths": []any{"/cookie"}, "binding": bind("cookie:session")},
			map[string]any{"name": "query", "paths": []any{"/query"}, "binding": bind("query:key")},
			map[string]any{"name": "jwe", "paths": []any{"/jwe"}, "format": "jwe"},
		},
	}
}

// TestNothingSecretIsTold sends good and hostile requests at debug level, to upstreams good and bad, and
// looks for tokens, secrets and bound values in everything the gate says.
func TestNothingSecretIsTold(t *testing.T) {
	bound := validToken(t, map[string]any{"pay": "bm90IHRoZSByaWdodCBoYXNo"})
	foreign, err := mint.Sign("HS256", "", nextSecret, map[string]any{"exp": 1, "pay": "eA=="})
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := mint.Encrypt(testSecret, "", map[string]any{"exp": 4102444800})
	if err != nil {
		t.Fatal(err)
	}
	good := validToken(t, nil)
	tokens := []string{good, bound, foreign, encrypted, strings.Replace(good, ".", ".e30", 1), good + "AA", "Bearer " + good,
		good[:len(good)/2], strings.ReplaceAll(encrypted, ".", ".."), "NO_NETWORK"}
	upstreams := map[string]string{
		"a good upstream":         newUpstream(t, nil).URL,
		"an upstream that is off": "http://127.0.0.1:1",
		"an upstream that echoes": "http://" + rawUpstream(t, func(c net.Conn, got string) { fmt.Fprint(c, got) }),
		"an upstream with bad headers": "http://" + rawUpstream(t, func(c net.Conn, got string) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %q\r\n\r\n", got)
		}),
		"an upstream that breaks off": newUpstream(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).URL,
	}
	for name, upstream := range upstreams {
		for _, mode := range []string{"enforce", "log", "bypass"} {
			t.Run(name+" in mode "+mode, func(t *testing.T) {
				gate := run(t, upstream, leakPolicy(mode))
				var told strings.Builder
				for _, token := range tokens {
					for _, target := range []string{"/header", "/cookie", "/query?key=" + url.QueryEscape(boundValue), "/jwe", "/x", "/%2f?t=" + token, "*"} {
						got := gate.get(target, "Approov-Token: "+token, "Authorization: "+boundValue, "Cookie: session="+boundValue)
						fmt.Fprintln(&told, got.header, got.body)
					}
				}
				gate.send(request("CONNECT", "api.example.com:443", "Approov-Token: "+good))
				told.WriteString(gate.log.String() + gate.probe("GET", "/metrics").body)
				for what, secret := range secretsOfTest(tokens) {
					if at := strings.Index(told.String(), secret); at >= 0 {
						t.Errorf("%s: got it told in …%q…, want it nowhere", what, told.String()[max(0, at-80):min(told.Len(), at+40)])
					}
				}
				if len(gate.log.lines("")) < len(tokens) {
					t.Errorf("log: got %d lines, want at least one for each token", len(gate.log.lines("")))
				}
			})
		}
	}
}

// secretsOfTest is what must not be told, by what it is: secrets in every spelling, and of each token the
// parts that make it usable.
func secretsOfTest(tokens []string) map[string]string {
	all := map[string]string{
		"the bound value": boundValue, "the credential in it": "bound-value-of-the-leak-test",
		"the pay claim": "bm90IHRoZSByaWdodCBoYXNo", "the device id": "dGVzdCBkZXZpY2UgaWQhIQ==",
	}
	for name, secret := range map[string][]byte{"secret": testSecret, "next secret": nextSecret} {
		all["the "+name] = string(secret)
		all["the "+name+" in base64"] = base64.StdEncoding.EncodeToString(secret)
		all["the "+name+" in base64url"] = base64.RawURLEncoding.EncodeToString(secret)
		all["the "+name+" in hex"] = hex.EncodeToString(secret)
	}
	for i, token := range tokens {
		for j, part := range strings.Split(token, ".") {
			if len(part) > 20 { // shorter ones may be words of ours, and make no token
				all[fmt.Sprintf("part %d of token %d", j, i)] = part
			}
		}
	}
	return all
}
