package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secureUpstream is a backend behind TLS, with a certificate of ours, that says who asks.
func secureUpstream(t *testing.T, cert, key string, clients *x509.CertPool) *httptest.Server {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, name, " asks ", r.TLS.ServerName)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // refused handshakes are the point
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestUpstreamCertificates(t *testing.T) {
	end := time.Now().Add(time.Hour)
	server, serverKey := testPair(t, 1, end)
	other, _ := testPair(t, 2, end)
	client3, key3 := testPair(t, 3, end)
	client4, key4 := testPair(t, 4, end)
	known := x509.NewCertPool()
	known.AppendCertsFromPEM([]byte(client3 + client4))
	upstream := secureUpstream(t, server, serverKey, known)
	files := pairFiles(t, client3, key3)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, server)
	gate := run(t, upstream.URL, map[string]any{}, func(p *Proxy) {
		p.Tree["upstream_tls"] = map[string]any{"ca": ca, "cert": files.cert, "key": files.key, "server_name": "gate.example"}
	})
	for _, row := range []struct {
		name   string
		files  map[string]string
		logged string // one more line with this; empty: there is no reload
		status int
		body   string
	}{
		{"the gate shows its certificate and asks for the name", nil, "", 200, "test 3 asks gate.example"},
		{"a new certificate is shown", map[string]string{files.cert: client4, files.key: key4}, `"changed":true`, 200, "test 4 asks gate.example"},
		{"half a new certificate changes nothing", map[string]string{files.cert: client3}, "no usable pair", 200, "test 4 asks gate.example"},
		{"authorities that are no PEM change nothing", map[string]string{files.cert: client4, ca: "nonsense"}, "upstream_tls.ca", 200, "test 4 asks gate.example"},
		{"other authorities are taken up: this upstream is trusted no more", map[string]string{ca: other}, `"changed":true`, 502, bodyBadGateway},
		{"the first authorities again", map[string]string{ca: server}, `"changed":true`, 200, "test 4 asks gate.example"},
		{"other authorities beside half a certificate change nothing yet", map[string]string{ca: other, files.cert: client3}, "no usable pair", 200, "test 4 asks gate.example"},
		{"other authorities count once the certificate is whole again", map[string]string{files.cert: client4}, `"msg":"reloaded"`, 502, bodyBadGateway},
	} {
		t.Run(row.name, func(t *testing.T) {
			for path, text := range row.files {
				write(t, path, text)
			}
			if row.logged != "" {
				before := len(gate.log.lines(row.logged))
				gate.reload <- syscall.SIGHUP
				gate.log.wait(t, row.logged, before+1)
			}
			if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != row.status || got.body != row.body {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, row.status, row.body)
			}
		})
	}
	if got := gate.metric(`approovgate_upstream_errors_total{kind="tls"}`); got != "2" {
		t.Errorf("failures of TLS: got %s, want 2", got)
	}
	if got := gate.metric(`approovgate_certificate_not_after_timestamp_seconds{use="upstream"}`); !sameNumber(got, float64(end.Unix())) {
		t.Errorf("end of the certificate: got %s, want %d", got, end.Unix())
	}
	t.Run("an upstream of another name gets nothing", func(t *testing.T) {
		write(t, ca, server)
		gate := run(t, upstream.URL, map[string]any{}, func(p *Proxy) {
			p.Tree["upstream_tls"] = map[string]any{"ca": ca, "cert": files.cert, "key": files.key, "server_name": "evil.example"}
		})
		if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 502 {
			t.Errorf("got %d, want 502", got.status)
		}
	})
	t.Run("a gate without a certificate is turned away", func(t *testing.T) {
		gate := run(t, upstream.URL, map[string]any{}, func(p *Proxy) { p.Tree["upstream_tls"] = map[string]any{"ca": ca} })
		if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 502 {
			t.Errorf("got %d, want 502", got.status)
		}
	})
}

func TestH2CUpstream(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a short read shows in the comparison
		fmt.Fprint(w, r.Proto, " ", r.Host, " ", r.RequestURI, " ", string(body))
	}))
	upstream.Config.Protocols = new(http.Protocols)
	upstream.Config.Protocols.SetUnencryptedHTTP2(true)
	upstream.Start()
	t.Cleanup(upstream.Close)
	gate := run(t, strings.Replace(upstream.URL, "http:", "h2c:", 1), map[string]any{})
	got := gate.send(request("POST", "/x?y=%zz", "Approov-Token: "+validToken(t, nil), "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n")
	if want := "HTTP/2.0 api.example.com /x?y=%zz abc"; got.status != 200 || got.body != want {
		t.Errorf("got %d %q, want 200 %q", got.status, got.body, want)
	}
}

func TestFaultsAreToldApart(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, row := range []struct {
		name string
		ctx  context.Context
		err  error
		want string
	}{
		{"a refused connection", t.Context(), &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connect"},
		{"a name nobody knows", t.Context(), &net.DNSError{Err: "no such host", IsNotFound: true}, "connect"},
		{"no descriptor left", t.Context(), syscall.EMFILE, "connect"},
		{"a socket that is missing", t.Context(), &net.OpError{Op: "dial", Net: "unix", Err: syscall.ENOENT}, "connect"},
		{"a dial that takes too long", t.Context(), &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, "timeout"},
		{"a header that takes too long", t.Context(), &url.Error{Op: "Get", Err: context.DeadlineExceeded}, "timeout"},
		{"a certificate nobody vouches for", t.Context(), &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "tls"},
		{"an upstream without TLS", t.Context(), tls.RecordHeaderError{Msg: "x"}, "tls"},
		{"an alert", t.Context(), tls.AlertError(42), "tls"},
		{"an upstream that hangs up", t.Context(), io.EOF, "protocol"},
		{"an upstream that resets", t.Context(), &net.OpError{Op: "read", Err: syscall.ECONNRESET}, "protocol"},
		{"nonsense", t.Context(), errors.New("malformed HTTP response"), "protocol"},
		{"a client that is gone", gone, io.EOF, "client"},
		{"a request that was cancelled", t.Context(), context.Canceled, "client"},
		{"a body that breaks off", t.Context(), &clientError{io.ErrUnexpectedEOF}, "client"},
		{"a body that takes too long is the client's fault, no timeout", t.Context(), &url.Error{Op: "Post", Err: &clientError{context.DeadlineExceeded}}, "client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil).WithContext(row.ctx)
			if got := faultNames[faultOf(r, row.err)]; got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
