package suite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a control server under an authority of its own.
type server struct {
	url       string
	authority []byte // PEM
	http      *httptest.Server
	stopping  chan struct{}

	mu    sync.Mutex // guards the fields below
	pages map[string]http.HandlerFunc
	asked map[string]int         // requests by path
	last  map[string]http.Header // of the last one, by path
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{stopping: make(chan struct{}), pages: map[string]http.HandlerFunc{}, asked: map[string]int{}, last: map[string]http.Header{}}
	var certificate tls.Certificate
	certificate, s.authority = newCertificate(t)
	s.http = httptest.NewUnstartedServer(s)
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.StartTLS()
	s.url = s.http.URL
	t.Cleanup(s.stop)
	return s
}

// stop ends the server. From then on nobody listens at its address.
func (s *server) stop() {
	s.mu.Lock()
	select {
	case <-s.stopping:
	default:
		close(s.stopping)
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	s.last[r.URL.Path] = r.Header.Clone()
	page := s.pages[r.URL.Path]
	s.mu.Unlock()
	if page == nil {
		page = answers(http.StatusNotFound, "")
	}
	page(w, r)
}

// set puts a page in the place of the one at a path.
func (s *server) set(path string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
}

// count is how often a path was asked for.
func (s *server) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// header is a header of the last request for a path.
func (s *server) header(path, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[path].Get(name)
}

// serves is a page that is all right, with an entity tag.
func serves(text, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, text) // a gate that has gone needs no answer
	}
}

func answers(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// drops ends the connection without a word.
func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cuts ends the connection inside the document.
func cuts(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4000")
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// longHead answers with more header than anybody should read.
func longHead(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Long", strings.Repeat("x", 64*1024))
}

// endless answers with a document that never ends, as fast as it is taken.
func endless(w http.ResponseWriter, _ *http.Request) {
	block := []byte(strings.Repeat("A", 32*1024))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// hangs never answers. A gate that has given up gets no end of an answer either, which it might still see.
func (s *server) hangs(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stopping:
	}
	panic(http.ErrAbortHandler)
}

// drips answers one byte after another.
func (s *server) drips(w http.ResponseWriter, r *http.Request) {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-s.stopping:
			panic(http.ErrAbortHandler)
		case <-every.C:
			_, _ = io.WriteString(w, "A")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// newCertificate makes an authority and a certificate for 127.0.0.1.
func newCertificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: noon.AddDate(-10, 0, 0),
		NotAfter: noon.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "control"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	own, err := x509.CreateCertificate(rand.Reader, authority, authority, &keys[0].PublicKey, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, authority, &keys[1].PublicKey, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: keys[1]}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own})
}
