//go:build linux

package reliability

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// folderOfFiles is a gate's files, which good and the ways to spoil them write again and again.
type folderOfFiles struct {
	dir      string
	upstream string
	pairs    [][2][]byte // certificates of the listener, with their keys, taken in turn
	inPlace  bool        // files are rewritten where they stand, else renamed over the old ones
	number   int         // of the last change, good or bad
}

const reloadPolicy = `policy:
  keys:
  - {name: account, alg: HS256, secret: file:account.secret}
  - {name: spare, alg: HS256, secret: file:spare.secret}
  control: {file: control.yaml}
  routes:
  - {name: generation, paths: [/generation/%d], mode: log}
  - {name: health, paths: [/health], check: none}
  - {name: shadow, paths: [/shadow/**], mode: log}
  - {name: bound, paths: [/bound], binding: {from: [header:Authorization]}}
`

// text is the gate file. The policy stands last, so that a reader who meets half of it finds no policy at all.
func (f *folderOfFiles) text() string {
	return strings.Join([]string{
		"listen: [http://127.0.0.1:0, https://127.0.0.1:0]", "status: 127.0.0.1:0", "upstream: " + f.upstream,
		"tls: {cert: server.pem, key: server.key}", "log: {sample: 1}", fmt.Sprintf(reloadPolicy, f.number),
	}, "\n")
}

// good writes all files as they should be, under a number that the policy's first route is named after.
func (f *folderOfFiles) good(t *testing.T, number int) {
	t.Helper()
	f.number = number
	spare := generation(number)
	pair := f.pairs[number%len(f.pairs)]
	f.put(t, "account.secret", base64.StdEncoding.EncodeToString(keyA))
	f.put(t, "spare.secret", base64.StdEncoding.EncodeToString(spare))
	f.put(t, "server.key", string(pair[1]))
	f.put(t, "server.pem", string(pair[0]))
	f.put(t, "control.yaml", fmt.Sprintf("{version: %d, routes: {generation: bypass}, until: %q}\n", number, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	f.put(t, "gate.yaml", f.text())
}

// put writes a file, in one of the two ways in which operators and their tools do.
func (f *folderOfFiles) put(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if f.inPlace {
		overwrite(t, f.dir, name, text)
		return
	}
	overwrite(t, f.dir, name+".next", text)
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

// instead puts something in the place of the gate file.
func (f *folderOfFiles) instead(t *testing.T, make func(path string) error) {
	t.Helper()
	path := filepath.Join(f.dir, "gate.yaml")
	if err := errors.Join(os.Remove(path), make(path)); err != nil {
		t.Fatal(err)
	}
}

const (
	reloadFailed = `"msg":"reload failed`
	reloaded     = `"msg":"reloaded"`

	controlRefused = `"msg":"source failing","kind":"source_failing","source":"control.file"`
	controlUp      = `approovgate_source_up{source="control.file"}`
)

// spoilers are the ways in which files go bad, and the line that must then be in the log.
var spoilers = []struct {
	name  string
	spoil func(t *testing.T, f *folderOfFiles)
	line  string
}{
	{"a syntax error", func(t *testing.T, f *folderOfFiles) { f.put(t, "gate.yaml", f.text()+"\n  : [\n") }, reloadFailed},
	{"a bad route", func(t *testing.T, f *folderOfFiles) {
		f.put(t, "gate.yaml", f.text()+"  - {name: bad, paths: [no/slash/**/twice/**]}\n")
	}, reloadFailed},
	{"a secret that is missing", func(t *testing.T, f *folderOfFiles) { remove(t, f.dir, "account.secret") }, reloadFailed},
	{"a rule that stands twice", func(t *testing.T, f *folderOfFiles) {
		f.put(t, "gate.yaml", f.text()+"  - {name: again, paths: [/bound]}\n")
	}, reloadFailed},
	{"a file of 100 MB", func(t *testing.T, f *folderOfFiles) {
		f.put(t, "gate.yaml", f.text())
		if err := os.Truncate(filepath.Join(f.dir, "gate.yaml"), 100<<20); err != nil {
			t.Fatal(err)
		}
	}, reloadFailed},
	{"a file cut off", func(t *testing.T, f *folderOfFiles) { f.put(t, "gate.yaml", f.text()[:len(f.text())*2/3]) }, reloadFailed},
	{"a folder in the file's place", func(t *testing.T, f *folderOfFiles) {
		f.instead(t, func(path string) error { return os.Mkdir(path, 0o700) })
	}, reloadFailed},
	{"a link that leads to itself, which nobody can read", func(t *testing.T, f *folderOfFiles) {
		f.instead(t, func(path string) error { return os.Symlink("gate.yaml", path) })
	}, reloadFailed},
	{"a garbled control file", func(t *testing.T, f *folderOfFiles) { f.put(t, "control.yaml", "{version: ,\x01]") }, controlRefused},
	{"a certificate of another key", func(t *testing.T, f *folderOfFiles) {
		f.put(t, "server.key", string(f.pairs[(f.number+1)%len(f.pairs)][1]))
	}, reloadFailed},
}

// badCertificate is the place of that among spoilers.
const badCertificate = 9

// errandsOf are a mixture of requests whose verdicts no reload of this test changes.
func errandsOf(t *testing.T) []errand {
	t.Helper()
	genuine, forged := token(t, keyA), token(t, keyB)
	now := time.Now().Unix()
	mintToken := func(claims map[string]any) string {
		minted, err := mint.Sign("HS256", "", keyA, claims)
		if err != nil {
			t.Fatal(err)
		}
		return minted
	}
	bound := mintToken(map[string]any{"exp": now + 7200, "pay": payOf("Bearer alice")})
	return []errand{
		{"a genuine token", "", "/", fields("Approov-Token", genuine), 200},
		{"a forged token", "", "/", fields("Approov-Token", forged, forgedHeader, "1"), 401},
		{"a genuine token, with content", "POST", "/orders", fields("Approov-Token", genuine), 200},
		{"no token", "", "/", fields(forgedHeader, "1"), 401},
		{"a genuine token, another path", "", "/v1/accounts/7", fields("Approov-Token", genuine), 200},
		{"an expired token", "", "/", fields("Approov-Token", mintToken(map[string]any{"exp": now - 60}), forgedHeader, "1"), 401},
		{"a route that is exempt", "", "/health", fields(), 200},
		{"a bound token", "", "/bound", fields("Approov-Token", bound, "Authorization", "Bearer alice"), 200},
		{"a bound token of another user", "", "/bound", fields("Approov-Token", bound, "Authorization", "Bearer mallory", forgedHeader, "1"), 401},
		{"a route that is only watched", "", "/shadow/x", fields("Approov-Token", forged), 200},
		{"a path that leads elsewhere", "", "/a/%2e%2e/bound", fields("Approov-Token", genuine, forgedHeader, "1"), 401},
	}
}

// payOf is the claim that binds a token to a header's value.
func payOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestReloadsFailNoRequest writes good files and bad ones in turn under 2,000 requests a second, most of the time
// without telling the gate. No request may fail or get another verdict; each good set must come into force, each bad one
// be reported; and with quiet phases between, reloads may cost the slowest of 100 requests half of their time at most.
func TestReloadsFailNoRequest(t *testing.T) {
	rate := http1Rate + http2Rate + socketRate
	backend := newAPI(t, 0, 0)
	a := newAuthority(t)
	f := &folderOfFiles{dir: t.TempDir(), upstream: backend.url}
	for range 8 {
		certificate, key := a.issue(t)
		f.pairs = append(f.pairs, [2][]byte{certificate, key})
	}
	f.good(t, 1)
	s := start(t, filepath.Join(f.dir, "gate.yaml"))
	r := &reloader{sidecar: s, files: f, probe: newClient(t, 1, false), forged: token(t, keyB)}
	r.trust = a.trust()
	load := &traffic{plain: s.addresses[0], secure: s.addresses[1], settings: a.trust(), errands: errandsOf(t),
		genuine: fields("Approov-Token", token(t, keyA)), forged: fields("Approov-Token", r.forged, forgedHeader, "1")}
	load.start(t)
	defer load.end() // a failed test must not leave it behind
	quiet, busy := newLedger(), newLedger()
	<-time.After(time.Second) // until WebSockets are connected, too

	blocks := rounds(2, 100)
	for range blocks {
		load.enter(quiet)
		<-time.After(time.Second)
		load.enter(busy)
		r.block(t)
	}
	load.end()

	quiet.judge(t, "quiet")
	busy.judge(t, "reloading")
	if got := load.dials.Load(); got != http2Connections {
		t.Errorf("got %d connections for HTTP/2, want %d: none is lost", got, http2Connections)
	}
	r.judge(t)
	before, during := percentile(quiet.all(), 99), percentile(busy.all(), 99)
	ratio := float64(during) / float64(before)
	if long() && ratio > 1.5 {
		t.Errorf("99 of 100 requests within %v while reloading, within %v without: got %.2f times, want at most 1.5", during, before, ratio)
	}
	t.Logf("%d valid and %d invalid reloads under %d requests a second: %d requests, %d failed, %d wrong verdicts, %d failures in metrics; 99 of 100 within %v quiet, %v reloading, %.2f times",
		r.valid, r.invalid, rate, len(quiet.all())+len(busy.all()), quiet.failed+busy.failed, quiet.wrong+busy.wrong, int(r.failures)+r.refused, before.Round(10*time.Microsecond), during.Round(10*time.Microsecond), ratio)
	t.Logf("quiet: %s", quiet.summary())
	t.Logf("reloading: %s", busy.summary())
	t.Logf("from the write until in force: watched %s in the median, %s at most; asked %s, %s",
		milliseconds(percentile(r.watched, 50)), milliseconds(percentile(r.watched, 100)), milliseconds(percentile(r.asked, 50)), milliseconds(percentile(r.asked, 100)))
}

// reloader changes a sidecar's files and waits each time until that shows.
type reloader struct {
	*sidecar
	files  *folderOfFiles
	probe  *http.Client
	forged string
	trust  *tls.Config

	valid, invalid int
	refused        int // control files that a metric told of
	failures       float64
	watched, asked []time.Duration // from writing good files until they were in force
}

// block spoils the files in each way, and mends them each time.
func (r *reloader) block(t *testing.T) {
	t.Helper()
	pace := time.NewTicker(100 * time.Millisecond) // at most 20 changes a second
	defer pace.Stop()
	for i, way := range spoilers {
		<-pace.C
		place := r.log.place()
		way.spoil(t, r.files)
		r.invalid++
		r.tell(t, i%2 == 0)
		r.hears(t, place, way.line, way.name)
		if way.line == controlRefused && r.metric(t, controlUp) == 0 {
			r.refused++ // a policy is no worse for its control file: it is not counted among failures
		}
		if i == badCertificate {
			r.shows(t, r.files.number)
		}
		r.files.inPlace = r.invalid%3 == 0
		r.mend(t, i%4 < 2)
		if i == badCertificate {
			r.shows(t, r.files.number)
		}
	}
}

// shows demands that a new connection meets the certificate of a set of good files.
func (r *reloader) shows(t *testing.T, number int) {
	t.Helper()
	conn, err := tls.Dial("tcp", r.addresses[1], r.trust)
	if err != nil {
		t.Errorf("a handshake: %v", err)
		return
	}
	defer func() { _ = conn.Close() }() // nothing was asked
	block, _ := pem.Decode(r.files.pairs[number%len(r.files.pairs)][0])
	if !bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, block.Bytes) {
		t.Errorf("a handshake: got another certificate than that of set %d", number)
	}
}

// tell sends the signal, or leaves it to the gate to find out.
func (r *reloader) tell(t *testing.T, asked bool) {
	t.Helper()
	if asked {
		r.signal(t, reload)
	}
}

// hears waits for a line in the log.
func (r *reloader) hears(t *testing.T, place int, line, what string) {
	t.Helper()
	until(t, "the log tells of "+what, func() bool {
		found, _ := r.log.since(place, line)
		return found != ""
	})
}

// mend writes good files and waits until they are in force: the route that is new lets a forged token through, as control
// says; that of the number before does not exist any more.
func (r *reloader) mend(t *testing.T, asked bool) {
	t.Helper()
	place := r.log.place()
	begin := time.Now()
	r.files.good(t, r.files.number+1)
	r.valid++
	r.tell(t, asked)
	until(t, "good files are in force", func() bool {
		line, next := r.log.since(place, reloaded)
		if line == "" {
			return false
		}
		place = next
		return get(r.probe, r.generation(r.files.number), r.forged).status == http.StatusOK
	})
	if took := time.Since(begin); asked {
		r.asked = append(r.asked, took)
	} else {
		r.watched = append(r.watched, took)
	}
	if a := refused(r.probe, r.generation(r.files.number-1), r.forged); a.status != http.StatusUnauthorized {
		t.Errorf("a forged token for a route that was deleted: got %d, %v; want 401", a.status, a.err)
	}
}

func (r *reloader) generation(number int) string {
	return fmt.Sprintf("http://%s/generation/%d", r.listen, number)
}

// judge demands that each bad set of files was counted, and that the last good one is in force whole.
func (r *reloader) judge(t *testing.T) {
	t.Helper()
	until(t, "nothing is failing any more", func() bool { return r.metric(t, "approovgate_config_failing") == 0 })
	r.failures = r.metric(t, `approovgate_config_reloads_total{result="failure"}`)
	if want := float64(r.log.count(reloadFailed)); r.failures != want {
		t.Errorf("got %v failures counted, want %v, as many as the log tells of", r.failures, want)
	}
	if got, want := int(r.failures)+r.refused, r.invalid; got < want {
		t.Errorf("got %d failures in metrics, want at least %d", got, want)
	}
	if got, want := r.metric(t, `approovgate_control_version{slot="local"}`), float64(r.files.number); got != want {
		t.Errorf("got version %v of the control file in force, want %v", got, want)
	}
}
