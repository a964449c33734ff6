package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

const adminTokenOfTest = "admin-token-of-the-test-0123456789"

// withAdmin gives the gate an admin socket in a folder of its own, and returns its path.
func withAdmin(t *testing.T) (string, func(*Proxy)) {
	t.Helper()
	path := filepath.Join(socketDir(t), "admin.sock")
	return path, func(p *Proxy) { p.Tree["admin"] = "unix:" + path }
}

// withAdminPort gives it a port of the loopback address, and a token.
func withAdminPort(t *testing.T) func(*Proxy) {
	t.Helper()
	t.Setenv("APPROOVGATE_TEST_ADMIN", adminTokenOfTest)
	return func(p *Proxy) {
		p.Tree["admin"], p.Tree["admin_token"] = "127.0.0.1:0", "env:APPROOVGATE_TEST_ADMIN"
	}
}

// dialAt connects to a socket, if address is a path, or a port.
func dialAt(t *testing.T, address string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// rawTo writes a request as it stands to an address and reads what comes back until the end; what is sent before
// the answer may be cut off.
func rawTo(t *testing.T, address, text string) string {
	t.Helper()
	conn := dialAt(t, address)
	defer conn.Close()
	_, _ = io.WriteString(conn, text) // it may be refused before its end
	got, err := io.ReadAll(conn)
	if isTimeout(err) {
		t.Errorf("%s: got no end of the answer to %.60q within %s", address, text, patience)
	}
	return string(got)
}

// adminRequest is a request for the admin interface as text. Its connection is closed after it.
func adminRequest(method, target, content string, lines ...string) string {
	if content != "" {
		lines = append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(content)))
	}
	return method + " " + target + " HTTP/1.1\r\nHost: approovgate\r\nConnection: close\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n" + content
}

const bypassOfTest = `{"mode": "bypass", "for": "15m", "reason": "INC-42", "by": "ops"}`

// statusLine is the status of a raw answer, and its body.
func statusLine(t *testing.T, raw string) (status int, body string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
	if err != nil {
		t.Fatalf("answer %.200q: %v", raw, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("body of %.200q: %v", raw, err)
	}
	return response.StatusCode, string(text)
}

func TestAdminSwitchesChecksOffAndOn(t *testing.T) {
	path, admin := withAdmin(t)
	r := run(t, newUpstream(t, nil).URL, map[string]any{}, admin)
	if got := r.get("/x").status; got != 401 {
		t.Fatalf("without a token: got %d, want 401", got)
	}
	if status, body := statusLine(t, rawTo(t, path, adminRequest("PUT", "/control", bypassOfTest))); status != 200 || !strings.Contains(body, `"in_force": "local"`) {
		t.Errorf("PUT: got %d %s, want 200 and the change in force", status, body)
	}
	if got := r.get("/x").status; got != 200 {
		t.Errorf("in a bypass: got %d, want 200", got)
	}
	if status, _ := statusLine(t, rawTo(t, path, adminRequest("DELETE", "/control", ""))); status != 200 {
		t.Errorf("DELETE: got %d, want 200", status)
	}
	if got := r.get("/x").status; got != 401 {
		t.Errorf("after it: got %d, want 401", got)
	}
	if status, _ := statusLine(t, rawTo(t, path, adminRequest("PUT", "/control", `{"mode": "off"}`))); status != 400 {
		t.Errorf("a bad change: got %d, want 400", status)
	}
	lines := r.log.lines(`"msg":"control request"`)
	for i, want := range []string{`"what":"bypass, until `, `"what":"resume"`, `"problem":"mode: must be enforce`} {
		uid := fmt.Sprintf(`"uid":%d,`, os.Getuid())
		if len(lines) != 3 || !strings.Contains(lines[i], want) || uidKnown && !strings.Contains(lines[i], uid) {
			t.Errorf("log lines: got %q, want the %d. with %s and %s", lines, i+1, uid, want)
		}
	}
	if got := r.log.lines(`"msg":"control changed"`); len(got) != 1 || !strings.Contains(got[0], `"by":"ops"`) {
		t.Errorf("lines of the gate itself: got %q, want one", got)
	}
}

func TestAdminSocketBelongsToItsUser(t *testing.T) {
	path, admin := withAdmin(t)
	r := run(t, newUpstream(t, nil).URL, map[string]any{}, admin)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("got %v, %v, want a socket of mode 0600", info.Mode(), err)
	}
	if got := r.log.lines(`"admin":"` + path + `"`); len(got) != 1 {
		t.Errorf("log: got %q, want the line that it has started to name the socket", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("after the end: got a socket, want none")
	}
}

// Between its making and the chmod that follows, a socket has the permissions that the umask leaves it.
func TestAdminSocketNeverBelongsToOthers(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(socketDir(t), "admin.sock")
	l, err := listenMasked(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode()&0o077 != 0 {
		t.Errorf("got %v, %v, want nothing for others", info.Mode(), err)
	}
	if now := syscall.Umask(0); now != 0 {
		t.Errorf("the umask: got %o, want it as it was", now)
	}
}

func TestAdminSocketsThatAreInTheWay(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(path string) error
		want    string // in the error; empty: it listens
	}{
		{"a socket that a dead process has left", func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, ""},
		{"a file", func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) }, "is no socket"},
		{"a link to a file", func(path string) error {
			return firstError(os.WriteFile(path+".txt", []byte("precious"), 0o600), os.Symlink(path+".txt", path))
		}, "is no socket"},
		{"a link to nothing", func(path string) error { return os.Symlink(path+".not", path) }, "is no socket"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, "is no socket"},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is no socket"},
		{"no folder for it", func(path string) error { return os.Remove(filepath.Dir(path)) }, "no such file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, admin := withAdmin(t)
			if err := row.prepare(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			r := newRig(t, newUpstream(t, nil).URL, map[string]any{}, admin)
			if row.want == "" {
				r.start()
				return
			}
			if problems := r.proxy.Load(); config.Failed(problems) {
				t.Fatal(problems)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience) // for a gate that runs all the same
			defer cancel()
			err := r.proxy.Run(ctx)
			if err == nil || !strings.HasPrefix(err.Error(), "admin "+path+": ") || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error of admin with its path and %q", err, row.want)
			}
			if after, _ := os.Lstat(path); before != nil && (after == nil || after.Mode() != before.Mode() || after.Size() != before.Size()) {
				t.Errorf("what is there: got %v, want %v as before", after, before)
			}
		})
	}
	t.Run("a gate that runs", func(t *testing.T) {
		path, admin := withAdmin(t)
		run(t, newUpstream(t, nil).URL, map[string]any{}, admin)
		second := newRig(t, newUpstream(t, nil).URL, map[string]any{}, admin)
		second.proxy.Load()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := second.proxy.Run(ctx); err == nil || !strings.Contains(err.Error(), "another process listens there") {
			t.Errorf("a second gate: got %v, want an error", err)
		}
		if status, _ := statusLine(t, rawTo(t, path, adminRequest("GET", "/status", ""))); status != 200 {
			t.Errorf("the first gate: got %d, want it to answer still", status)
		}
	})
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAdminPortNeedsItsToken(t *testing.T) {
	r := run(t, newUpstream(t, nil).URL, map[string]any{}, withAdminPort(t))
	for _, row := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"the token", []string{"Authorization: Bearer " + adminTokenOfTest}, 200},
		{"no token", nil, 401},
		{"another", []string{"Authorization: Bearer " + adminTokenOfTest + "0"}, 401},
		{"the account's secret", []string{"Authorization: Bearer " + keysOfTest()[0].(map[string]any)["secret"].(string)}, 401},
		{"the token, from a web page", []string{"Authorization: Bearer " + adminTokenOfTest, "Origin: https://evil.example"}, 403},
	} {
		for _, request := range []string{adminRequest("PUT", "/control", `{"mode": "enforce"}`, row.lines...), adminRequest("GET", "/status", "", row.lines...)} {
			if status, body := statusLine(t, rawTo(t, r.admin, request)); status != row.status {
				t.Errorf("%s: got %d %s to %.20q, want %d", row.name, status, body, request, row.status)
			}
		}
	}
	if got := r.proxy.gate.Control(gate.Local).Version; got != 1 {
		t.Errorf("got version %d, want 1: one change had the token", got)
	}
	if got := r.log.lines(`"msg":"control request"`); len(got) != 5 || strings.Contains(r.log.String(), adminTokenOfTest) {
		t.Errorf("log: got %d lines about changes, want 5, and no token anywhere: %q", len(got), got)
	}
	rebound := strings.Replace(adminRequest("GET", "/status", "", "Authorization: Bearer "+adminTokenOfTest), "Host: approovgate", "Host: evil.example:9903", 1)
	if status, _ := statusLine(t, rawTo(t, r.admin, rebound)); status != 403 {
		t.Errorf("a name that was made to mean this machine: got %d, want 403", status)
	}
}

func TestKeptControlIsInForceAfterARestart(t *testing.T) {
	path, admin := withAdmin(t)
	file := filepath.Join(t.TempDir(), "control.json")
	policy := func() map[string]any { return map[string]any{"control": map[string]any{"file": file}} }
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) func(*Proxy) {
		return func(p *Proxy) { p.Now = func() time.Time { return now.Add(d) } }
	}
	first := run(t, newUpstream(t, nil).URL, policy(), admin, at(0))
	if status, body := statusLine(t, rawTo(t, path, adminRequest("PUT", "/control", bypassOfTest))); status != 200 || strings.Contains(body, "warnings") {
		t.Fatalf("PUT: got %d %s, want 200 and no warning", status, body)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		after  time.Duration
		status int
		says   string
	}{{15*time.Minute - 1, 200, `"in_force": "local"`}, {15 * time.Minute, 401, `"in_force": "policy"`}} {
		next := run(t, newUpstream(t, nil).URL, policy(), admin, at(row.after))
		if got := next.get("/x").status; got != row.status {
			t.Errorf("%s later: got %d, want %d", row.after, got, row.status)
		}
		if _, body := statusLine(t, rawTo(t, path, adminRequest("GET", "/control", ""))); !strings.Contains(body, row.says) || !strings.Contains(body, `"reason": "INC-42"`) {
			t.Errorf("%s later: got %s, want %s and the document", row.after, body, row.says)
		}
		if err := next.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// The admin interface is there for as long as requests are served, and a change in the last moment is kept.
func TestAdminAnswersWhileDraining(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(finish) })
	defer release()
	upstream := newUpstream(t, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-finish
	})
	path, admin := withAdmin(t)
	file := filepath.Join(t.TempDir(), "control.json")
	r := run(t, upstream.URL, map[string]any{"control": map[string]any{"file": file}}, admin)
	conn := r.dial()
	defer conn.Close()
	fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }() // ends when the request above has finished
	r.log.wait(t, "draining", 1)
	if status, body := statusLine(t, rawTo(t, path, adminRequest("GET", "/status", ""))); status != 200 || !strings.Contains(body, `"ready": false`) {
		t.Errorf("status while draining: got %d %s, want 200 and not ready", status, body)
	}
	if status, body := statusLine(t, rawTo(t, path, adminRequest("PUT", "/control", bypassOfTest))); status != 200 {
		t.Errorf("PUT while draining: got %d %s, want 200", status, body)
	}
	release()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	if text, err := os.ReadFile(file); err != nil || !json.Valid(text) || !strings.Contains(string(text), "INC-42") {
		t.Errorf("kept: got %q, %v, want the change", text, err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("after the end: got a connection, want none")
	}
}

func TestCurlSpeaksToTheAdminSocket(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed: " + err.Error())
	}
	path, admin := withAdmin(t)
	run(t, newUpstream(t, nil).URL, map[string]any{}, admin)
	for _, row := range []struct {
		name      string
		arguments []string
		want      []string // in its output
	}{
		{"control", []string{"http://approovgate/control"}, []string{"HTTP/1.1 200", "Etag: \"0\"", `"in_force": "policy"`}},
		{"a change", []string{"-X", "PUT", "-H", "If-Match: \"0\"", "--json", bypassOfTest, "http://localhost/control"}, []string{"HTTP/1.1 200", "Etag: \"1\"", `"mode": "bypass"`}},
		{"a change of what is gone", []string{"-X", "PUT", "-H", "If-Match: \"0\"", "--json", bypassOfTest, "http://approovgate/control"}, []string{"HTTP/1.1 412", "application/problem+json"}},
		{"a form", []string{"-X", "PUT", "-d", bypassOfTest, "http://approovgate/control"}, []string{"HTTP/1.1 415", "must be application/json"}},
		{"a document that curl announces", []string{"-X", "PUT", "-H", "Expect: 100-continue", "--json", `{"reason": "` + strings.Repeat("x", 400) + `"}`, "http://approovgate/control"}, []string{"HTTP/1.1 200"}},
		{"one too long, announced", []string{"-X", "PUT", "-H", "Expect: 100-continue", "--json", `{"reason": "` + strings.Repeat("x", 70000) + `"}`, "http://approovgate/control"}, []string{"HTTP/1.1 413"}},
		{"resuming", []string{"-X", "DELETE", "http://approovgate/control"}, []string{"HTTP/1.1 200", `"in_force": "policy"`}},
		{"status", []string{"http://approovgate/status"}, []string{"HTTP/1.1 200", `"ready": true`}},
		{"only the header", []string{"-I", "http://approovgate/control"}, []string{"HTTP/1.1 200", "Etag: "}},
		{"HTTP/2, which is not spoken here", []string{"--http2", "http://approovgate/control"}, []string{"HTTP/1.1 200"}},
		{"another host", []string{"http://evil.example/control"}, []string{"HTTP/1.1 403"}},
	} {
		arguments := append([]string{"-sS", "-i", "--max-time", "30", "--unix-socket", path}, row.arguments...)
		out, err := exec.CommandContext(t.Context(), curl, arguments...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: curl %v\n%s", row.name, err, out)
		}
		for _, want := range row.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: got\n%s\nwant %s in it", row.name, out, want)
			}
		}
	}
}

// An admin interface that cannot be reached while sources hang is none for an emergency. The gate waits two seconds
// for them; a machine may be so busy that an answer takes longer.
func TestAdminIsThereBeforeTheSourcesHaveAnswered(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0") // connections wait in its queue
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	path, admin := withAdmin(t)
	keys := append(keysOfTest(), map[string]any{"name": "set", "jwks": "https://" + hung.Addr().String() + "/keys", "algs": []any{"ES256"}})
	const attempts, waited = 10, 2 * time.Second
	for range attempts {
		r := newRig(t, newUpstream(t, nil).URL, map[string]any{"keys": keys}, admin)
		r.proxy.Load()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		begin := time.Now()
		go func() { ended <- r.proxy.Run(ctx) }() // ended below
		until(t, "an admin socket", func() bool {
			conn, err := net.Dial("unix", path)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		status, _ := statusLine(t, rawTo(t, path, adminRequest("GET", "/status", "")))
		took := time.Since(begin)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if status == 200 && took < waited {
			return
		}
	}
	t.Errorf("got no answer within %s, in %d attempts; want one", waited, attempts)
}
