package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// onTCP makes a stand-in that wants a token listen on a loopback address.
func onTCP(t *testing.T, r *rig, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, l, r.standIn)
	r.token = "a-token-of-32-characters-for-tests"
	return l.Addr().String()
}

func TestWhichGateIsAsked(t *testing.T) {
	r := newRig(t)
	address := onTCP(t, r, "127.0.0.1:0")
	r.token = ""
	dir := t.TempDir()
	gateFile := filepath.Join(dir, "gate.yaml")
	write(t, gateFile, "admin: unix:"+r.socket+"\npolicy: {what: is wrong here, does: not matter}\n", 0o600)
	write(t, filepath.Join(dir, "none.yaml"), "listen: 127.0.0.1:1\n", 0o600)
	write(t, filepath.Join(dir, "nowhere.yaml"), "admin: unix:/nowhere/admin.sock\n", 0o600)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		env  string
		args []string
		want string // on stderr; empty: it answers
	}{
		{"--admin", "", []string{"--admin", "unix:" + r.socket}, ""},
		{"--admin over TCP", "", []string{"--admin", address}, ""},
		{"--admin over TCP by name", "", []string{"--admin", "localhost:" + port}, ""},
		{"--config", "unix:/nowhere", []string{"--config", gateFile}, ""},
		{"--admin before --config", "", []string{"--config", filepath.Join(dir, "nowhere.yaml"), "--admin", address}, ""},
		{"the environment", "unix:" + r.socket, nil, ""},
		{"a gate file without admin, whatever the environment says", "unix:" + r.socket, []string{"--config", filepath.Join(dir, "none.yaml")},
			"none.yaml: admin: is missing, so this gate cannot be talked to; add admin: unix:/run/approovgate/admin.sock and restart the gate"},
		{"a gate file that is not there", "", []string{"--config", filepath.Join(dir, "no.yaml")}, "no.yaml: cannot be read: no such file"},
		{"another socket that is not there", "unix:/nowhere/admin.sock", nil,
			"nothing is at unix:/nowhere/admin.sock; is the gate running, and is admin set in its gate file? --admin or --config names another address"},
	} {
		r.env[adminEnv] = row.env
		status, stdout, stderr := r.plain(append([]string{"status"}, row.args...)...)
		if row.want == "" && (status != exitOK || !strings.HasPrefix(stdout, "gate edge: ready")) {
			t.Errorf("%s: got %d, %s, %s, want an answer", row.name, status, stdout, stderr)
		}
		if row.want != "" && (status != exitProblem || !strings.Contains(stderr, row.want)) {
			t.Errorf("%s: got %d, %s, want %s", row.name, status, stderr, row.want)
		}
	}
}

func TestDefaultAddress(t *testing.T) {
	r := newRig(t)
	client, err := r.console.client(adminFlags{})
	if err != nil || client.name() != "unix:/run/approovgate/admin.sock" {
		t.Errorf("got %v, %v", client, err)
	}
}

func TestToken(t *testing.T) {
	r := newRig(t)
	address := onTCP(t, r, "127.0.0.1:0")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), r.token+"\n", 0o600)
	write(t, filepath.Join(dir, "readable"), r.token, 0o644)
	write(t, filepath.Join(dir, "other"), "another-token-of-32-characters", 0o600)
	write(t, filepath.Join(dir, "words"), "two words", 0o600)
	write(t, filepath.Join(dir, "gate.yaml"), "admin: "+address+"\nadmin_token: file:token\n", 0o600)
	write(t, filepath.Join(dir, "list.yaml"), "admin: [a]\n", 0o600)
	t.Setenv("ADMIN_TOKEN", r.token)
	for _, row := range []struct {
		name   string
		args   []string
		status int
		want   string // on stderr; empty: nothing
	}{
		{"from the environment", []string{"--admin", address, "--admin-token", "env:ADMIN_TOKEN"}, exitOK, ""},
		{"from a file", []string{"--admin", address, "--admin-token", "file:" + filepath.Join(dir, "token")}, exitOK, ""},
		{"beside the gate file that names it", []string{"--config", filepath.Join(dir, "gate.yaml")}, exitOK, ""},
		{"another gate file's address with its token", []string{"--config", filepath.Join(dir, "gate.yaml"), "--admin", address}, exitOK, ""},
		{"a socket has no use for the gate file's", []string{"--config", filepath.Join(dir, "gate.yaml"), "--admin", "unix:/nowhere"}, exitProblem, "nothing is at unix:/nowhere"},
		{"a file that others can read", []string{"--admin", address, "--admin-token", "file:" + filepath.Join(dir, "readable")}, exitOK, "warning: the admin token: file "},
		{"none", []string{"--admin", address}, exitProblem, address + " asks for a token; give --admin-token file:PATH or env:NAME, or --config FILE with the gate file"},
		{"the wrong one", []string{"--admin", address, "--admin-token", "file:" + filepath.Join(dir, "other")}, exitProblem, "does not take the token; is it the one that admin_token names"},
		{"a file that is not there", []string{"--admin", address, "--admin-token", "file:" + filepath.Join(dir, "no")}, exitProblem, "the admin token: file "},
		{"two words", []string{"--admin", address, "--admin-token", "file:" + filepath.Join(dir, "words")}, exitProblem, "the admin token must be one word on one line"},
		{"on the command line", []string{"--admin", address, "--admin-token", r.token}, exitUsage, "--admin-token must be env:NAME or file:PATH; a token on the command line shows in ps"},
		{"inline", []string{"--admin", address, "--admin-token", "inline:" + r.token}, exitUsage, "--admin-token must be env:NAME or file:PATH"},
		{"for a socket", []string{"--admin", "unix:" + r.socket, "--admin-token", "env:ADMIN_TOKEN"}, exitUsage, "a unix socket needs none"},
		{"a list as an address", []string{"--config", filepath.Join(dir, "list.yaml")}, exitProblem, "list.yaml: admin: must be a string"},
	} {
		status, _, stderr := r.plain(append([]string{"status"}, row.args...)...)
		if status != row.status || !strings.Contains(stderr, row.want) || row.want == "" && stderr != "" {
			t.Errorf("%s: got %d, %q, want %d and %q", row.name, status, stderr, row.status, row.want)
		}
		if strings.Contains(stderr, r.token) || strings.Contains(stderr, "another-token") {
			t.Errorf("%s: the message repeats the token: %s", row.name, stderr)
		}
	}
}

// A token must not cross a network in the clear, and other machines' gates are not ours to switch.
func TestAddressesThatAreRefused(t *testing.T) {
	for address, want := range map[string]string{
		"unix:":                   "must be unix:/path or a loopback host:port",
		"/run/approovgate/a.sock": "must be unix:/path or a loopback host:port",
		"127.0.0.1":               "must be unix:/path or a loopback host:port",
		"127.0.0.1:":              "must be unix:/path or a loopback host:port",
		":9903":                   "forward a port with ssh -L",
		"0.0.0.0:9903":            "forward a port with ssh -L",
		"192.0.2.1:9903":          "forward a port with ssh -L",
		"gate.example:9903":       "forward a port with ssh -L",
		"[2001:db8::1]:9903":      "forward a port with ssh -L",
		"http://127.0.0.1:9903":   "must be unix:/path or a loopback host:port",
		"127.0.0.1:99 03":         "must be unix:/path or a loopback host:port",
	} {
		status, _, stderr := newRig(t).plain("status", "--admin", address)
		if status != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: got %d, %q, want %d and %q", address, status, stderr, exitUsage, want)
		}
	}
	var a adminClient
	if err := a.dial("[::1]:9903"); err != nil || a.network != "tcp" {
		t.Errorf("[::1]:9903: got %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	r := newRig(t)
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "a.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // what a gate that was killed leaves behind
	write(t, filepath.Join(dir, "file"), "", 0o600)
	tcp := porttest.Free(t)
	for address, want := range map[string]string{
		"unix:" + socket:                     "nobody listens at unix:" + socket + "; the gate has ended and left its socket behind: start it again",
		"unix:" + filepath.Join(dir, "file"): "start it again",
		tcp:                                  "nobody listens at " + tcp + "; is the gate running, and is admin set in its gate file?",
		"unix:" + strings.Repeat("x", 200):   "cannot be talked to: ",
	} {
		if status, _, stderr := r.plain("bypass", "--admin", address); status != exitProblem || !strings.Contains(stderr, want) {
			t.Errorf("%s: got %d, %q, want %q", address, status, stderr, want)
		}
	}
}

// Root is never refused, so the error is made.
func TestPermissionDenied(t *testing.T) {
	a := &adminClient{network: "unix", address: "/run/x.sock"}
	err := a.unreachable(context.Background(), http.MethodGet, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if want := "permission denied at unix:/run/x.sock; run this as the gate's user, for example: sudo -u approovgate approovgate status"; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}

func TestGateThatHangs(t *testing.T) {
	r := newRig(t)
	r.console.patience = 50 * time.Millisecond
	hang := func(w http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	r.override["GET /status"] = hang
	status, _, stderr := r.run("status")
	if want := "approovgate: no answer from unix:" + r.socket + " within 50ms; does the gate hang, or the machine?\n"; status != exitProblem || stderr != want {
		t.Errorf("got %d, %q, want %q", status, stderr, want)
	}
	a := &adminClient{network: "tcp", address: "127.0.0.1:1", patience: time.Second}
	over, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	if err := a.unreachable(over, http.MethodPut, errors.New("x")); !strings.HasSuffix(err.Error(), "the gate may have made the change all the same: look with approovgate status") {
		t.Errorf("a change: got %s", err)
	}
}

// What answers at the address may be another server, or a gate of another version.
func TestAnswersThatAreNotAGates(t *testing.T) {
	for _, row := range []struct {
		name, kind, text string
		status           int
		want             string
	}{
		{"an old gate, or the status port", "text/plain", "404 page not found\n", 404, "answers 404 to /status; is its gate an older version? Or is this the socket that admin names in the gate file?"},
		{"the data port", "application/json", `{"error":"unauthorized"}`, 401, "answers 401 to /status; is this the socket that admin names"},
		{"a web server", "text/html", "<html>", 200, "does not answer /status as a gate does; is this the socket"},
		{"JSON that broke off", "application/json", `{"name":`, 200, "does not answer /status as a gate does"},
		{"JSON of another kind", "application/json", `{"clock":"noon"}`, 200, "in a way that this version does not understand; is one of the two older? --json shows the answer"},
		{"a redirect", "text/html", "", 302, "answers 302 to /status"},
		{"a refusal without a reason", "application/problem+json", `{"title":"Forbidden"}`, 403, "the gate refuses it: Forbidden (403)"},
		{"a refusal that cannot be read", "application/problem+json", `[`, 403, "answers 403 to /status"},
	} {
		r := newRig(t)
		r.answers("GET /status", row.kind, row.text, row.status)
		if status, stdout, stderr := r.run("status"); status != exitProblem || stdout != "" || !strings.Contains(stderr, row.want) {
			t.Errorf("%s: got %d, %q, %q, want %d and %q", row.name, status, stdout, stderr, exitProblem, row.want)
		}
	}
	r := newRig(t)
	r.override["GET /status"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range maxAnswer/1024 + 2 {
			_, _ = io.WriteString(w, strings.Repeat(" ", 1024))
		}
	}
	if status, _, stderr := r.run("status"); status != exitProblem || !strings.Contains(stderr, "is longer than 8388608 bytes") {
		t.Errorf("an answer without an end: got %d, %q", status, stderr)
	}
	r.answers("PUT /control", "application/json", "{}", http.StatusOK)
	if status, _, stderr := r.run("log"); status != exitProblem || !strings.Contains(stderr, "look with approovgate status") {
		t.Errorf("a change that is answered with nothing: got %d, %q", status, stderr)
	}
	r.answers("GET /report", "application/problem+json", `{"title":"Not Found","problems":[{"path":"","text":"this gate keeps no report"}]}`, http.StatusNotFound)
	if status, _, stderr := r.run("report"); status != exitProblem || stderr != "approovgate: this gate keeps no report\n" {
		t.Errorf("a gate without a report: got %d, %q", status, stderr)
	}
}
