package host

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// eventually waits until something has happened that nobody tells of.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: got none in %s, want it", what, patience)
		}
	}
}

// kept is a gate in a folder of its own, kept by a keeper whose tickers only the test moves.
type kept struct {
	*Keeper
	t      *testing.T
	dir    string
	loader *Loader
	events Events
	log    book
	reload chan os.Signal
	ticks  chan time.Time
	looks  chan time.Time

	mu        sync.Mutex // guards the fields below
	refreshes int
	asked     int
}

// newKept makes a gate of the policy tree, YAML, in dir/policy.yaml. The account's secret is in secret.
func newKept(t *testing.T, dir, policy string, o gate.Options) *kept {
	t.Helper()
	k := &kept{t: t, dir: dir, reload: make(chan os.Signal), ticks: make(chan time.Time), looks: make(chan time.Time)}
	k.put("policy.yaml", policy)
	path := filepath.Join(dir, "policy.yaml")
	k.loader = &Loader{Read: func() (Document, []config.Problem) {
		d := Document{Prefix: "policy.yaml: ", Dir: dir, Files: []string{path}}
		tree, problems := ReadTree(path)
		if tree == nil {
			return d, problems
		}
		read := config.NewTree(tree)
		d.Policy = config.DecodeFrom(read)
		return d, append(problems, read.Problems()...)
	}}
	o.Notify = k.events.Notify
	g, problems := k.loader.New(o)
	if g == nil {
		t.Fatal(problems)
	}
	log := slog.New(slog.NewJSONHandler(&k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	k.events.Log(log)
	k.Keeper = &Keeper{Gate: g, Refresh: k.refresh, Files: k.loader.Files, Reload: k.reload, Log: log, Now: o.Now, Elapsed: o.Elapsed}
	k.Keeper.ticks, k.Keeper.looks = k.ticks, k.looks
	return k
}

func (k *kept) refresh(_ context.Context, asked bool) {
	k.loader.Refresh(k.Gate)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refreshes++
	if asked {
		k.asked++
	}
}

// count is how often the files were read, and how often because somebody asked.
func (k *kept) count() (refreshes, asked int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refreshes, k.asked
}

// run runs the keeper until the test ends.
func (k *kept) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.Run(ctx)
	}()
	k.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// watching runs the keeper and returns when it watches and has read what it could have missed.
func (k *kept) watching() {
	k.t.Helper()
	k.run()
	eventually(k.t, "the reading that follows the first watches", func() bool { n, _ := k.count(); return n == 1 })
}

// put writes a file, in place.
func (k *kept) put(name, text string) {
	k.t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// do runs steps that must succeed.
func do(t *testing.T, steps ...error) {
	t.Helper()
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// otherSecret is a test key in base64, another than secretText.
var otherSecret = base64.StdEncoding.EncodeToString([]byte("test key of package host, the other one, never used elsewhere...!"))

const onePolicy = "keys: [{name: account, alg: HS256, secret: \"file:secrets/account\"}]\ncontrol: {file: control/control.yaml}\n"

// book is a log that tests read while it is written.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines are the lines of the log with a message.
func (b *book) lines(message string) []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(b.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err == nil && fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// keySets is a server of key sets: /good answers one, /hung does not answer, and there is nothing else.
type keySets struct {
	*httptest.Server
	ca   string // its authority's file
	good chan struct{}
	hung chan struct{}
}

// newKeySets starts one. What it was asked shows in its channels.
func newKeySets(t *testing.T) *keySets {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set := `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"one","x":"` + encode(point[1:33]) + `","y":"` + encode(point[33:]) + `"}]}`
	s := &keySets{good: make(chan struct{}, 1000), hung: make(chan struct{}, 1000)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hung":
			s.hung <- struct{}{}
			<-r.Context().Done()
		case "/good":
			s.good <- struct{}{}
			_, _ = io.WriteString(w, set) // a client that is gone needs none
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	do(t, os.WriteFile(s.ca, text, 0o600))
	return s
}

// policy is a policy with the account's key and key sets of the server, each to be fetched every second.
func (s *keySets) policy(names ...string) string {
	text := "keys:\n- {name: account, alg: HS256, secret: \"file:secrets/account\"}\n"
	for _, name := range names {
		text += "- {name: " + name + ", jwks: \"" + s.URL + "/" + name + "\", algs: [ES256], ca: \"" + s.ca + "\", refresh: 1s}\n"
	}
	return text
}

// heard waits for a signal.
func heard(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("%s: got none in %s, want it", what, patience)
	}
}

// clocks are a wall clock and one that nobody sets, both moved by the test.
type clocks struct {
	mu      sync.Mutex // guards the fields below
	wall    time.Time
	elapsed time.Duration
}

func (c *clocks) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *clocks) since() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

// pass lets time pass, and sets the wall clock.
func (c *clocks) pass(d, set time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d+set), c.elapsed+d
}
