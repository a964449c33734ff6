package gate_test

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// tree is a policy or a part of one.
type tree = map[string]any

// noon is where the clock of every test in this package starts.
var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

const (
	bearer = "Bearer a-credential"
	device = "h4gubfCFzJu81j/U2BJsdg=="
)

// testKey is the secret of a test key: public, never to be used.
func testKey(name string) []byte {
	sum := sha512.Sum512([]byte("gate test key " + name + ", public, never use"))
	return sum[:]
}

// desk is what a gate's host would own: the policy, the secrets and the clock, all of which can change.
type desk struct {
	mu      sync.Mutex // guards the fields below
	policy  tree
	secrets map[string]string // by reference
	now     time.Time
}

func newDesk(policy tree) *desk {
	d := &desk{policy: tree{"keys": []any{tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT"}}}, now: noon}
	maps.Copy(d.policy, policy)
	d.secrets = map[string]string{"env:ACCOUNT": base64.StdEncoding.EncodeToString(testKey("account"))}
	return d
}

// change changes the desk under its lock.
func (d *desk) change(what func(d *desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	what(d)
}

func (d *desk) load() (config.Policy, []config.Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return config.Decode(d.policy)
}

func (d *desk) read(reference string) ([]byte, []string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok := d.secrets[reference]
	if !ok {
		return nil, nil, errors.New("nothing is there; put something there")
	}
	return []byte(text), nil, nil
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// after moves the clock to so long after noon.
func (d *desk) after(elapsed time.Duration) { d.change(func(d *desk) { d.now = noon.Add(elapsed) }) }

func (d *desk) options() gate.Options {
	return gate.Options{Load: d.load, Read: d.read, Now: d.clock}
}

// open makes the desk's gate, which must succeed.
func (d *desk) open(t testing.TB) *gate.Gate {
	t.Helper()
	g, problems := gate.New(d.options())
	if g == nil || config.Failed(problems) {
		t.Fatalf("new gate: got problems %v, want none", problems)
	}
	return g
}

func openGate(t testing.TB, policy tree) *gate.Gate {
	t.Helper()
	return newDesk(policy).open(t)
}

func claims() tree {
	return tree{"exp": noon.Unix() + 300, "did": device, "pay": token.Pay([]byte(bearer)), "arc": "ARC123"}
}

func sign(t testing.TB, key string, claims tree) string {
	t.Helper()
	compact, err := mint.Sign("HS256", "", testKey(key), claims)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// incoming is a request as net/http's server hands it over, with headers given as name and value in turn.
func incoming(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host, r.RemoteAddr = "api.example.com", "203.0.113.7:4711"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// genuine is a request with a genuine token.
func genuine(t testing.TB, target string, headers ...string) *http.Request {
	t.Helper()
	return incoming("GET", target, append([]string{"Approov-Token", sign(t, "account", claims()), "Authorization", bearer}, headers...)...)
}
