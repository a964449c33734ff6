package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

func TestTLSVersions(t *testing.T) {
	a := startAPI(t)
	gates := map[string]*gate{}
	for _, least := range []string{"1.2", "1.3"} {
		file := a.file()
		file["tls"] = settings{"cert": "server.pem", "key": "server.key", "min_version": least}
		gates[least] = start(t, file)
	}
	for _, row := range []struct {
		name, least string
		version     uint16
		want        bool
	}{
		{"TLS 1.0 is refused", "1.2", tls.VersionTLS10, false},
		{"TLS 1.1 is refused", "1.2", tls.VersionTLS11, false},
		{"TLS 1.2 is spoken", "1.2", tls.VersionTLS12, true},
		{"TLS 1.3 is spoken", "1.2", tls.VersionTLS13, true},
		{"TLS 1.2 is refused where 1.3 is the least", "1.3", tls.VersionTLS12, false},
		{"TLS 1.3 is spoken where it is the least", "1.3", tls.VersionTLS13, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := testAuthority.client("h2", "http/1.1")
			c.MinVersion, c.MaxVersion = row.version, row.version
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", gates[row.least].secure, c)
			if err == nil {
				defer conn.Close()
				if got := conn.ConnectionState().Version; got != row.version {
					t.Errorf("got %s, want %s", tls.VersionName(got), tls.VersionName(row.version))
				}
			}
			if (err == nil) != row.want {
				t.Errorf("got error %v, want a handshake: %t", err, row.want)
			}
		})
	}
}

// TestCertificateIsReplacedWhileConnectionsLive swaps the files under a gate whose clients stay connected.
func TestCertificateIsReplacedWhileConnectionsLive(t *testing.T) {
	a := startAPI(t)
	g := start(t, a.file())
	old := g.client(t, "h2")
	ask := func(when string) {
		t.Helper()
		if got := old.status(t, "/hello"); got != http.StatusOK {
			t.Errorf("%s: got status %d over the connection from before, want 200", when, got)
		}
	}
	shown := func(when, want string) {
		t.Helper()
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", g.secure, testAuthority.client("h2"))
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s: got certificate %q, want %q", when, got, want)
		}
	}
	ask("at first")
	shown("at first", "server")

	next := testAuthority.issue(t, "second")
	g.writePair(next)
	if got := g.reload(); !strings.Contains(got, `"msg":"reloaded"`) {
		t.Errorf("a new pair: got %s, want reloaded", got)
	}
	shown("after the new pair", "second")
	ask("after the new pair")

	for _, broken := range []struct {
		name string
		pair issued
	}{
		{"a key of another certificate", issued{next.certificate, testAuthority.issue(t, "third").key}},
		{"half a certificate", issued{next.certificate[:len(next.certificate)/2], next.key}},
		{"empty files", issued{}},
	} {
		g.writePair(broken.pair)
		if got := g.reload(); !strings.Contains(got, `"msg":"reload failed`) {
			t.Errorf("%s: got %s, want that the reload failed", broken.name, got)
		}
		shown("after "+broken.name, "second")
		ask("after " + broken.name)
	}

	g.writePair(testAuthority.issue(t, "fourth"))
	if got := g.reload(); !strings.Contains(got, `"msg":"reloaded"`) {
		t.Errorf("a good pair again: got %s, want reloaded", got)
	}
	shown("after a good pair again", "fourth")
	ask("after a good pair again")
	if got := old.dialed.Load(); got != 1 {
		t.Errorf("the client has connected %d times, want once", got)
	}
}

// TestKeyUpdatesAreAnswered has OpenSSL ask for new keys (RFC 8446 §4.6.3) between requests, and use them.
func TestKeyUpdatesAreAnswered(t *testing.T) {
	a := startAPI(t)
	g := start(t, a.file())
	s := openTLS(t, g.secure)
	for round := range 20 {
		for range 4 {
			s.updateKeys()
		}
		s.say("GET /open/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(s.out, nil)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // read to its end
		if err != nil || response.StatusCode != http.StatusOK || string(body) != "hello\n" {
			t.Fatalf("round %d: got status %d with %q, %v; want 200 with hello", round, response.StatusCode, body, err)
		}
	}
}

// TestEndlessKeyUpdatesAreCutOff does nothing but ask for new keys: each is work for the gate and none for the client.
func TestEndlessKeyUpdatesAreCutOff(t *testing.T) {
	a := startAPI(t)
	g := start(t, a.file())
	s := openTLS(t, g.secure)
	const most = 1000
	for n := range most {
		if _, err := io.WriteString(s.in, "K\n"); err != nil || !s.updated.Scan() {
			t.Logf("cut off after %d", n)
			return
		}
	}
	t.Errorf("got %d new keys without a single request, want the connection closed", most)
}

// openSSL is OpenSSL's client, which sends what it is told but for lines that begin with K, which ask for new keys.
type openSSL struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	updated *bufio.Scanner // gets a line for each action
}

func openTLS(t *testing.T, address string) *openSSL {
	t.Helper()
	path := program(t, "openssl", "openssl")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	command := exec.CommandContext(ctx, path, "s_client", "-quiet", "-no_ign_eof", "-verify_quiet", "-CAfile", testAuthority.file(t), "-tls1_3", "-connect", address)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	actions, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // killed: the error says so
	})
	return &openSSL{t: t, in: in, out: bufio.NewReader(out), updated: bufio.NewScanner(actions)}
}

func (s *openSSL) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatal(err)
	}
}

// updateKeys asks for new keys, and returns when that is sent.
func (s *openSSL) updateKeys() {
	s.t.Helper()
	s.say("K\n")
	for s.updated.Scan() {
		if s.updated.Text() == "KEYUPDATE" {
			return
		}
	}
	s.t.Fatalf("openssl has ended; want KEYUPDATE")
}
