//go:build linux

package reliability

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// generation is an account's secret after so many rotations: a test key, of no account.
func generation(n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "test key generation %12d", n), 2)
}

// The key that tokens are made with stands first: a reader that goes through the list while files change then meets it in
// one of the two files.
const twoKeys = "{keys: [{name: new, alg: HS256, secret: file:secrets/new}, {name: old, alg: HS256, secret: file:secrets/old}]}"

// Ways in which files are replaced. Each gets a folder and what is to be in it.
var replacements = []struct {
	name    string
	replace func(t *testing.T, dir string, files map[string][]byte)
}{
	{"a folder that a link names, as Kubernetes does", func(t *testing.T, dir string, files map[string][]byte) {
		next, err := os.MkdirTemp(dir, "..generation")
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range files {
			secret(t, filepath.Join(next, name), key)
		}
		link(t, filepath.Base(next), filepath.Join(dir, "..data"))
		for name := range files {
			if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
				link(t, filepath.Join("..data", name), filepath.Join(dir, name))
			}
		}
	}},
	{"one file renamed after the other", func(t *testing.T, dir string, files map[string][]byte) {
		for _, name := range []string{"old", "new"} {
			secret(t, filepath.Join(dir, name+".next"), files[name])
			if err := os.Rename(filepath.Join(dir, name+".next"), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"one file rewritten in place after the other", func(t *testing.T, dir string, files map[string][]byte) {
		for _, name := range []string{"old", "new"} {
			secret(t, filepath.Join(dir, name), files[name])
		}
	}},
}

// link points name at target, in one step.
func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".next", name); err != nil {
		t.Fatal(err)
	}
}

// TestRotationRefusesNoTokenThatIsValid replaces the secrets again and again under load, while the process is told to
// read them at any moment. Tokens of the key that moves from new to old must be accepted throughout, forged ones never,
// and those of a key that was retired not any more.
func TestRotationRefusesNoTokenThatIsValid(t *testing.T) {
	for _, way := range replacements {
		t.Run(way.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
				t.Fatal(err)
			}
			backend := newAPI(t, 0, 0)
			file := gateFile{upstream: backend.url, policy: twoKeys, more: []string{"log: {sample: 1}"}}.write(t, dir)
			put := func(newest int) {
				way.replace(t, filepath.Join(dir, "secrets"), map[string][]byte{"new": generation(newest), "old": generation(newest - 1)})
			}
			put(1)
			s := start(t, file)
			u := &users{url: "http://" + s.listen + "/"}
			u.hold(token(t, generation(1)))
			end := u.start(t)
			defer end() // a failed test must not leave them behind
			turns := rounds(20, 200)
			for n := 2; n <= turns+1; n++ {
				u.hold(token(t, generation(n-1))) // issued before the rotation, used during and after it
				stop := nag(t, s)
				put(n)
				stop()
				accepted := token(t, generation(n))
				until(t, "a token of the new key is accepted", func() bool {
					s.signal(t, reload)
					return get(http.DefaultClient, u.url, accepted).status == http.StatusOK
				})
			}
			retired := token(t, generation(turns-1))
			until(t, "a token of the retired key is refused", func() bool {
				return get(http.DefaultClient, u.url, retired).status == http.StatusUnauthorized
			})
			end()
			t.Logf("%d rotations: %d valid tokens accepted, %d refused; %d forged ones refused", turns, u.accepted.Load(), u.falseRejects.Load(), u.refused.Load())
		})
	}
}

// nag tells the process to read its files again, all the time, until stop is called.
func nag(t *testing.T, s *sidecar) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = s.process.Signal(reload) // one that has ended shows elsewhere
			}
		}
	})
	return func() { close(done); all.Wait() }
}

// users send requests with a token that is valid, and forgers some that are not.
type users struct {
	url  string
	pace time.Duration // between two requests of each; 0: none

	mu    sync.RWMutex // guards token, and is held for reading while it is used
	token string       // one that must be accepted

	accepted, falseRejects, refused, falseAccepts, broken atomic.Int64
}

// hold gives them another token. None is under way with the old one when it returns.
func (u *users) hold(token string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token = token
}

// start lets them go on until the returned function is called, which then judges.
func (u *users) start(t *testing.T) (end func()) {
	t.Helper()
	stop := make(chan struct{})
	client, forged := newClient(t, 8, false), token(t, keyB)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			tick := time.NewTicker(max(u.pace, 1))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				u.ask(client, forged, n%4 == 0)
				if u.pace > 0 {
					<-tick.C
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(stop)
		all.Wait()
		client.CloseIdleConnections()
		if n := u.falseRejects.Load(); n > 0 {
			t.Errorf("%d of %d valid tokens were refused, want none", n, n+u.accepted.Load())
		}
		if n := u.falseAccepts.Load(); n > 0 {
			t.Errorf("%d forged tokens were accepted, want none", n)
		}
		if n := u.broken.Load(); n > 0 {
			t.Errorf("%d requests got neither verdict, want none", n)
		}
	})
}

func (u *users) ask(client *http.Client, forged string, forge bool) {
	if forge {
		count(refused(client, u.url, forged), &u.falseAccepts, &u.refused, &u.broken)
		return
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	count(get(client, u.url, u.token), &u.accepted, &u.falseRejects, &u.broken)
}

func count(a answer, accepted, refused, broken *atomic.Int64) {
	switch {
	case a.err == nil && a.status == http.StatusOK:
		accepted.Add(1)
	case a.err == nil && a.status == http.StatusUnauthorized:
		refused.Add(1)
	default:
		broken.Add(1)
	}
}

// TestBrokenFilesChangeNoVerdict writes one broken gate file after the other under load and has the process read it.
func TestBrokenFilesChangeNoVerdict(t *testing.T) {
	dir := t.TempDir()
	backend := newAPI(t, 0, 0)
	g := gateFile{upstream: backend.url, more: []string{"log: {sample: 1}"}}
	s := start(t, g.write(t, dir))
	u := &users{url: "http://" + s.listen + "/"}
	u.hold(token(t, keyA))
	end := u.start(t)
	defer end() // a failed test must not leave them behind
	broken := map[string]string{
		"no YAML":             garbage,
		"nothing":             "",
		"cut off":             g.text()[:len(g.text())/2],
		"an unknown key":      g.text() + "bypass: true\n",
		"a secret not there":  gateFile{upstream: backend.url, policy: "{keys: [{name: account, alg: HS256, secret: file:gone}]}"}.text(),
		"a route twice":       gateFile{upstream: backend.url, policy: "{keys: [{name: account, alg: HS256, secret: file:account.secret}], routes: [{name: a, paths: [/x]}, {name: a, paths: [/y]}]}"}.text(),
		"too large":           g.text() + "# " + string(bytes.Repeat([]byte("x"), 2<<20)),
		"a mode that is none": gateFile{upstream: backend.url, policy: "{mode: open, keys: [{name: account, alg: HS256, secret: file:account.secret}]}"}.text(),
	}
	failures := `approovgate_config_reloads_total{result="failure"}`
	for range rounds(2, 125) {
		for name, text := range broken {
			before := s.metric(t, failures)
			overwrite(t, dir, "gate.yaml", text)
			s.signal(t, reload)
			until(t, "the failure of reading "+name+" is counted", func() bool { return s.metric(t, failures) > before })
			if s.metric(t, "approovgate_config_failing") != 1 {
				t.Errorf("%s: approovgate_config_failing is not 1", name)
			}
		}
	}
	g.write(t, dir)
	s.signal(t, reload)
	until(t, "the good file is in force", func() bool { return s.metric(t, "approovgate_config_failing") == 0 })
	end()
	t.Logf("%s broken files read: %d valid tokens accepted, %d refused; %d forged ones refused", strconv.Itoa(rounds(2, 125)*len(broken)),
		u.accepted.Load(), u.falseRejects.Load(), u.refused.Load())
}
