package gate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/source"
)

// plane is a control plane: a TLS server whose documents a gate polls, and the key that signs them.
type plane struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	public string // of key, in PEM form

	mu    sync.Mutex // guards the fields below
	pages map[string]page
	asked map[string]int // requests by path
	conns int            // open connections
	begun int            // connections since the start

	closed chan struct{} // told of connections that are closed
}

// page is what the plane answers for a path.
type page struct {
	text   string
	tag    string // an ETag; empty: none is sent
	answer http.HandlerFunc
}

func newPlane(t testing.TB) *plane {
	t.Helper()
	p := &plane{pages: map[string]page{}, asked: map[string]int{}, closed: make(chan struct{}, 1000)}
	p.key, p.public = signingKey(t)
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused on purpose
	p.Config.ConnState = p.count
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *plane) count(_ net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.conns++
		p.begun++
	case http.StateClosed:
		p.conns--
		p.closed <- struct{}{}
	}
}

// wantConnections waits until so many connections are left.
func (p *plane) wantConnections(t testing.TB, name string, want int) {
	t.Helper()
	for {
		p.mu.Lock()
		open := p.conns
		p.mu.Unlock()
		if open == want {
			return
		}
		select {
		case <-p.closed:
		case <-time.After(time.Minute):
			t.Fatalf("%s: got %d connections, want %d", name, open, want)
		}
	}
}

func signingKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: raw}))
}

func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	one, found := p.pages[r.URL.Path]
	p.asked[r.URL.Path]++
	p.mu.Unlock()
	switch {
	case !found:
		http.NotFound(w, r)
		return
	case one.answer != nil:
		one.answer(w, r)
		return
	}
	if one.tag != "" {
		w.Header().Set("ETag", one.tag)
		if r.Header.Get("If-None-Match") == one.tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	fmt.Fprint(w, one.text)
}

// put puts a document at a path, without a tag.
func (p *plane) put(path, text string) { p.show(path, page{text: text}) }

func (p *plane) show(path string, one page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = one
}

func (p *plane) requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *plane) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// envelope signs a document of a type for the gate edge, issued at noon. Members of document replace these.
func envelope(t testing.TB, key *ecdsa.PrivateKey, typ string, document tree) string {
	t.Helper()
	claims := tree{"aud": "edge", "iat": noon.Unix()}
	maps.Copy(claims, document)
	payload, err := mint.Canonical(claims)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := mint.SignRaw("ES256", key, `{"alg":"ES256","typ":"`+typ+`"}`, payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// control is a signed control document of a version, with other members as given, that ends an hour after noon.
func (p *plane) control(t testing.TB, version int, members tree) string {
	t.Helper()
	document := tree{"version": version, "until": noon.Add(time.Hour).Format(time.RFC3339)}
	maps.Copy(document, members)
	return envelope(t, p.key, jose.ControlType, document)
}

// ring is a signed ring of a version.
func (p *plane) ring(t testing.TB, version int, keys ...any) string {
	t.Helper()
	return envelope(t, p.key, jose.RingType, tree{"version": version, "keys": keys})
}

// member is a key of a ring: the test key of the same name.
func member(name string, more tree) tree {
	k := tree{"name": name, "alg": "HS256", "secret": "inline:" + encoded(name)}
	maps.Copy(k, more)
	return k
}

// encoded is a test key in base64.
func encoded(name string) string { return base64.StdEncoding.EncodeToString(testKey(name)) }

// fleet is a desk with a control plane, and a gate named edge that is told of both.
type fleet struct {
	*desk
	plane   *plane
	g       *gate.Gate
	dir     string
	elapsed time.Duration // guarded by desk.mu
	events  []string      // guarded by desk.mu; see take
}

// newFleet makes a desk whose policy is changed by the one given. Paths in it may begin with {dir}, a new folder,
// or {plane}, the control plane's URL.
func newFleet(t testing.TB, policy tree) *fleet {
	t.Helper()
	f := &fleet{plane: newPlane(t), dir: t.TempDir()}
	f.desk = newDesk(tree{"name": "edge"})
	maps.Copy(f.policy, f.filled(policy))
	f.secrets["env:CONTROL_KEY"] = f.plane.public
	f.secrets["env:SEAL"] = encoded("seal")
	f.secrets["env:BEARER"] = "TEST-bearer-token-never-use\n"
	f.secrets["file:ca.pem"] = f.plane.ca()
	return f
}

// filled is a tree with its placeholders replaced.
func (f *fleet) filled(value tree) tree { return f.fill(value).(tree) }

func (f *fleet) fill(value any) any {
	switch x := value.(type) {
	case string:
		return strings.NewReplacer("{dir}", f.dir, "{plane}", f.plane.URL).Replace(x)
	case tree:
		out := tree{}
		for k, v := range x {
			out[k] = f.fill(v)
		}
		return out
	case []any:
		var out []any
		for _, v := range x {
			out = append(out, f.fill(v))
		}
		return out
	}
	return value
}

func (f *fleet) options() gate.Options {
	o := f.desk.options()
	o.Elapsed, o.Notify = f.clockOfNobody, f.note
	o.Read = func(reference string) ([]byte, []string, error) {
		if strings.HasPrefix(reference, "file:/") || strings.HasPrefix(reference, "inline:") {
			return source.Read(reference)
		}
		return f.read(reference)
	}
	return o
}

func (f *fleet) clockOfNobody() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elapsed
}

// pass lets time pass on both clocks.
func (f *fleet) pass(span time.Duration) {
	f.change(func(d *desk) { d.now = d.now.Add(span); f.elapsed += span })
}

// note writes an event down as kind, slot or source, and version or text.
func (f *fleet) note(e gate.Event) {
	line := string(e.Kind)
	if e.Source != "" {
		line += " " + e.Source
	} else {
		line += " " + [...]string{"local", "remote"}[e.Slot] + fmt.Sprintf(" %d", e.Control.Version)
	}
	if e.Text != "" {
		line += ": " + e.Text
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, line)
}

// start makes the fleet's gate, which must succeed. Again, it is a restart.
func (f *fleet) start(t testing.TB) {
	t.Helper()
	g, problems := gate.New(f.options())
	if g == nil {
		t.Fatalf("new gate: got problems %v, want none", problems)
	}
	f.g = g
}

// poll asks all sources at once.
func (f *fleet) poll() {
	f.g.PollNow()
	f.g.Poll(context.Background())
}

// wantEvents compares the events since it was last called, each of which must begin as wanted.
func (f *fleet) wantEvents(t testing.TB, name string, want ...string) {
	t.Helper()
	f.mu.Lock()
	got := f.events
	f.events = nil
	f.mu.Unlock()
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = strings.HasPrefix(got[i], want[i])
	}
	if !same {
		t.Errorf("%s: got events\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// source is the status of the only source, or of the one named.
func (f *fleet) source(t testing.TB, name string) gate.SourceStatus {
	t.Helper()
	for _, s := range f.g.Status().Sources {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("got sources %+v, want %s among them", f.g.Status().Sources, name)
	return gate.SourceStatus{}
}

// wantReason asks with a token of a test key.
func (f *fleet) wantReason(t testing.TB, name, key string, want engine.Reason) {
	t.Helper()
	c := claims()
	c["exp"] = f.clock().Unix() + 300
	if got := f.g.Ask(incoming("GET", "/", "Approov-Token", sign(t, key, c))).Reason; got != want {
		t.Errorf("%s: a token of %s: got %s, want %s", name, key, got, want)
	}
}

// kept are the files in the fleet's folder.
func (f *fleet) kept(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
