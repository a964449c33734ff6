package source_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/source"
)

const (
	documentText = "the document\n"
	bearerToken  = "TEST-bearer-token-never-use"
)

// serve starts a TLS server on 127.0.0.1. Its certificate is its own authority.
func serve(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func authority(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func trust(t *testing.T, text []byte) *x509.CertPool {
	t.Helper()
	pool, err := source.Authorities(text)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// remote is a Remote for a URL that trusts the certificate of s.
func remote(t *testing.T, s *httptest.Server, url string, token func() (string, error)) *source.Remote {
	t.Helper()
	r, err := source.NewRemote(url, trust(t, authority(s.Certificate())), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func bearer() (string, error) { return bearerToken, nil }

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func TestFetch(t *testing.T) {
	full := strings.Repeat("x", source.MaxSize)
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		err    string // in the error; empty: none
	}{
		{"a document", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, documentText) }, documentText, ""},
		{"an empty one", func(http.ResponseWriter, *http.Request) {}, "", ""},
		{"the largest", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, full) }, full, ""},
		{"one byte more", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, full+"x") }, "", "more than 65536 bytes; is it the right URL?"},
		{"one byte at a time", func(w http.ResponseWriter, _ *http.Request) {
			for _, c := range []byte(documentText) {
				_, _ = w.Write([]byte{c})
				w.(http.Flusher).Flush()
			}
		}, documentText, ""},
		{"500", status(500), "", "the server answers 500"},
		{"401", status(401), "", "the server answers 401; is the bearer token right?"},
		{"403", status(403), "", "the server answers 403; is the bearer token right?"},
		{"404", status(404), "", "the server answers 404; is the path right?"},
		{"304 although nothing was asked for", status(304), "", "the server answers 304, although no tag was sent"},
		{"204", status(204), "", "the server answers 204"},
		{"206", status(206), "", "the server answers 206"},
		{"an oversized header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 20_000))
		}, "", "server response headers exceeded 16384 bytes"},
		{"a body that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, documentText)
		}, "", "no answer: the connection was cut"},
		{"a connection that is cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", "no answer: the connection was cut"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, row.answer)
			got, err := remote(t, s, s.URL, nil).Fetch(context.Background(), "")
			wantFetched(t, got, err, row.want, row.err)
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// wantFetched compares what was fetched with the expected text, or the error with part of its text.
func wantFetched(t *testing.T, got source.Fetched, err error, want, part string) {
	t.Helper()
	if part == "" && err != nil || part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
		t.Errorf("got error %v, want %q in it", err, part)
	}
	if string(got.Text) != want {
		t.Errorf("got %.80q, want %.80q", got.Text, want)
	}
}

func TestFetchAsksAsItShould(t *testing.T) {
	var seen http.Header
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	r := remote(t, s, s.URL+"/documents/edge?a=b", bearer)
	for _, row := range []struct {
		name, tag string
		want      map[string]string
	}{
		{"the first time", "", map[string]string{"Authorization": "Bearer " + bearerToken, "Accept-Encoding": "", "If-None-Match": ""}},
		{"with a tag", `W/"1"`, map[string]string{"Authorization": "Bearer " + bearerToken, "Accept-Encoding": "", "If-None-Match": `W/"1"`}},
	} {
		if _, err := r.Fetch(context.Background(), row.tag); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		for name, want := range row.want {
			if got := seen.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", row.name, name, got, want)
			}
		}
	}
	if _, err := remote(t, s, s.URL, nil).Fetch(context.Background(), ""); err != nil || seen.Get("Authorization") != "" {
		t.Errorf("without a token: got Authorization %q and error %v, want none", seen.Get("Authorization"), err)
	}
}

func TestFetchWithATag(t *testing.T) {
	for _, row := range []struct {
		name, tag, sent string // sent: the tag of the answer
		want            source.Fetched
	}{
		{"the document is unchanged", `"1"`, `"1"`, source.Fetched{Tag: `"1"`, Unchanged: true}},
		{"it has changed", `"0"`, `"1"`, source.Fetched{Text: []byte(documentText), Tag: `"1"`}},
		{"the server knows no tags", `"0"`, "", source.Fetched{Text: []byte(documentText)}},
		{"a tag that is too long is not sent back", `"0"`, `"` + strings.Repeat("x", 255) + `"`, source.Fetched{Text: []byte(documentText)}},
		{"the longest one is", `"0"`, `"` + strings.Repeat("x", 254) + `"`, source.Fetched{Text: []byte(documentText), Tag: `"` + strings.Repeat("x", 254) + `"`}},
		{"one in another alphabet can be sent back", `"0"`, "\"\x80\xff\"", source.Fetched{Text: []byte(documentText), Tag: "\"\x80\xff\""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if row.sent != "" {
					w.Header().Set("ETag", row.sent)
				}
				if asked := r.Header.Get("If-None-Match"); asked != "" && asked == row.sent {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				fmt.Fprint(w, documentText)
			})
			r := remote(t, s, s.URL, nil)
			got, err := r.Fetch(context.Background(), row.tag)
			if err != nil || string(got.Text) != string(row.want.Text) || got.Tag != row.want.Tag || got.Unchanged != row.want.Unchanged {
				t.Errorf("got %+v and error %v, want %+v", got, err, row.want)
			}
			if again, err := r.Fetch(context.Background(), got.Tag); err != nil || again.Unchanged != (got.Tag != "") {
				t.Errorf("asked with the tag it gave: got %+v and error %v, want unchanged %v", again, err, got.Tag != "")
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("got a request for the place that the redirect names, with Authorization %q, want none", r.Header.Get("Authorization"))
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, code) })
		got, err := remote(t, s, s.URL, bearer).Fetch(context.Background(), "")
		wantFetched(t, got, err, "", fmt.Sprintf("the server answers %d; redirects are not followed: name the final URL", code))
	}
}

func TestAuthorities(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, documentText) })
	own := authority(s.Certificate())
	other := authority(selfSigned(t, time.Now().Add(time.Hour)).Leaf)
	localhost := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	for _, row := range []struct {
		name, url string
		ca        []byte // nil: the system's
		want, err string
	}{
		{"its own", s.URL, own, documentText, ""},
		{"its own beside another and text", s.URL, append(append([]byte("# both\n"), other...), own...), documentText, ""},
		{"another", s.URL, other, "", "no answer: its certificate is signed by an authority that is not trusted"},
		{"the system's", s.URL, nil, "", "no answer: its certificate is signed by an authority that is not trusted"},
		{"its own, but for another name", localhost, own, "", "not localhost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool *x509.CertPool
			if row.ca != nil {
				pool = trust(t, row.ca)
			}
			r, err := source.NewRemote(row.url, pool, bearer)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := r.Fetch(context.Background(), "")
			wantFetched(t, got, err, row.want, row.err)
		})
	}
	for _, text := range []string{"", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := source.Authorities([]byte(text)); err == nil || !strings.Contains(err.Error(), "holds no certificate in PEM form") {
			t.Errorf("authorities %q: got error %v, want one that names the form", text, err)
		}
	}
}

// An outdated certificate's error must not tell the time, or it would be another error at every attempt.
func TestAnOutdatedCertificate(t *testing.T) {
	certificate := selfSigned(t, time.Now().Add(-time.Hour))
	s := httptest.NewUnstartedServer(status(200))
	s.Config.ErrorLog = quiet()
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	defer s.Close()
	r, err := source.NewRemote(s.URL, trust(t, authority(certificate.Leaf)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Fetch(context.Background(), ""); err == nil || err.Error() != "no answer: its certificate has expired or is not valid yet; renew it, or set the clock" {
		t.Errorf("got error %v, want one that says what is wrong and no time", err)
	}
	earlier, err := source.NewRemote(s.URL, trust(t, authority(certificate.Leaf)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer earlier.Close()
	earlier.JudgeBy(func() time.Time { return time.Now().Add(-2 * time.Hour) })
	if _, err := earlier.Fetch(context.Background(), ""); err != nil {
		t.Errorf("by a clock at which it is valid: got error %v, want none", err)
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	for _, url := range []string{"", "http://127.0.0.1/", "HTTP://127.0.0.1/", "ftp://127.0.0.1/", "127.0.0.1", "https://", "https://a b/", "https://a:b/", "https://[::1/", "https://a/%zz"} {
		if _, err := source.NewRemote(url, nil, nil); err == nil {
			t.Errorf("%s: got no error, want one", url)
		}
	}
}

func TestATokenThatCannotBeRead(t *testing.T) {
	asked := false
	s := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	r := remote(t, s, s.URL, func() (string, error) { return "", errors.New("the bearer token: is not there") })
	if _, err := r.Fetch(context.Background(), ""); err == nil || err.Error() != "the bearer token: is not there" || asked {
		t.Errorf("got error %v and asked %v, want the reader's and no request", err, asked)
	}
}
