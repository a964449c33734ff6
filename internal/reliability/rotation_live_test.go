//go:build linux

package reliability

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// retirement is how long after its end a secret may still be taken.
const retirement = 10 * time.Second

// unheard replaces files through other names, which the gate does not know of: so nothing tells it, as on network file
// systems.
func unheard(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	aside := dir + ".aside"
	if err := os.MkdirAll(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "new"} {
		secret(t, filepath.Join(aside, name), files[name])
		if err := os.Link(filepath.Join(aside, name), filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}

// rotation is what a test of rotations measures.
type rotation struct {
	*sidecar
	users  *users
	client *http.Client

	known, retired []time.Duration
}

// begin starts a gate and its users, who have a token of generation 1.
func begin(t *testing.T, file string) *rotation {
	t.Helper()
	s := start(t, file)
	r := &rotation{sidecar: s, users: &users{url: "http://" + s.listen + "/", pace: 10 * time.Millisecond}, client: newClient(t, 1, false)}
	r.users.hold(token(t, generation(1)))
	return r
}

// takes waits until a token of a generation is accepted, and notes how long after a time that was.
func (r *rotation) takes(t *testing.T, number int, after time.Time) {
	t.Helper()
	fresh := token(t, generation(number))
	until(t, "a token of the new key is accepted", func() bool { return get(r.client, r.users.url, fresh).status == http.StatusOK })
	r.known = append(r.known, time.Since(after))
}

// drops waits until a token of a generation is refused, and notes how long after its end that was. Before that it must be
// accepted, unless the end is when the gate is told.
func (r *rotation) drops(t *testing.T, number int, end time.Time) {
	t.Helper()
	stale := token(t, generation(number))
	until(t, "a token of the retired key is refused", func() bool { return get(r.client, r.users.url, stale).status == http.StatusUnauthorized })
	late := time.Since(end)
	if late < 0 {
		t.Errorf("a token of a key was refused %v before the key's end", -late)
	}
	if late > retirement {
		t.Errorf("a token of a key was accepted for %v after the key's end, want at most %v", late, retirement)
	}
	r.retired = append(r.retired, late)
}

// report says what was measured.
func (r *rotation) report(t *testing.T, what string) {
	t.Helper()
	slices.Sort(r.known)
	t.Logf("%d rotations by %s: %d valid tokens accepted, %d refused; %d forged ones refused; a new secret accepted %s after it was published in the median, %s at most; an old one refused %s after its end, %s at most",
		len(r.known), what, r.users.accepted.Load(), r.users.falseRejects.Load(), r.users.refused.Load(),
		milliseconds(percentile(r.known, 50)), milliseconds(percentile(r.known, 100)), milliseconds(percentile(r.retired, 50)), milliseconds(percentile(r.retired, 100)))
}

// TestRotationsByFilesThatNobodyAnnounces replaces a pair of secrets again and again under load, and sends no signal. The
// secret that moves from new to old is accepted throughout.
func TestRotationsByFilesThatNobodyAnnounces(t *testing.T) {
	t.Parallel()
	ways := append(slices.Clone(replacements), struct {
		name    string
		replace func(*testing.T, string, map[string][]byte)
	}{"files of which nothing is heard, as on a network file system", unheard})
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			dir, backend := t.TempDir(), newAPI(t, 0, 0)
			secrets := filepath.Join(dir, "secrets")
			if err := os.Mkdir(secrets, 0o700); err != nil {
				t.Fatal(err)
			}
			put := func(newest int) {
				way.replace(t, secrets, map[string][]byte{"new": generation(newest), "old": generation(newest - 1)})
			}
			put(1)
			r := begin(t, gateFile{upstream: backend.url, policy: twoKeys, more: []string{"log: {sample: 1}"}}.write(t, dir))
			end := r.users.start(t)
			defer end() // a failed test must not leave them behind
			turns := rounds(5, 200)
			if way.name == ways[len(ways)-1].name {
				turns = rounds(2, 60) // each takes up to five seconds, but the first: a gate reads all again when its watches begin
			}
			for n := 2; n <= turns+1; n++ {
				published := time.Now()
				put(n) // n-2 ends with this
				r.takes(t, n, published)
				r.drops(t, n-2, published)
				r.users.hold(token(t, generation(n)))
			}
			end()
			r.report(t, way.name)
		})
	}
}

// TestRotationsByARing publishes rings, under load. A new secret is published before it may be used, and accepted from
// then on; an old one goes by the end of its window, or by being left out.
func TestRotationsByARing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, refresh string
		turns         int
		windows       bool // old secrets have an end; else they are left out
	}{
		{"rings in which old secrets have an end, asked for each second", "1s", rounds(2, 100), true},
		{"rings in which old secrets are left out, asked for each second", "1s", rounds(2, 100), false},
		{"rings in which old secrets are left out, asked for every 5 s as by default", "5s", rounds(1, 20), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p, dir, backend := newPlane(t), t.TempDir(), newAPI(t, 0, 0)
			version := 0
			publish := func(members ...member) {
				version++
				p.publish(ringPath, p.issuer.ring(t, version, members...))
			}
			key := func(n int, from, to time.Time) member {
				return member{name: fmt.Sprintf("g%d", n), secret: generation(n), from: from, to: to}
			}
			open := time.Time{}
			publish(key(1, open, open))
			r := begin(t, gateFile{upstream: backend.url, more: []string{"log: {sample: 1}"},
				policy: fmt.Sprintf("{name: %s, keys: [{name: fleet, ring: %q, refresh: %s}], control: {keys: [file:%s], ca: %s}}",
					gateName, p.url+ringPath, row.refresh, p.issuer.write(t, dir), p.authority.write(t, dir))}.write(t, dir))
			end := r.users.start(t)
			defer end() // a failed test must not leave them behind
			for n := 2; n <= row.turns+1; n++ {
				begins := time.Now().Truncate(time.Second).Add(time.Second) // windows count whole seconds
				published := time.Now()
				publish(key(n, begins, open), key(n-1, open, open))
				r.takes(t, n, published)
				if time.Now().Before(begins) {
					t.Errorf("a token of a key was accepted %v before the key's beginning", time.Until(begins))
				}
				r.users.hold(token(t, generation(n)))
				if row.windows {
					ends := time.Now().Truncate(time.Second).Add(2 * time.Second)
					publish(key(n, begins, open), key(n-1, open, ends))
					r.drops(t, n-1, ends)
				} else {
					left := time.Now()
					publish(key(n, begins, open))
					r.drops(t, n-1, left)
				}
			}
			end()
			r.report(t, row.name)
		})
	}
}
