package proxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

func TestDecodeAdmin(t *testing.T) {
	type tree = map[string]any
	for _, row := range []struct {
		name    string
		changes tree
		want    []string // paths of all errors; none: it is accepted
	}{
		{"none", tree{"admin": "", "admin_token": ""}, nil},
		{"a socket", tree{"admin": "unix:/run/approovgate/admin.sock"}, nil},
		{"a loopback address", tree{"admin": "127.0.0.1:9903", "admin_token": "file:token"}, nil},
		{"another loopback address", tree{"admin": "127.1.2.3:9903", "admin_token": "env:TOKEN"}, nil},
		{"a loopback address of IPv6", tree{"admin": "[::1]:9903", "admin_token": "env:TOKEN"}, nil},
		{"a port that the system chooses", tree{"admin": "127.0.0.1:0", "admin_token": "env:TOKEN", "listen": "127.0.0.1:0", "status": "127.0.0.1:0"}, nil},

		{"all addresses", tree{"admin": ":9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"all addresses of IPv4", tree{"admin": "0.0.0.0:9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"all addresses of IPv6", tree{"admin": "[::]:9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"an address of the network", tree{"admin": "10.0.0.1:9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"a name, which could mean anything", tree{"admin": "localhost:9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"an address without a port", tree{"admin": "127.0.0.1", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"a URL", tree{"admin": "http://127.0.0.1:9903", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"a relative socket", tree{"admin": "unix:admin.sock"}, []string{"admin"}},
		{"a socket without a path", tree{"admin": "unix:"}, []string{"admin"}},
		{"a socket too long", tree{"admin": "unix:/" + strings.Repeat("x", 107)}, []string{"admin"}},
		{"a path", tree{"admin": "/run/approovgate/admin.sock"}, []string{"admin"}},
		{"a number", tree{"admin": 9903}, []string{"admin"}},
		{"null", tree{"admin": nil}, []string{"admin"}},

		{"an address without a token", tree{"admin": "127.0.0.1:9903"}, []string{"admin_token"}},
		{"a socket with a token", tree{"admin": "unix:/a", "admin_token": "file:token"}, []string{"admin_token"}},
		{"a token for nothing", tree{"admin_token": "file:token"}, []string{"admin_token"}},
		{"a token itself", tree{"admin": "127.0.0.1:9903", "admin_token": "0123456789abcdef"}, []string{"admin_token"}},
		{"a token in the file", tree{"admin": "127.0.0.1:9903", "admin_token": "inline:0123456789abcdef"}, []string{"admin_token"}},
		{"a token in no file", tree{"admin": "127.0.0.1:9903", "admin_token": "file:"}, []string{"admin_token"}},

		{"a listen address", tree{"admin": "127.0.0.1:8080", "admin_token": "env:TOKEN"}, []string{"admin"}},
		{"a listen address, among all", tree{"admin": "127.0.0.1:8080", "admin_token": "env:TOKEN", "listen": []any{":1", ":8080"}}, []string{"admin"}},
		{"a listen socket", tree{"admin": "unix:/run/gate.sock", "listen": "unix:/run//gate.sock"}, []string{"admin"}},
		{"the status address", tree{"admin": "127.0.0.1:9902", "admin_token": "env:TOKEN", "status": "0.0.0.0:9902"}, []string{"admin"}},
		{"the upstream", tree{"admin": "127.0.0.1:9000", "admin_token": "env:TOKEN"}, []string{"upstream"}},
		{"the upstream by name", tree{"admin": "127.0.0.1:9000", "admin_token": "env:TOKEN", "upstream": "http://LOCALHOST:9000"}, []string{"upstream"}},
		{"the upstream without a port", tree{"admin": "127.0.0.1:80", "admin_token": "env:TOKEN", "upstream": "h2c://localhost"}, []string{"upstream"}},
		{"the upstream's socket", tree{"admin": "unix:/run/a.sock", "upstream": "unix:/run/x/../a.sock"}, []string{"upstream"}},
		{"another port of the upstream", tree{"admin": "127.0.0.1:9001", "admin_token": "env:TOKEN"}, nil},
		{"the upstream's port on another machine", tree{"admin": "127.0.0.1:9000", "admin_token": "env:TOKEN", "upstream": "http://10.0.0.1:9000"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := tree{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy": tree{"keys": keysOfTest()}}
			for key, value := range row.changes {
				all[key] = value
			}
			_, problems := DecodeConfig(all)
			var got []string
			for _, p := range problems {
				if !p.Warning {
					got = append(got, p.Path)
				}
				if strings.Contains(p.Text, "0123456789abcdef") {
					t.Errorf("%s: got a problem that repeats the token: %s", p.Path, p.Text)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got problems at %q, want at %q: %v", got, row.want, problems)
			}
		})
	}
}

// TestAdminTokenIsJudgedAtTheStart: check and run find a token that cannot be used, from the gate file's folder.
func TestAdminTokenIsJudgedAtTheStart(t *testing.T) {
	const good = "0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	file := filepath.Join(dir, "gate.yaml")
	write(t, file, "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:1\nadmin: 127.0.0.1:0\nadmin_token: file:token\npolicy: {keys: [{name: a, alg: HS256, secret: env:APPROOVGATE_TEST_SECRET}]}\n")
	t.Setenv("APPROOVGATE_TEST_SECRET", "dGVzdCBrZXkgb2YgdGhlIHNjcmlwdHMsIG5ldmVyIHVzZWQgZm9yIGFueXRoaW5nIGVsc2Uu")
	for _, row := range []struct {
		name, text string
		mode       os.FileMode // 0: there is no file
		want       string      // in the only problem; empty: none
		warning    bool
	}{
		{"a good one", good + "\n", 0o600, "", false},
		{"none", "", 0, "cannot be read: no such file or directory", false},
		{"one too short", "0123456789abcde", 0o600, "has 15 bytes, at least 16 are needed", false},
		{"one of two words", "0123456789 abcdef", 0o600, "must be one word", false},
		{"one that anyone may write", good, 0o622, "can be written by others", false},
		{"one that anyone may read", good, 0o644, "is world-readable", true},
	} {
		path := filepath.Join(dir, "token")
		_ = os.Remove(path) // of the row before
		if row.mode != 0 {
			write(t, path, row.text)
			if err := os.Chmod(path, row.mode); err != nil {
				t.Fatal(err)
			}
		}
		problems := (&Proxy{File: file}).Load()
		if row.want == "" && len(problems) > 0 || row.want != "" && (len(problems) != 1 || problems[0].Path != file+": admin_token" ||
			!strings.Contains(problems[0].Text, row.want) || config.Failed(problems) == row.warning) {
			t.Errorf("%s: got %v, want one problem with %q, a warning: %t", row.name, problems, row.want, row.warning)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "0123456789") {
				t.Errorf("%s: got %s, want a problem that does not repeat the token", row.name, p)
			}
		}
	}
}
