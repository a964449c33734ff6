package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/controlsign"
	"github.com/approovgate/approovgate/jose"
)

// TestReloadsWhileTheKeySourceIsDown reloads a gate whose only keys come from a server that is gone, and then hangs. Each
// new policy must have the keys that the one before had.
func TestReloadsWhileTheKeySourceIsDown(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	s := newStorm(t, true, backend.Listener.Addr().String())
	source := ringSource(t, s.name)
	ca, public := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "ring.pem")
	writePEM(t, ca, "CERTIFICATE", source.Certificate().Raw)
	writePEM(t, public, "PUBLIC KEY", source.public)
	fromRing := func(policy tree) {
		policy["keys"] = []any{tree{"name": "fleet", "ring": source.URL + "/ring"}}
		policy["control"] = tree{"keys": "{file." + public + "}", "ca": ca}
	}
	if err := load(s.config(fromRing)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.calm)
	genuine := s.token("HS256", nil)
	if got := s.status("/", genuine); got != 200 {
		t.Fatalf("with the source: got %d, want 200", got)
	}
	forged := genuine[:strings.LastIndexByte(genuine, '.')] + "." + strings.Repeat("A", 43)
	c := &crowd{base: s.url(""), errands: []crowdErrand{{"/", genuine, 200}, {"/", forged, 401}, {"/", genuine, 200}, {"/", "", 401}}}
	c.start(s.front)
	defer c.end()
	again := func(what string) {
		s.change++
		s.unrelated++
		begin := time.Now()
		if err := load(s.config(fromRing)); err != nil {
			t.Fatalf("%s: got %v, want a reload", what, err)
		}
		c.more(t, 40)
		t.Logf("%s: reloaded in %v", what, time.Since(begin).Round(time.Millisecond))
	}
	again("the source answers")
	source.hanging.Store(true)
	again("the source hangs")
	source.CloseClientConnections() // ends what hangs
	source.Close()
	for range 5 {
		again("the source is gone")
	}
	c.judge(t, "without its source")
}

// ringServer offers a signed ring.
type ringServer struct {
	*httptest.Server
	public  []byte      // of the key that signs, PKIX
	hanging atomic.Bool // nobody is answered any more
}

// ringSource is a server with a ring that holds frontKey, for a gate of a name.
func ringSource(t *testing.T, name string) *ringServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	source := &ringServer{}
	if source.public, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	ring, err := controlsign.Sign(key, jose.RingType, tree{"aud": name, "iat": time.Now().Unix(), "version": 1,
		"keys": []any{tree{"name": "TEST KEY, never use", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString(frontKey)}}})
	if err != nil {
		t.Fatal(err)
	}
	source.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source.hanging.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, ring)
	}))
	source.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that are closed on purpose
	source.StartTLS()
	t.Cleanup(source.Close)
	return source
}

func writePEM(t *testing.T, path, kind string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}
