package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

// peersOf are the peers that a list in the gate file means.
func peersOf(t *testing.T, list ...any) Peers {
	t.Helper()
	tree := config.NewTree(map[string]any{"x": list})
	p := decodePeers(tree, "x")
	if problems := tree.Problems(); config.Failed(problems) {
		t.Fatal(problems)
	}
	return p
}

func TestOrigin(t *testing.T) {
	const untrusted, near, socket = "198.51.100.7:4711", "10.0.0.1:4711", "@"
	trusted := peersOf(t, "10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1", "unix")
	for _, row := range []struct {
		name, remote string
		lines        []string
		want         string // client | hops | host | proto | port
	}{
		{"nothing is claimed", untrusted, nil, "198.51.100.7|198.51.100.7|api.example.com|http|80"},
		{"an untrusted peer is believed nothing", untrusted,
			[]string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1", `Forwarded: for=1.2.3.4;host=evil.example;proto=https`},
			"198.51.100.7|198.51.100.7|api.example.com|http|80"},
		{"an untrusted peer of IPv6", "[2001:db8::7]:1", []string{"X-Forwarded-For: 1.2.3.4"}, "2001:db8::7|2001:db8::7|api.example.com|http|80"},
		{"a neighbour of the trusted network", "11.0.0.1:1", []string{"X-Forwarded-For: 1.2.3.4"}, "11.0.0.1|11.0.0.1|api.example.com|http|80"},
		{"a neighbour of the trusted address", "192.0.2.2:1", []string{"X-Forwarded-For: 1.2.3.4"}, "192.0.2.2|192.0.2.2|api.example.com|http|80"},

		{"a trusted peer that says nothing", near, nil, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"a trusted peer names the client", near, []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a trusted address", "192.0.2.1:1", []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7|198.51.100.7, 192.0.2.1|api.example.com|http|80"},
		{"a trusted peer of IPv6", "[2001:db8:ffff::1]:1", []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7|198.51.100.7, 2001:db8:ffff::1|api.example.com|http|80"},
		{"what the client put before is not believed", near, []string{"X-Forwarded-For: 127.0.0.1, 10.0.0.9, 198.51.100.7"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"two trusted hops", near, []string{"X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.0.0.2"}, "198.51.100.7|198.51.100.7, 10.0.0.2, 10.0.0.1|api.example.com|http|80"},
		{"hops in two lines", near, []string{"X-Forwarded-For: 6.6.6.6, 198.51.100.7", "X-Forwarded-For: 10.0.0.2"}, "198.51.100.7|198.51.100.7, 10.0.0.2, 10.0.0.1|api.example.com|http|80"},
		{"trusted hops all the way", near, []string{"X-Forwarded-For: 10.0.0.3,10.0.0.2"}, "10.0.0.3|10.0.0.3, 10.0.0.2, 10.0.0.1|api.example.com|http|80"},
		{"an entry with a port", near, []string{"X-Forwarded-For: 198.51.100.7:4711"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"an entry of IPv6", near, []string{"X-Forwarded-For: 2001:db8::7"}, "2001:db8::7|2001:db8::7, 10.0.0.1|api.example.com|http|80"},
		{"an entry of IPv6 in brackets", near, []string{"X-Forwarded-For: [2001:db8::7]"}, "2001:db8::7|2001:db8::7, 10.0.0.1|api.example.com|http|80"},
		{"an entry of IPv6 in brackets with a port", near, []string{"X-Forwarded-For: [2001:db8::7]:443"}, "2001:db8::7|2001:db8::7, 10.0.0.1|api.example.com|http|80"},
		{"an entry with a zone loses it", near, []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1|fe80::1, 10.0.0.1|api.example.com|http|80"},
		{"an entry in the form of IPv6 is what it is", near, []string{"X-Forwarded-For: 6.6.6.6, ::ffff:10.0.0.2"}, "6.6.6.6|6.6.6.6, 10.0.0.2, 10.0.0.1|api.example.com|http|80"},
		{"a malformed entry ends the chain", near, []string{"X-Forwarded-For: 6.6.6.6, nonsense"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"a malformed entry behind a trusted hop ends the chain there", near, []string{"X-Forwarded-For: 6.6.6.6, 10.0.0.2:port, 10.0.0.3"}, "10.0.0.3|10.0.0.3, 10.0.0.1|api.example.com|http|80"},
		{"an entry of octal numbers is none", near, []string{"X-Forwarded-For: 6.6.6.6, 010.0.0.2"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"an unknown entry ends the chain", near, []string{"X-Forwarded-For: 6.6.6.6, unknown"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"an empty entry ends the chain", near, []string{"X-Forwarded-For: 6.6.6.6,"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"an empty line ends the chain", near, []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For:"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"an entry with a line that would be another header", near, []string{"X-Forwarded-For: 6.6.6.6\r\nX-Evil: 1"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"ten thousand trusted entries", near, []string{"X-Forwarded-For: 6.6.6.6" + strings.Repeat(", 10.0.0.2", 10_000)},
			"10.0.0.2|" + strings.Repeat("10.0.0.2, ", maxHops-1) + "10.0.0.1|api.example.com|http|80"},

		{"host, proto and port of a trusted peer", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: shop.example:444", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"},
			"198.51.100.7|198.51.100.7, 10.0.0.1|shop.example:444|https|8443"},
		{"a proto means its port", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: HTTPS"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|https|443"},
		{"a host means its port", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: [2001:db8::1]:444"}, "198.51.100.7|198.51.100.7, 10.0.0.1|[2001:db8::1]:444|http|444"},
		{"a host of IPv6 has no port of its own", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: [2001:db8::1]"}, "198.51.100.7|198.51.100.7, 10.0.0.1|[2001:db8::1]|http|80"},
		{"host and proto without an address", near, []string{"X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https"}, "10.0.0.1|10.0.0.1|shop.example|https|443"},
		{"a list of protos says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https, http"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"two lines of proto say nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Proto: https"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"another proto says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: javascript"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a list of hosts says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: evil.example, shop.example"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a host with a path says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: evil.example/x"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a host with a user says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: u:p@evil.example"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a host too long says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: " + strings.Repeat("x", 262)}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a port that is no number says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Port: +443"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"a port too high says nothing", near, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Port: 65536"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},

		{"Forwarded names the client", near, []string{"Forwarded: for=198.51.100.7"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"Forwarded names all", near, []string{`Forwarded: For="[2001:db8::7]:443";Host="shop.example:444";PROTO=https;by=_x`}, "2001:db8::7|2001:db8::7, 10.0.0.1|shop.example:444|https|444"},
		{"Forwarded of two trusted hops: the farther one saw the client", near, []string{"Forwarded: for=6.6.6.6;host=evil.example, for=198.51.100.7;host=shop.example;proto=https, for=10.0.0.2;host=inside.example;proto=http"},
			"198.51.100.7|198.51.100.7, 10.0.0.2, 10.0.0.1|shop.example|https|443"},
		{"Forwarded in two lines", near, []string{"Forwarded: for=6.6.6.6, for=198.51.100.7", "Forwarded: for=10.0.0.2"}, "198.51.100.7|198.51.100.7, 10.0.0.2, 10.0.0.1|api.example.com|http|80"},
		{"Forwarded of an unknown client", near, []string{"Forwarded: for=6.6.6.6, for=unknown;proto=https"}, "10.0.0.1|10.0.0.1|api.example.com|https|443"},
		{"Forwarded of an obfuscated client", near, []string{"Forwarded: for=6.6.6.6, for=_hidden"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"Forwarded of an obfuscated client with a port", near, []string{`Forwarded: for="_gazonk:_77"`}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"Forwarded with a comma in quotes is one element", near, []string{`Forwarded: for="6.6.6.6, for=7.7.7.7"`}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"Forwarded with a semicolon in quotes is one pair", near, []string{`Forwarded: for="198.51.100.7";by="x;proto=https"`}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},
		{"Forwarded with escapes in quotes", near, []string{`Forwarded: for="198.51\.100.7";host="shop.\example"`}, "198.51.100.7|198.51.100.7, 10.0.0.1|shop.example|http|80"},
		{"Forwarded with a quote that never ends", near, []string{`Forwarded: for=6.6.6.6, for="198.51.100.7, for=10.0.0.2`}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"Forwarded without for", near, []string{"Forwarded: proto=https;host=shop.example"}, "10.0.0.1|10.0.0.1|shop.example|https|443"},
		{"both headers: X-Forwarded-For counts alone", near, []string{"Forwarded: for=6.6.6.6;proto=https;host=evil.example", "X-Forwarded-For: 198.51.100.7"}, "198.51.100.7|198.51.100.7, 10.0.0.1|api.example.com|http|80"},

		{"an alias of X-Forwarded-For is not believed", near, []string{"X_Forwarded_For: 6.6.6.6", "X-Real-Ip: 6.6.6.6", "True-Client-Ip: 6.6.6.6"}, "10.0.0.1|10.0.0.1|api.example.com|http|80"},
		{"a trusted unix socket that says nothing", socket, nil, "unknown|unknown|api.example.com|http|80"},
		{"a trusted unix socket names the client", socket, []string{"X-Forwarded-For: 6.6.6.6, 198.51.100.7"}, "198.51.100.7|198.51.100.7|api.example.com|http|80"},
		{"a trusted unix socket behind a trusted hop", socket, []string{"X-Forwarded-For: 198.51.100.7, 10.0.0.2"}, "198.51.100.7|198.51.100.7, 10.0.0.2|api.example.com|http|80"},
		{"a trusted unix socket behind nonsense", socket, []string{"X-Forwarded-For: 198.51.100.7, x"}, "unknown|unknown|api.example.com|http|80"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Host = row.remote, "api.example.com"
			for _, line := range row.lines {
				name, value, _ := strings.Cut(line, ":")
				r.Header.Add(name, strings.TrimPrefix(value, " "))
			}
			o := originOf(r, &trusted)
			if got := strings.Join([]string{o.client, o.hops, o.host, o.proto, o.port}, "|"); got != row.want {
				t.Errorf("got  %.300s\nwant %.300s", got, row.want)
			}
			peer, _, _ := strings.Cut(strings.TrimPrefix(row.remote, "[::ffff:"), ":")
			if wrong := o.believed && o.client == peer; wrong {
				t.Errorf("believed: got true for the connection's own address %s, want false", peer)
			}
		})
	}
	t.Run("a unix socket is not trusted unless the word stands there", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = socket, []string{"6.6.6.6"}
		all := peersOf(t, "0.0.0.0/0", "::/0")
		if o := originOf(r, &all); o.client != "unknown" || o.believed {
			t.Errorf("got %q, want unknown", o.client)
		}
	})
	t.Run("TLS is https", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS, r.Host = new(tls.ConnectionState), "api.example.com:8443"
		if o := originOf(r, &Peers{}); o.proto != "https" || o.port != "8443" {
			t.Errorf("got %s and %s, want https and 8443", o.proto, o.port)
		}
	})
}

func TestOriginIsWrittenForTheUpstream(t *testing.T) {
	for _, row := range []struct {
		name      string
		o         origin
		forwarded string
	}{
		{"a client alone", origin{client: "198.51.100.7", hops: "198.51.100.7", host: "a.example", proto: "http"}, `for=198.51.100.7;host="a.example";proto=http`},
		{"a client of IPv6", origin{client: "2001:db8::7", hops: "2001:db8::7", host: "a.example", proto: "https"}, `for="[2001:db8::7]";host="a.example";proto=https`},
		{"a client behind two hops", origin{client: "2001:db8::7", hops: "2001:db8::7, 10.0.0.2, 2001:db8::1", host: "a.example", proto: "http"},
			`for="[2001:db8::7]";host="a.example";proto=http, for=10.0.0.2, for="[2001:db8::1]"`},
		{"no address", origin{client: "unknown", hops: "unknown", host: "a.example", proto: "http"}, `for=unknown;host="a.example";proto=http`},
		{"a host that would end its quotes", origin{client: "1.2.3.4", hops: "1.2.3.4", host: `a";for=6.6.6.6\`, proto: "http"}, `for=1.2.3.4;host="a\";for=6.6.6.6\\";proto=http`},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := http.Header{}
			row.o.port = "80"
			row.o.write(h)
			want := http.Header{"X-Forwarded-For": {row.o.hops}, "X-Forwarded-Host": {row.o.host}, "X-Forwarded-Port": {"80"}, "X-Forwarded-Proto": {row.o.proto}, "Forwarded": {row.forwarded}}
			if fmt.Sprint(h) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", h, want)
			}
		})
	}
}

// TestWhatArrivesOfTheOrigin sends forged headers through a gate that trusts nobody, and one that trusts us,
// to an upstream that each of the two ways of forwarding leads to.
func TestWhatArrivesOfTheOrigin(t *testing.T) {
	upstream := newUpstream(t, readsAll)
	trust := func(p *Proxy) { p.Tree["trusted_proxies"] = []any{"127.0.0.0/8"} }
	gates := map[string]*rig{"trusts nobody": run(t, upstream.URL, map[string]any{}), "trusts us": run(t, upstream.URL, map[string]any{}, trust)}
	forged := []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1",
		"X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X_Real_IP: 6.6.6.6", "True-Client-IP: 6.6.6.6",
		"X-Client-IP: 6.6.6.6", "Client-IP: 6.6.6.6", "X-Cluster-Client-IP: 6.6.6.6", "X-Forwarded-Server: evil.example", "Forwarded: for=6.6.6.6;host=evil.example",
		"X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X_Original_URL: /evil", "X.Rewrite.URL: /evil",
		"Connection: X-Forwarded-Port, x-forwarded-for, forwarded, X-Request-Id", "Trailer: X-Forwarded-For"}
	for _, row := range []struct{ gate, name, request, client string }{
		{"trusts nobody", "a plain request", "GET /x HTTP/1.1\r\n%s\r\n\r\n", "127.0.0.1"},
		{"trusts nobody", "a chunked request", "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nX-Request-Id: evil\r\n\r\n", "127.0.0.1"},
		{"trusts us", "a plain request", "GET /x HTTP/1.1\r\n%s\r\n\r\n", "6.6.6.6"},
		{"trusts us", "a chunked request", "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nX-Request-Id: evil\r\n\r\n", "6.6.6.6"},
	} {
		t.Run("a gate that "+row.gate+", "+row.name, func(t *testing.T) {
			gate := gates[row.gate]
			lines := slices.Concat([]string{"Host: api.example.com", "Approov-Token: " + validToken(t, nil)}, forged)
			if got := gate.send(fmt.Sprintf(row.request, strings.Join(lines, "\r\n"))); got.status != 200 {
				t.Fatalf("status: got %d %q, want 200", got.status, got.body)
			}
			got := upstream.last(t)
			want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "api.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80",
				"Forwarded": `for=127.0.0.1;host="api.example.com";proto=http`}
			if row.client != "127.0.0.1" {
				want = map[string]string{"X-Forwarded-For": "6.6.6.6, 127.0.0.1", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1",
					"Forwarded": `for=6.6.6.6;host="evil.example";proto=https, for=127.0.0.1`}
			}
			for name, want := range want {
				if values := got.Header[name]; len(values) != 1 || values[0] != want {
					t.Errorf("%s: got %q, want %q", name, values, want)
				}
				delete(got.Header, name)
			}
			if id := got.Header["X-Request-Id"]; len(id) != 1 || len(id[0]) != 32 {
				t.Errorf("X-Request-Id: got %q, want a new one", id)
			}
			if text := fmt.Sprint(got.Header, got.Trailer); strings.Contains(text, "6.6.6.6") || strings.Contains(text, "evil") {
				t.Errorf("got %s, want nothing of what the client claimed", text)
			}
			if got.Host != "api.example.com" {
				t.Errorf("Host: got %q, want the one that was checked", got.Host)
			}
		})
	}
	t.Run("the log shows the client that is believed", func(t *testing.T) {
		raw := run(t, upstream.URL, map[string]any{"privacy": map[string]any{"ip": "raw"}}, trust)
		raw.get("/x", "X-Forwarded-For: 7.7.7.7, 6.6.6.6")
		if got := raw.log.lines(`"client":"6.6.6.6"`); len(got) != 1 {
			t.Errorf("got %q, want one line with the client", raw.log)
		}
	})
}
