//go:build linux

package reliability

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	live     = "200 live"
	isReady  = "200 ready"
	noKey    = "503 no usable key"
	draining = "503 draining"
)

// window is a policy whose one key may be used for a time that is given from now.
func window(from, to time.Duration) string {
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	return fmt.Sprintf("{keys: [{name: account, alg: HS256, secret: file:account.secret, not_before: %q, not_after: %q}]}", at(from), at(to))
}

const garbage = "policy: [this is no policy"

// TestReadinessTellsTheTruth holds, for each state that the process can be in, what /live and /ready say and what becomes
// of a genuine request: ready means that it is served.
func TestReadinessTellsTheTruth(t *testing.T) {
	backend := newAPI(t, 0, 0)
	for _, row := range []struct {
		name  string
		file  gateFile
		after func(t *testing.T, dir string) // what happens once it serves, and is read when it is told to
		live  string
		ready string
		want  int // the status of a genuine request
	}{
		{"all is well", gateFile{}, nil, live, isReady, 200},
		{"the upstream is down", gateFile{upstream: "http://127.0.0.1:1"}, nil, live, isReady, 502},
		{"checks are switched off", gateFile{policy: "{mode: bypass, keys: [{name: account, alg: HS256, secret: file:account.secret}]}"}, nil, live, isReady, 200},
		{"the only key's window is over", gateFile{policy: window(-2*time.Hour, -time.Hour)}, nil, live, noKey, 401},
		{"the only key's window has not begun", gateFile{policy: window(time.Hour, 2*time.Hour)}, nil, live, noKey, 401},
		{"one of two keys is in its window", gateFile{policy: `{keys: [{name: old, alg: HS256, secret: file:account.secret, not_after: "2020-01-01T00:00:00Z"},
  {name: new, alg: HS256, secret: file:account.secret}]}`}, nil, live, isReady, 200},
		{"the secret's file is gone", gateFile{}, func(t *testing.T, dir string) { remove(t, dir, "account.secret") }, live, isReady, 200},
		{"the secret is garbage", gateFile{}, func(t *testing.T, dir string) { overwrite(t, dir, "account.secret", "***") }, live, isReady, 200},
		{"the secret is empty", gateFile{}, func(t *testing.T, dir string) { overwrite(t, dir, "account.secret", "") }, live, isReady, 200},
		{"everyone may write the secret", gateFile{}, func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "account.secret"), 0o666); err != nil {
				t.Fatal(err)
			}
		}, live, isReady, 200},
		{"the gate file is garbage", gateFile{}, func(t *testing.T, dir string) { overwrite(t, dir, "gate.yaml", garbage) }, live, isReady, 200},
		{"the gate file is gone", gateFile{}, func(t *testing.T, dir string) { remove(t, dir, "gate.yaml") }, live, isReady, 200},
		{"the policy has no keys any more", gateFile{}, func(t *testing.T, dir string) {
			overwrite(t, dir, "gate.yaml", gateFile{upstream: backend.url, policy: "{keys: []}"}.text())
		}, live, isReady, 200},
		{"a reload brings a key whose window is over", gateFile{}, func(t *testing.T, dir string) {
			overwrite(t, dir, "gate.yaml", gateFile{upstream: backend.url, policy: window(-2*time.Hour, -time.Hour)}.text())
		}, live, noKey, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if row.file.upstream == "" {
				row.file.upstream = backend.url
			}
			s := start(t, row.file.write(t, dir))
			if row.after != nil {
				row.after(t, dir)
				s.signal(t, reload)
				until(t, "the reload is logged", func() bool { return s.log.find(`"msg":"reload`) != "" })
			}
			s.wants(t, row.live, row.ready, row.want)
		})
	}
}

// wants compares what the process says of itself, and does, with what is wanted.
func (s *sidecar) wants(t *testing.T, live, ready string, status int) {
	t.Helper()
	if got := s.probe("/live"); got != live {
		t.Errorf("/live: got %q, want %q", got, live)
	}
	if got := s.probe("/ready"); got != ready {
		t.Errorf("/ready: got %q, want %q", got, ready)
	}
	if a := get(newClient(t, 1, false), "http://"+s.listen+"/", token(t, keyA)); a.err != nil || a.status != status {
		t.Errorf("a genuine request: got %d, %v; want %d", a.status, a.err, status)
	}
}

func overwrite(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestAnUnusableConfigurationDoesNotStart: what cannot be used at the start ends the process before it listens, since
// there is no last good one.
func TestAnUnusableConfigurationDoesNotStart(t *testing.T) {
	taken := newAPI(t, 0, 0)
	address := taken.url[len("http://"):]
	for _, row := range []struct {
		name   string
		file   gateFile
		before func(t *testing.T, dir string)
		want   int
	}{
		{"the gate file is garbage", gateFile{}, func(t *testing.T, dir string) { overwrite(t, dir, "gate.yaml", garbage) }, 1},
		{"the gate file is not there", gateFile{}, func(t *testing.T, dir string) { remove(t, dir, "gate.yaml") }, 1},
		{"the secret is not there", gateFile{}, func(t *testing.T, dir string) { remove(t, dir, "account.secret") }, 1},
		{"the secret is weak", gateFile{}, func(t *testing.T, dir string) { overwrite(t, dir, "account.secret", "c2hvcnQ=") }, 1},
		{"there are no keys", gateFile{policy: "{keys: []}"}, nil, 1},
		{"the address is taken", gateFile{listen: address}, nil, 1},
		{"the status address is taken", gateFile{status: address}, nil, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			row.file.upstream = "http://127.0.0.1:1"
			file := row.file.write(t, dir)
			if row.before != nil {
				row.before(t, dir)
			}
			s := launch(t, command(t, file))
			if got := s.exitCode(t, patience); got != row.want {
				t.Errorf("got exit status %d, want %d", got, row.want)
			}
			if line := s.log.find(`"msg":"started"`); line != "" {
				t.Errorf("got %s, want it never to serve", line)
			}
		})
	}
}

// TestReadinessFollowsTheKeysWindow waits for a window to begin, and for another to end, while the process runs. Until then
// there is time to start the process and to ask it, also on a machine that does other things.
func TestReadinessFollowsTheKeysWindow(t *testing.T) {
	backend := newAPI(t, 0, 0)
	t.Run("both", func(t *testing.T) { // returns when those inside have
		for _, row := range []struct {
			name, policy  string
			before, after string
			first, then   int
		}{
			{"a window begins", window(patience/2, time.Hour), noKey, isReady, 401, 200},
			{"a window ends", window(-time.Hour, patience/2), isReady, noKey, 200, 401},
		} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				s := start(t, gateFile{upstream: backend.url, policy: row.policy}.write(t, t.TempDir()))
				s.wants(t, live, row.before, row.first)
				until(t, "/ready says "+row.after, func() bool { return s.probe("/ready") == row.after })
				s.wants(t, live, row.after, row.then)
			})
		}
	})
}

// TestReadinessWhileDraining: after SIGTERM the process says that it is not ready, and serves; a second one ends it.
func TestReadinessWhileDraining(t *testing.T) {
	backend := newAPI(t, 0, 0)
	s := start(t, gateFile{upstream: backend.url, more: []string{"limits: {drain_delay: 1h}"}}.write(t, t.TempDir()))
	s.signal(t, terminated)
	until(t, "/ready says that it drains", func() bool { return s.probe("/ready") == draining })
	s.wants(t, live, draining, http.StatusOK)
	if a := get(newClient(t, 1, false), "http://"+s.listen+"/", token(t, keyA)); a.err != nil || !a.last {
		t.Errorf("a response while draining: got %v, closing %v; want its connection closed", a.err, a.last)
	}
	s.signal(t, terminated)
	if got := s.exitCode(t, patience); got != -1 {
		t.Errorf("after the second signal: got exit status %d, want the signal's end", got)
	}
}
