package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/gate"
)

// uidKnown reports whether this system tells who is at the other end of a socket.
const uidKnown = runtime.GOOS == "linux"

// reaching are requests that look for the admin interface where it is not.
func reaching() []string {
	var all []string
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		for _, target := range []string{"/control", "/status", "/report", "//control", "/./control", "/x/../control", "/%63ontrol", "/control/", "/control?x", "/control;x",
			"/control%00", "/%2fcontrol", `/\control`, "/ready/../control", "/metrics/../status", "http://approovgate/control", "http://localhost/control", "http://127.0.0.1/status",
			"unix:/run/approovgate/admin.sock", "*"} {
			for _, host := range []string{"approovgate", "localhost", "127.0.0.1:9903", "[::1]"} {
				content := ""
				if method == "PUT" {
					content = bypassOfTest
				}
				all = append(all, strings.Replace(adminRequest(method, target, content), "Host: approovgate", "Host: "+host, 1))
			}
		}
	}
	return all
}

// TestAdminIsNowhereElse asks the data and status listeners for the admin interface in every way, in the mode in which
// everything is forwarded.
func TestAdminIsNowhereElse(t *testing.T) {
	_, admin := withAdmin(t)
	socket := socketDir(t) + "/data.sock"
	upstream := newUpstream(t, nil)
	for _, mode := range []string{"enforce", "bypass"} {
		r := run(t, upstream.URL, map[string]any{"mode": mode}, admin, withH2C, func(p *Proxy) { p.Tree["listen"] = []any{"127.0.0.1:0", "unix:" + socket} })
		for name, address := range map[string]string{"data": r.address, "data socket": socket, "status": r.status} {
			for _, text := range reaching() {
				notAdmin(t, mode+" "+name, text, rawTo(t, address, text))
			}
		}
		client := overHTTP2(t)
		for _, at := range []string{r.address, r.status} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				for _, path := range []string{"/control", "/status", "//control", "/x/%2e%2e/control"} {
					q, err := http.NewRequest(method, "http://"+at+path, strings.NewReader(bypassOfTest))
					if err != nil {
						t.Fatal(err)
					}
					q.Host = "approovgate"
					q.Header.Set("Content-Type", "application/json")
					response, err := client.Do(q)
					if err != nil {
						t.Errorf("%s: %v", at, err)
						continue
					}
					body, _ := io.ReadAll(response.Body) // what came is looked at
					response.Body.Close()
					if response.ProtoMajor != 2 {
						t.Errorf("%s: got %s, want HTTP/2", at, response.Proto)
					}
					notAdmin(t, "HTTP/2 to "+at, method+" "+path, fmt.Sprint(response.Header)+string(body))
				}
			}
		}
		if got := r.proxy.gate.Control(gate.Local).Version; got != 0 {
			t.Errorf("mode %s: got control of version %d, want none", mode, got)
		}
		if got := r.log.lines(`"msg":"control request"`); len(got) > 0 {
			t.Errorf("mode %s: got %q, want no request for control", mode, got)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// notAdmin fails if an answer is one of the admin interface.
func notAdmin(t *testing.T, where, question, answer string) {
	t.Helper()
	for _, sign := range []string{"in_force", "tokens_per_minute", "problem+json", "Etag:", "own_mode"} {
		if strings.Contains(answer, sign) {
			t.Errorf("%s: got %s in the answer to %.60q, want no trace of the admin interface", where, sign, question)
		}
	}
}

// Nor is what other listeners serve on the admin listener.
func TestOthersAreNotOnTheAdminListener(t *testing.T) {
	path, admin := withAdmin(t)
	upstream := newUpstream(t, nil)
	r := run(t, upstream.URL, map[string]any{"mode": "bypass"}, admin, withH2C)
	for _, target := range []string{"/", "/x", "/live", "/ready", "/metrics", "/debug/pprof/", "http://localhost/x", "*"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "CONNECT"} {
			raw := rawTo(t, path, adminRequest(method, target, ""))
			if status, _ := statusLine(t, raw); status < 400 || strings.Contains(raw, "hello") {
				t.Errorf("%s %s: got %.200q, want an error", method, target, raw)
			}
		}
	}
	if raw := rawTo(t, path, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); !strings.HasPrefix(raw, "HTTP/1.1 4") && !strings.HasPrefix(raw, "HTTP/1.1 5") {
		t.Errorf("HTTP/2: got %.100q, want an error of HTTP/1.1", raw)
	}
	if got := upstream.count(); got != 0 {
		t.Errorf("upstream: got %d requests, want none", got)
	}
	if got := len(r.log.lines(`"msg":"request`)); got != 0 {
		t.Errorf("log: got %d lines of the gate's about requests, want none", got)
	}
}

// A gate in front of the admin socket, by mistake or by a link that its file does not show, does not open it.
func TestNobodyGetsToAdminThroughAGate(t *testing.T) {
	path, admin := withAdmin(t)
	front := socketDir(t) + "/api.sock"
	if err := os.Symlink(path, front); err != nil {
		t.Fatal(err)
	}
	r := run(t, "unix:"+front, map[string]any{"mode": "bypass"}, admin)
	for _, text := range []string{adminRequest("GET", "/control", ""), adminRequest("PUT", "/control", bypassOfTest), adminRequest("GET", "/status", "", "Connection: X-Forwarded-For")} {
		if status, body := statusLine(t, rawTo(t, r.address, text)); status != 403 || !strings.Contains(body, "proxies have no access") {
			t.Errorf("%.30q: got %d %s, want 403", text, status, body)
		}
	}
	if got := r.proxy.gate.Control(gate.Local).Version; got != 0 {
		t.Errorf("got control of version %d, want none", got)
	}
}

// TestAdminBoundsItsRequests has requests that are too large, too slow or never end.
func TestAdminBoundsItsRequests(t *testing.T) {
	for name, with := range map[string]func(*Proxy){"socket": nil, "port": withAdminPort(t)} {
		t.Run(name, func(t *testing.T) {
			path, socket := withAdmin(t)
			if with == nil {
				with = socket
			}
			r := run(t, newUpstream(t, nil).URL, map[string]any{}, with,
				limited(map[string]any{"header_timeout": brief.String(), "body_timeout": brief.String(), "idle_timeout": brief.String()}))
			if name == "port" {
				path = r.admin
			}
			head := "PUT /control HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + adminTokenOfTest + "\r\nContent-Type: application/json\r\n"
			for _, row := range []struct {
				name, text string
				status     int // 0: it is closed without an answer
			}{
				{"a header too large", head + "X: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431},
				{"a body too large", head + "Content-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537), 413},
				{"a body that says it is larger than any", head + "Content-Length: 999999999999\r\n\r\n", 413},
				{"a slow body", head + "Content-Length: 10\r\n\r\n{", 408},
				{"a slow body in chunks", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408},
				{"a slow header", head, 0},
				{"nothing", "", 0},
				{"a length and chunks", head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 0},
				{"two hosts", head + "Host: localhost\r\nContent-Length: 2\r\n\r\n{}", 400},
				{"HTTP/1.0 without a host", "GET /control HTTP/1.0\r\nAuthorization: Bearer " + adminTokenOfTest + "\r\n\r\n", 403},
				{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
			} {
				raw := rawTo(t, path, row.text)
				if row.status == 0 && strings.Contains(raw, "HTTP/1.1 200") || row.status != 0 && !strings.Contains(raw, fmt.Sprintf(" %d ", row.status)) {
					t.Errorf("%s: got %.100q, want %d", row.name, raw, row.status)
				}
			}
			endlessBody(t, path, head)
			if got := r.proxy.gate.Control(gate.Local).Version; got != 0 {
				t.Errorf("got control of version %d, want none", got)
			}
		})
	}
}

// endlessBody sends chunks for as long as they are taken.
func endlessBody(t *testing.T, path, head string) {
	t.Helper()
	conn := dialAt(t, path)
	defer conn.Close()
	fmt.Fprint(conn, head+"Transfer-Encoding: chunked\r\n\r\n")
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<10, strings.Repeat("x", 1<<10))
	sent := make(chan int, 1)
	go func() { // ends when the gate has closed the connection
		n := 0
		for {
			wrote, err := io.WriteString(conn, chunk)
			n += wrote
			if err != nil {
				sent <- n
				return
			}
		}
	}()
	if got := answerOn(t, conn); got.status != 413 {
		t.Errorf("a body without end: got %d %s, want 413", got.status, got.body)
	}
	select {
	case n := <-sent:
		if n > 8<<20 {
			t.Errorf("a body without end: got %d bytes of it taken, want it cut off", n)
		}
	case <-time.After(patience):
		t.Error("a body without end: got no end of the connection, want one")
	}
}

// TestAdminConnectionsAreBounded fills the admin listener with connections that say nothing. Who comes then is
// served all the same.
func TestAdminConnectionsAreBounded(t *testing.T) {
	path, admin := withAdmin(t)
	r := run(t, newUpstream(t, nil).URL, map[string]any{}, admin)
	var silent []net.Conn
	for range 2 * adminConnections {
		conn := dialAt(t, path)
		defer conn.Close()
		silent = append(silent, conn)
	}
	if status, _ := statusLine(t, rawTo(t, path, adminRequest("GET", "/status", ""))); status != 200 {
		t.Errorf("behind %d silent connections: got %d, want 200", len(silent), status)
	}
	if err := silent[0].SetDeadline(time.Now().Add(adminTimeout / 2)); err != nil { // by then nothing else would have closed it
		t.Fatal(err)
	}
	closed(t, "the first of them", silent[0])
	if got := r.get("/x").status; got != 401 {
		t.Errorf("the data listener: got %d, want it untouched", got)
	}
}
