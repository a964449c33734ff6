package attestd_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/attestd"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// Everything goes to PostgreSQL but nonces: none that was handed out before is good afterwards, spent or not.
func TestCopyToPostgreSQL(t *testing.T) {
	s := startService(t, t.TempDir())
	a := newApps(t, s)
	client := a.client(s, 1)
	answer, err := client.attest()
	if err != nil || !s.isValid(t, answer) {
		t.Fatalf("got no valid token, %v", err)
	}
	spent, nonce := client.last, nonceOf(t, client.last)
	s.kill()
	url := pgtest.Shared(t).Database(t)
	command(t, "copy", "--data", s.data, "--to", url)

	moved := startService(t, s.data, "--db", url)
	client.base = moved.url()
	if again, err := client.send(spent, nonce); err != nil || moved.isValid(t, again) {
		t.Errorf("a nonce spent before: got a valid token or %v", err)
	}
	if answer, err = client.attest(); err != nil || moved.isValid(t, answer) {
		t.Errorf("a nonce handed out before: got a valid token or %v", err)
	}
	if answer, err = client.attest(); err != nil || !moved.isValid(t, answer) {
		t.Errorf("a new nonce: got no valid token, %v", err)
	}
	var list attestapi.Registrations
	if moved.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list); len(list.Registrations) != 1 {
		t.Errorf("registrations: got %d, want 1", len(list.Registrations))
	}
}

// A backup taken while the service runs is a whole database; with the sealing key beside it a service starts on it.
func TestBackup(t *testing.T) {
	s := startService(t, t.TempDir())
	newApps(t, s)
	restored := t.TempDir()
	command(t, "backup", "--data", s.data, filepath.Join(restored, "accounts.db"))
	for _, name := range []string{"sealing.key", "admin.tok"} {
		text, err := os.ReadFile(filepath.Join(s.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(restored, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := startService(t, restored)
	var list attestapi.Registrations
	if again.manage(t, http.MethodGet, attestapi.PathRegistrations, nil, &list); len(list.Registrations) != 1 {
		t.Errorf("registrations: got %d, want 1", len(list.Registrations))
	}
}

// A service that ended between writing its first account and naming the files of its tokens names them the next time,
// and throws away those of an account that was never written.
func TestTokenFilesAreNamedTheNextTime(t *testing.T) {
	s := startService(t, t.TempDir())
	s.kill()
	rename := func(from, to string) {
		if err := os.Rename(filepath.Join(s.data, from), filepath.Join(s.data, to)); err != nil {
			t.Fatal(err)
		}
	}
	rename("admin.tok", "admin.tok.new")
	if err := os.WriteFile(filepath.Join(s.data, "dev.tok.new"), []byte("of another account\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := startService(t, s.data)
	again.approov(t, "whoami")
	if left, err := filepath.Glob(filepath.Join(s.data, "*.new")); err != nil || len(left) != 0 {
		t.Errorf("got %v left, %v, want none", left, err)
	}
}

// What attestserver refuses to start with, and what it says.
func TestMistakes(t *testing.T) {
	for _, row := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"an unknown command", []string{"serve"}, 2, `unknown command "serve"`},
		{"an address others can reach, without TLS", []string{"--listen", ":8484"}, 2, "--cert and --key-file, or --plain"},
		{"a public address, and apps are not told", []string{"--listen", ":8484", "--plain"}, 2, "--url is missing"},
		{"apps would have to send http", []string{"--url", "http://attest.example.com"}, 2, "must be https"},
		{"apps would have to look up a name for http", []string{"--url", "http://localhost:8484"}, 2, "by its address"},
		{"half a certificate", []string{"--cert", "cert.pem"}, 2, "belong together"},
		{"a key on the command line", []string{"--key", "c2VjcmV0"}, 2, "shows in ps"},
		{"a certificate that is not there", []string{"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--cert", "/absent", "--key-file", "/absent"}, 1, "/absent"},
		{"a backup without a file", []string{"backup"}, 2, "wants the file"},
		{"a backup of PostgreSQL", []string{"backup", "--db", "postgres://h/d", "f"}, 2, "pg_dump"},
		{"a proxy that is no network", []string{"--trusted-proxy", "here"}, 2, "10.0.0.0/8"},
		{"another account where there is none", []string{"add", "--data", t.TempDir(), "--account", "b"}, 1, "there is no database in"},
	} {
		var out, errs bytes.Buffer
		if status := attestd.Run(row.args, &out, &errs); status != row.status || !bytes.Contains(errs.Bytes(), []byte(row.want)) {
			t.Errorf("%s: got status %d and %q, want %d and %q in it", row.name, status, errs.String(), row.status, row.want)
		}
	}
}

// A second account is another world: its app configuration, its secrets, its tokens.
func TestAnotherAccount(t *testing.T) {
	s := startService(t, t.TempDir())
	secret := filepath.Join(t.TempDir(), "secret")
	s.approov(t, "secret", "-get", "-file", secret)
	command(t, "add", "--data", s.data, "--account", "staging", "--secret", "file:"+secret)
	var out bytes.Buffer
	if status := attestd.Run([]string{"add", "--data", s.data, "--account", "staging"}, &out, &out); status != 1 {
		t.Errorf("the same account again: got status %d, want 1", status)
	}
	eventually(t, "the running service knows the account", func() string {
		text, err := s.tryApproov(t, filepath.Join(s.data, "staging-admin.tok"), "whoami")
		if err != nil || !bytes.Contains([]byte(text), []byte("staging")) {
			return text
		}
		return ""
	})
	own, err := s.tryApproov(t, filepath.Join(s.data, "staging-admin.tok"), "secret", "-get")
	if text, readErr := os.ReadFile(secret); err != nil || readErr != nil || !bytes.Contains([]byte(own), bytes.TrimSpace(text)) {
		t.Errorf("the secret that was taken over: got another one, %v, %v", err, readErr)
	}
}

// command runs a command of attestserver that must succeed.
func command(t *testing.T, args ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := attestd.Run(args, &out, &errs); status != 0 {
		t.Fatalf("attestserver %q: got status %d: %s", args, status, &errs)
	}
}
