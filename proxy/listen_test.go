package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// raw shows addresses as they are.
func raw() map[string]any {
	return map[string]any{"privacy": map[string]any{"ip": "raw"}}
}

// proxyHeader is a PROXY header as the module writes it.
func proxyHeader(t *testing.T, version byte, source, destination net.Addr) string {
	t.Helper()
	var text bytes.Buffer
	if _, err := proxyproto.HeaderProxyFromAddrs(version, source, destination).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func tcp(address string) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

func TestPROXYHeaders(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, raw(), func(p *Proxy) { p.Tree["proxy_protocol"] = []any{"127.0.0.1"} }, limited(map[string]any{"header_timeout": brief.String()}))
	four, six := tcp("198.51.100.7:4711"), tcp("[2001:db8::7]:4711")
	to4, to6 := tcp("192.0.2.1:443"), tcp("[2001:db8::1]:443")
	local := string([]byte{'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x20, 0, 0, 0})
	for _, row := range []struct{ name, header, client string }{
		{"version 1 of IPv4", proxyHeader(t, 1, four, to4), "198.51.100.7"},
		{"version 1 of IPv6", proxyHeader(t, 1, six, to6), "2001:db8::7"},
		{"version 2 of IPv4", proxyHeader(t, 2, four, to4), "198.51.100.7"},
		{"version 2 of IPv6", proxyHeader(t, 2, six, to6), "2001:db8::7"},
		{"version 2, the balancer's own connection", local, "127.0.0.1"},
		{"version 1, of what the balancer does not know", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"no header", "", ""},
		{"a header of version 1 cut short", "PROXY TCP4 198.51.100.7 192.0.2.1 1\r\n", ""},
		{"an address that is none", "PROXY TCP4 nonsense 192.0.2.1 1 2\r\n", ""},
		{"a port too high", "PROXY TCP4 198.51.100.7 192.0.2.1 65536 443\r\n", ""},
		{"a line that never ends", "PROXY TCP4 " + strings.Repeat("1", 200), ""},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00", ""},
		{"two headers", proxyHeader(t, 1, four, to4) + proxyHeader(t, 1, six, to6), "refused"},
		{"version 2 with a length that is not there", local[:14] + "\xff\xff", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn := gate.dial()
			defer conn.Close()
			before := upstream.count()
			fmt.Fprint(conn, row.header+request("GET", "/x", "Approov-Token: "+validToken(t, nil), "X-Forwarded-For: 6.6.6.6"))
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if row.client == "" || row.client == "refused" {
				if err == nil && response.StatusCode < 400 || isTimeout(err) || upstream.count() != before {
					t.Errorf("got %v, %v, want it closed and nothing forwarded", response, err)
				}
				return
			}
			if err != nil || response.StatusCode != 200 {
				t.Fatalf("got %v, %v, want 200", response, err)
			}
			if got := upstream.last(t).Header.Get("X-Forwarded-For"); got != row.client {
				t.Errorf("X-Forwarded-For: got %q, want %q", got, row.client)
			}
		})
	}
	t.Run("a header that does not come in time", func(t *testing.T) {
		conn := gate.dial()
		defer conn.Close()
		fmt.Fprint(conn, "PROXY TCP4 198.51.100.7")
		closed(t, "the connection", conn)
	})
	t.Run("a slow header keeps nobody else waiting", func(t *testing.T) {
		slow := gate.dial()
		defer slow.Close()
		conn := gate.dial()
		defer conn.Close()
		fmt.Fprint(conn, proxyHeader(t, 2, four, to4)+request("GET", "/x"))
		if got := answerOn(t, conn); got.status != 401 {
			t.Errorf("got %d, want 401", got.status)
		}
	})
	t.Run("the log shows the client", func(t *testing.T) {
		if got := gate.log.lines(`"client":"198.51.100.7"`); len(got) == 0 {
			t.Error("got no line with the client, want one")
		}
	})
}

func TestPROXYHeadersOfOthers(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{}, func(p *Proxy) { p.Tree["proxy_protocol"] = []any{"10.0.0.0/8", "unix"} })
	t.Run("a client that is no balancer is served without one", func(t *testing.T) {
		if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 200 {
			t.Errorf("got %d, want 200", got.status)
		}
	})
	t.Run("a client that is no balancer cannot send one", func(t *testing.T) {
		got := gate.send(proxyHeader(t, 1, tcp("6.6.6.6:1"), tcp("192.0.2.1:443")) + request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
		if got.status != 400 {
			t.Errorf("got %d, want 400", got.status)
		}
	})
	t.Run("a client in a trusted PROXY header is believed its X-Forwarded-For", func(t *testing.T) {
		gate := run(t, upstream.URL, raw(), func(p *Proxy) {
			p.Tree["proxy_protocol"], p.Tree["trusted_proxies"] = []any{"127.0.0.1"}, []any{"10.0.0.0/8"}
		})
		for source, want := range map[string]string{"10.0.0.2:1": "198.51.100.7, 10.0.0.2", "11.0.0.2:1": "11.0.0.2"} {
			conn := gate.dial()
			fmt.Fprint(conn, proxyHeader(t, 2, tcp(source), tcp("10.0.0.1:443"))+request("GET", "/x", "Approov-Token: "+validToken(t, nil), "X-Forwarded-For: 198.51.100.7"))
			answerOn(t, conn)
			conn.Close()
			if got := upstream.last(t).Header.Get("X-Forwarded-For"); got != want {
				t.Errorf("from %s: got %q, want %q", source, got, want)
			}
		}
	})
}

func TestUnixSockets(t *testing.T) {
	upstream := newUpstream(t, nil)
	for _, row := range []struct {
		name            string
		balancer, trust []any
		header, want    string
	}{
		{"a client without an address", nil, nil, "", "unknown"},
		{"a trusted proxy behind the socket", nil, []any{"unix"}, "", "198.51.100.7"},
		{"a proxy that is not trusted, though all networks are", nil, []any{"0.0.0.0/0", "::/0"}, "", "unknown"},
		{"a balancer behind the socket", []any{"unix"}, nil, proxyHeader(t, 2, tcp("192.0.2.7:1"), tcp("192.0.2.1:443")), "192.0.2.7"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(socketDir(t), "http.sock")
			run(t, upstream.URL, map[string]any{}, func(p *Proxy) {
				p.Tree["listen"], p.Tree["proxy_protocol"], p.Tree["trusted_proxies"] = "unix:"+path, row.balancer, row.trust
				for _, key := range []string{"proxy_protocol", "trusted_proxies"} {
					if list, _ := p.Tree[key].([]any); list == nil {
						delete(p.Tree, key)
					}
				}
			})
			conn, err := net.DialTimeout("unix", path, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, row.header+request("GET", "/x", "Approov-Token: "+validToken(t, nil), "X-Forwarded-For: 6.6.6.6, 198.51.100.7"))
			if got := answerOn(t, conn); got.status != 200 {
				t.Fatalf("got %d, want 200", got.status)
			}
			if got := upstream.last(t).Header.Get("X-Forwarded-For"); got != row.want {
				t.Errorf("X-Forwarded-For: got %q, want %q", got, row.want)
			}
		})
	}
}

// socketDir is a folder whose name is short enough for sockets.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what stays is the system's to clean
	return dir
}

func TestStaleSockets(t *testing.T) {
	left := func(t *testing.T, path string) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	for _, row := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string // in the error; empty: none
	}{
		{"nothing is there", func(*testing.T, string) {}, ""},
		{"a socket that a dead process has left", left, ""},
		{"a socket that is alive", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process listens there"},
		{"a socket of datagrams that is alive", func(t *testing.T, path string) {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "wrong type"},
		{"a file", func(t *testing.T, path string) { write(t, path, "precious") }, "is no socket"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is no socket"},
		{"a link to a stale socket", func(t *testing.T, path string) {
			left(t, path+"2")
			if err := os.Symlink(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, "is no socket"},
		{"a folder that is missing", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(socketDir(t), "s")
			row.prepare(t, path)
			_, before := os.Lstat(path)
			p := &Proxy{clients: newClients(1, patience), config: Config{Listen: []Listen{{Network: "tcp", Address: "127.0.0.1:0"}, {Network: "unix", Address: path}}}}
			open, err := p.listen(context.Background())
			if row.want == "" {
				if err != nil {
					t.Fatalf("got %v, want it to listen", err)
				}
				for _, l := range open.data {
					l.Close()
				}
				if _, err := os.Lstat(path); err == nil {
					t.Error("the socket is still there after Close, want it gone")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, row.want)
			}
			if _, after := os.Lstat(path); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("what is there: got %v, want %v as before", after, before)
			}
		})
	}
}

func TestUnixUpstream(t *testing.T) {
	path := filepath.Join(socketDir(t), "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a short read shows in the comparison
		fmt.Fprint(w, r.Host, " ", r.RequestURI, " ", string(body))
	})}
	go server.Serve(l) // ended by Close
	defer server.Close()
	gate := run(t, "unix:"+path, map[string]any{})
	for name, body := range map[string]string{"short": "Content-Length: 3\r\n\r\nabc", "chunked": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"} {
		got := gate.send("POST /x?y HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: " + validToken(t, nil) + "\r\n" + body)
		if want := "api.example.com /x?y abc"; got.status != 200 || got.body != want {
			t.Errorf("%s: got %d %q, want 200 %q", name, got.status, got.body, want)
		}
	}
	server.Close()
	if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 502 {
		t.Errorf("without the socket: got %d, want 502", got.status)
	}
	if got := gate.metric(`approovgate_upstream_errors_total{kind="connect"}`); got != "1" {
		t.Errorf("failures to connect: got %s, want 1", got)
	}
}
