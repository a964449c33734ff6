package attestd_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/attestd"
	"github.com/approovgate/approovgate/internal/pgtest"
	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/pins"
)

// api is a server of an API, whose certificate can be swapped.
type api struct {
	address     string
	ca          string // file of its authority
	certificate atomic.Pointer[tls.Certificate]
	renew       func() (pin string)
}

// startAPI serves TLS on an address of this machine. It answers nothing.
func startAPI(t *testing.T, domain string) *api {
	t.Helper()
	a := &api{ca: filepath.Join(t.TempDir(), "ca.pem")}
	rootKey, root := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "API authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	writePEM(t, a.ca, "CERTIFICATE", root.Raw)
	a.renew = func() string {
		key, leaf := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain}, KeyUsage: x509.KeyUsageDigitalSignature}, root, rootKey)
		a.certificate.Store(&tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key})
		return pins.Of(leaf).Pin
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = discarded()
	server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate.Load(), nil }}
	a.renew()
	server.StartTLS()
	t.Cleanup(server.Close)
	a.address = server.Listener.Addr().String()
	return a
}

// told is a message as the webhook got it.
type told struct {
	attestapi.PinMessage
	body      []byte
	signature string
}

// R209, as an operator has it: the real service watches a domain, the domain's key is swapped, and the webhook, the
// metrics, the status and the log say so; then it is swapped back. A domain that hangs disturbs nobody, nor the end.
func TestThePinMonitor(t *testing.T) {
	const domain, secretPath = "api.example.com", "/hooks/xoxb-very-secret"
	server := startAPI(t, domain)
	first := server.renew()
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // takes connections into its queue, and no more
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	messages := make(chan told, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		m := told{signature: r.Header.Get(attestapi.HeaderPinSignature)}
		m.body, _ = io.ReadAll(r.Body) // what is short does not decode
		if err := json.Unmarshal(m.body, &m.PinMessage); err != nil || r.URL.Path != secretPath {
			t.Errorf("got %s at %s: %v", m.body, r.URL, err)
		}
		messages <- m
	}))
	defer receiver.Close()
	secret := filepath.Join(t.TempDir(), "webhook.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 2)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := porttest.Free(t)
	s := startService(t, t.TempDir(), "--pin-check", "2m", "--pin-webhook", receiver.URL+secretPath, "--pin-webhook-secret", "file:"+secret,
		"--pin-connect", domain+"="+server.address, "--pin-connect", "hang.example.com="+hanging.Addr().String(), "--pin-ca", server.ca, "--status", status)
	set := func(pins ...string) {
		t.Helper()
		s.manage(t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: domain, Pins: pins}, {Domain: "hang.example.com"}}}, nil)
	}
	state := func(want string) {
		t.Helper()
		eventually(t, domain+" is "+want, func() string {
			var all attestapi.PinStatuses
			_, text := s.tryManage(t, http.MethodGet, attestapi.PathPinStatus, nil, &all) // too often is no failure here
			if !all.Monitored || len(all.Domains) != 2 || all.Domains[0].State != want {
				return text
			}
			return ""
		})
	}
	next := func(event string) told {
		t.Helper()
		for {
			select {
			case m := <-messages:
				if m.Event == event {
					return m
				}
			case <-time.After(patience):
				t.Fatalf("no message %s\n%s", event, s.log)
			}
		}
	}

	var served attestapi.ServedPins
	s.manage(t, http.MethodGet, attestapi.PathPins+"?domain="+url.QueryEscape(domain), nil, &served)
	if len(served.Certificates) != 2 || served.Certificates[0].Pin != first || served.Problem != "" {
		t.Errorf("before it is added: got %+v, want the leaf %s and its root, trusted", served, first)
	}
	if code, text := s.tryManage(t, http.MethodGet, attestapi.PathPins+"?domain=127.0.0.1", nil, nil); code != http.StatusBadGateway || !strings.Contains(text, "public internet") {
		t.Errorf("this machine: got %d %s, want that it is not looked at", code, text)
	}
	set(first)
	state("matched")

	second := server.renew()
	set(first, newPin()) // whose domain is changed is looked at, at once
	m := next("problem")
	if m.Domain != domain || m.Account != "demo" || m.State != "mismatched" || m.Previous != "matched" || m.Leaf != second || m.Before != first {
		t.Errorf("got %s, want that no pin matches", m.body)
	}
	mac := hmac.New(sha256.New, []byte(strings.Repeat("0123456789abcdef", 2)))
	mac.Write(m.body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); m.signature != want {
		t.Errorf("got the signature %s, want %s", m.signature, want)
	}
	state("mismatched")
	if got, want := metricsOf(t, status), `attestserver_pin_state{account="demo",domain="api.example.com",state="mismatched"} 1`; !strings.Contains(got, want) {
		t.Errorf("got the metrics\n%s\nwant %s", got, want)
	}

	set(first, second)
	if m := next("recovered"); m.State != "matched" || m.Previous != "mismatched" {
		t.Errorf("got %s, want that it is in order again", m.body)
	}
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Error("the service does not end")
	}
	if log := s.log.String(); strings.Contains(log, "xoxb") || strings.Contains(log, "0123456789abcdef") ||
		strings.Count(log, `"msg":"pins: problem","account":"demo","domain":"api.example.com","state":"mismatched","previous":"matched"`) != 1 ||
		!strings.Contains(log, `"path":"/mgmt/v1/pins","status":502`) || !strings.Contains(log, `"domain":"127.0.0.1"`) {
		t.Errorf("got the log\n%s\nwant one line for the problem, the looks with their domains, and no secret", log)
	}
}

// Without the monitor a domain is looked at on order all the same, and its status is not known.
func TestThePinMonitorIsOff(t *testing.T) {
	server := startAPI(t, "api.example.com")
	s := startService(t, t.TempDir(), "--pin-connect", "api.example.com="+server.address)
	s.manage(t, http.MethodPost, attestapi.PathDomains, attestapi.APIDomain{Domain: "api.example.com"}, nil)
	var all attestapi.PinStatuses
	if s.manage(t, http.MethodGet, attestapi.PathPinStatus, nil, &all); all.Monitored || len(all.Domains) != 1 || all.Domains[0].State != "unknown" {
		t.Errorf("got %+v", all)
	}
	var served attestapi.ServedPins
	if s.manage(t, http.MethodGet, attestapi.PathPins+"?domain=api.example.com", nil, &served); !strings.Contains(served.Problem, "unknown authority") {
		t.Errorf("without --pin-ca: got %+v, want that the authority is not known", served)
	}
}

// What the flags of the monitor cannot be, and what is said then.
func TestMistakesWithThePinMonitor(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short, empty, junk := write("short", "0123456789\n"), write("empty", "\n"), write("junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	data := []string{"--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0"}
	hook := []string{"--pin-webhook", "https://hooks.example.com/very-secret"}
	for _, row := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"too often", []string{"--pin-check", "1m59s"}, 2, "--pin-check: 1m59s is too often for other people's servers; use 2m0s or more, or 0"},
		{"backwards", []string{"--pin-check", "-10m"}, 2, "--pin-check"},
		{"no time", []string{"--pin-check", "often"}, 2, "pin-check"},
		{"a webhook by http", []string{"--pin-webhook", "http://hooks.example.com/very-secret"}, 2, "--pin-webhook: it must be https"},
		{"a webhook that is no URL", []string{"--pin-webhook", "very-secret"}, 2, "--pin-webhook: it is not a URL"},
		{"a webhook with nothing to tell", append([]string{"--pin-check", "0"}, hook...), 2, "nothing to tell"},
		{"a secret without a webhook", []string{"--pin-webhook-secret", "file:" + short}, 2, "--pin-webhook, which is missing"},
		{"a secret on the command line", append([]string{"--pin-webhook-secret", "very-secret"}, hook...), 2, "shows in ps"},
		{"a short secret", append(append([]string{"--pin-webhook-secret", "file:" + short}, hook...), data...), 1, "its secret has 10 bytes, and needs 32"},
		{"an empty secret", append(append([]string{"--pin-webhook-secret", "file:" + empty}, hook...), data...), 1, "--pin-webhook-secret: it is empty"},
		{"a secret that is not there", append(append([]string{"--pin-webhook-secret", "file:/absent"}, hook...), data...), 1, "/absent"},
		{"a place without a port", []string{"--pin-connect", "api.example.com=127.0.0.1"}, 2, "DOMAIN=HOST:PORT"},
		{"a place without a domain", []string{"--pin-connect", "127.0.0.1:443"}, 2, "DOMAIN=HOST:PORT"},
		{"a place without a host", []string{"--pin-connect", "api.example.com=:443"}, 2, "DOMAIN=HOST:PORT"},
		{"port 0", []string{"--pin-connect", "api.example.com=127.0.0.1:0"}, 2, "DOMAIN=HOST:PORT"},
		{"a port of too many", []string{"--pin-connect", "api.example.com=127.0.0.1:65536"}, 2, "DOMAIN=HOST:PORT"},
		{"a URL for a domain", []string{"--pin-connect", "https://api.example.com=127.0.0.1:443"}, 2, "DOMAIN=HOST:PORT"},
		{"a domain twice", []string{"--pin-connect", "api.example.com=127.0.0.1:443", "--pin-connect", "API.example.com=127.0.0.1:444"}, 2, "api.example.com is given twice"},
		{"authorities that are not there", append([]string{"--pin-ca", "/absent.pem"}, data...), 1, "/absent.pem"},
		{"authorities that are a folder", append([]string{"--pin-ca", dir}, data...), 1, "regular file"},
		{"authorities that are none", append([]string{"--pin-ca", empty}, data...), 1, "no PEM certificate"},
		{"authorities that cannot be read", append([]string{"--pin-ca", junk}, data...), 1, "cannot be read"},
	} {
		var out, errs bytes.Buffer
		if status := attestd.Run(row.args, &out, &errs); status != row.status || !strings.Contains(errs.String(), row.want) {
			t.Errorf("%s: got status %d and %q, want %d and %q in it", row.name, status, errs.String(), row.status, row.want)
		}
		if strings.Contains(errs.String(), "very-secret") {
			t.Errorf("%s: got %q, which repeats what may be a secret", row.name, errs.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a service that did not start has made its folder")
	}
}

// Several nodes each look by themselves; the one that has the webhook tells. What is changed at one reaches the other.
func TestThePinMonitorOnTwoNodes(t *testing.T) {
	db := pgtest.Shared(t).Database(t)
	server := startAPI(t, "api.example.com")
	first := server.renew()
	messages := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m attestapi.PinMessage
		if err := json.NewDecoder(r.Body).Decode(&m); err == nil && m.Event != attestapi.PinsExpiring {
			messages <- m.Event + " " + m.State
		}
	}))
	defer receiver.Close()
	flags := []string{"--db", db, "--pin-check", "2m", "--pin-connect", "api.example.com=" + server.address, "--pin-ca", server.ca}
	silent := startService(t, t.TempDir(), flags...)
	telling := startService(t, t.TempDir(), append(flags, "--key", "file:"+filepath.Join(silent.data, "sealing.key"), "--url", silent.url(), "--pin-webhook", receiver.URL)...)
	telling.data = silent.data // where the management token is
	both := func(want string) {
		t.Helper()
		for _, node := range []*service{silent, telling} {
			eventually(t, "a node sees it "+want, func() string {
				var all attestapi.PinStatuses
				_, text := node.tryManage(t, http.MethodGet, attestapi.PathPinStatus, nil, &all)
				if len(all.Domains) != 1 || all.Domains[0].State != want {
					return text
				}
				return ""
			})
		}
	}
	set := func(pins ...string) {
		t.Helper()
		silent.manage(t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: "api.example.com", Pins: pins}}}, nil)
	}
	set(first)
	both("matched")
	server.renew()
	set(first, newPin())
	both("mismatched")
	if got := <-messages; got != "problem mismatched" || len(messages) > 0 {
		t.Errorf("got %q and %d messages more, want one that it is mismatched", got, len(messages))
	}
}
