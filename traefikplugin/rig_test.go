package traefikplugin

import (
	"bytes"
	"context"
	"encoding/base64"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/mint"
)

// secret is marked as what it is.
const secret = "TEST KEY, never use: 64 bytes of a secret for the Traefik plugin"

var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// rig is a Traefik process as the plugin sees it: package variables of its own, and what it has written.
type rig struct {
	*testing.T
	secretFile string
	out, log   buffer
	time       time.Time
	mu         sync.Mutex // guards time
}

// buffer collects what is written. The zero value is ready.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, time: noon, secretFile: filepath.Join(t.TempDir(), "approov.secret")}
	r.write(r.secretFile, base64.StdEncoding.EncodeToString([]byte(secret)))
	oldShared, oldNow, oldStarted, oldOutput := shared, now, started, output
	shared = &gates{all: map[string]*running{}, kin: map[string]*gate.Kin{}, listeners: map[string]*figureServer{}}
	now, output = r.now, slog.NewJSONHandler(&r.out, nil)
	log.SetOutput(&r.log)
	t.Cleanup(func() {
		r.settle()
		for name := range shared.names() {
			unpublish(name)
		}
		for _, l := range shared.listeners {
			l.end()
		}
		shared, now, started, output = oldShared, oldNow, oldStarted, oldOutput
		log.SetOutput(os.Stderr)
	})
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.time
}

// pass lets time pass on the clock that nobody sets, when nothing is going on.
func (r *rig) pass(d time.Duration) {
	r.Helper()
	r.settle()
	started = started.Add(-d)
}

// settle waits until no gate is being brought up to date.
func (r *rig) settle() {
	r.Helper()
	r.until("gates to be at rest", func() bool {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, g := range shared.all {
			if g.busy() {
				return false
			}
		}
		return true
	})
}

// until polls a condition for at most 30 s.
func (r *rig) until(what string, is func() bool) {
	r.Helper()
	patience, again := time.NewTimer(30*time.Second), time.NewTicker(time.Millisecond)
	defer patience.Stop()
	defer again.Stop()
	for !is() {
		select {
		case <-patience.C:
			r.Fatalf("waited 30 s for %s\n%s", what, r.log.String())
		case <-again.C:
		}
	}
}

func (r *rig) write(path, text string) {
	r.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

// edge is the shortest configuration, with more.
func (r *rig) edge(more Config) Config {
	c := Config{"secretFile": r.secretFile}
	for key, value := range more {
		c[key] = value
	}
	return c
}

// open makes a middleware whose backend answers 204.
func (r *rig) open(ctx context.Context, c Config, name string) http.Handler {
	r.Helper()
	h, err := New(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), &c, name)
	if err != nil {
		r.Fatal(err)
	}
	return h
}

// refusal is the error of a configuration.
func (r *rig) refusal(c Config) string {
	r.Helper()
	h, err := New(r.Context(), http.NotFoundHandler(), &c, "edge@file")
	if err == nil || h != nil {
		r.Fatalf("%v: got %v and error %v, want an error alone", c, h, err)
	}
	return err.Error()
}

// ask sends a request and returns the status of the answer.
func (r *rig) ask(h http.Handler, path, token string) int {
	r.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	if token != "" {
		request.Header.Set("Approov-Token", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	return w.Code
}

// token is a genuine one, which lasts five minutes from noon.
func (r *rig) token() string {
	r.Helper()
	text, err := mint.Sign("HS256", "", []byte(secret), map[string]any{"exp": noon.Unix() + 300, "did": "device-to-look-for"})
	if err != nil {
		r.Fatal(err)
	}
	return text
}

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s: got %q, want %q in it", what, text, w)
		}
	}
}

// busy reports whether the gate is being brought up to date.
func (r *running) busy() bool {
	return atomic.LoadInt64(&r.filesDue) == never || atomic.LoadInt32(&r.polls) > 0
}
