package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
)

// testPair is a certificate with its test key, PEM; it signs itself, and is good for 127.0.0.1,
// gate.example, servers and clients, from an hour ago until end.
func testPair(t *testing.T, serial int64, end time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint("test ", serial)},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: end, DNSNames: []string{"gate.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// farAway is the end of a certificate that outlives every test.
var farAway = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// pairFiles are the files of a pair in a folder of their own.
func pairFiles(t *testing.T, cert, key string) *pair {
	t.Helper()
	dir := t.TempDir()
	p := &pair{cert: filepath.Join(dir, "server.pem"), key: filepath.Join(dir, "server.key")}
	write(t, p.cert, cert)
	write(t, p.key, key)
	return p
}

// problemText is problems as text.
func problemText(problems []config.Problem) string {
	var all []string
	for _, p := range problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		all = append(all, kind+" "+p.Path+" "+p.Text)
	}
	return strings.Join(all, "\n")
}

func TestPairs(t *testing.T) {
	now := time.Now()
	cert1, key1 := testPair(t, 1, now.Add(time.Hour))
	cert2, key2 := testPair(t, 2, now.Add(2*time.Hour))
	old, oldKey := testPair(t, 3, now.Add(-time.Hour))
	p := pairFiles(t, cert1, key1)
	for _, row := range []struct {
		name    string
		files   map[string]string // what is written before the refresh
		mode    os.FileMode       // of the key; 0: 0600
		changed bool
		serial  int64  // in force afterwards
		told    string // beginning and part of it, separated by |; empty: nothing is told
	}{
		{"the first pair", nil, 0, true, 1, ""},
		{"nothing has changed", nil, 0, false, 1, ""},
		{"a new certificate with the old key: half of a change", map[string]string{p.cert: cert2}, 0, false, 1, "error tls |no usable pair"},
		{"the new key: the other half", map[string]string{p.key: key2}, 0, true, 2, ""},
		{"an old key with the new certificate", map[string]string{p.key: key1}, 0, false, 2, "error tls |no usable pair"},
		{"the old certificate: back again", map[string]string{p.cert: cert1}, 0, true, 1, ""},
		{"a certificate that is no PEM", map[string]string{p.cert: "nonsense"}, 0, false, 1, "error tls |no usable pair"},
		{"an empty certificate", map[string]string{p.cert: ""}, 0, false, 1, "error tls |no usable pair"},
		{"a certificate as long as a film", map[string]string{p.cert: cert1 + strings.Repeat("\n", maxPEM)}, 0, false, 1, "error tls.cert |has more than 1048576 bytes"},
		{"a certificate of the greatest length", map[string]string{p.cert: cert1 + strings.Repeat("\n", maxPEM-len(cert1))}, 0, true, 1, ""},
		{"a key that is a certificate", map[string]string{p.cert: cert1, p.key: cert1}, 0, false, 1, "error tls |no usable pair"},
		{"an empty key", map[string]string{p.key: ""}, 0, false, 1, "error tls"},
		{"a key that everybody may write", map[string]string{p.key: key1}, 0o666, false, 1, "error tls.key |chmod 600"},
		{"a key that everybody may read", map[string]string{p.key: key1}, 0o644, true, 1, "warning tls.key |chmod 600"},
		{"a certificate that has expired, with a warning", map[string]string{p.cert: old, p.key: oldKey}, 0, true, 3, "warning tls.cert |has expired on " + now.Add(-time.Hour).UTC().Format("2006")},
		{"one that has expired stays a warning", nil, 0, false, 3, "warning tls.cert |renew it"},
		{"a good one after it", map[string]string{p.cert: cert2, p.key: key2}, 0, true, 2, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for path, text := range row.files {
				write(t, path, text)
			}
			mode := row.mode
			if mode == 0 {
				mode = 0o600
			}
			if err := os.Chmod(p.key, mode); err != nil {
				t.Fatal(err)
			}
			problems, changed := p.refresh("tls", now)
			begin, part, _ := strings.Cut(row.told, "|")
			text := problemText(problems)
			if !strings.HasPrefix(text, begin) || !strings.Contains(text, part) || row.told == "" && text != "" {
				t.Errorf("told: got %q, want %q", text, row.told)
			}
			if got := p.live.Load().Leaf.SerialNumber.Int64(); got != row.serial {
				t.Errorf("in force: got number %d, want %d", got, row.serial)
			}
			if changed != row.changed {
				t.Errorf("changed: got %v, want %v", changed, row.changed)
			}
			for _, secret := range []string{key1, key2, strings.Split(key1, "\n")[1]} {
				if strings.Contains(text, secret) {
					t.Errorf("told: got a key in %q, want it nowhere", text)
				}
			}
		})
	}
	t.Run("files that are missing are both told", func(t *testing.T) {
		p := &pair{cert: "/nowhere/cert.pem", key: "/nowhere/key.pem"}
		problems, changed := p.refresh("tls", now)
		if text := problemText(problems); changed || !strings.Contains(text, "error tls.cert") || !strings.Contains(text, "error tls.key") {
			t.Errorf("got %q, %v, want an error for each file", text, changed)
		}
	})
}

// shows is the serial number of the certificate that the gate shows, and the protocol that was agreed on.
func (r *rig) shows(versions ...uint16) (serial int64, protocol string, err error) {
	r.t.Helper()
	c := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}} // the test looks at the certificate itself
	if len(versions) > 0 {
		c.MinVersion, c.MaxVersion = versions[0], versions[0]
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", r.address, c)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), state.NegotiatedProtocol, nil
}

func TestTLSListener(t *testing.T) {
	now := time.Now()
	files := pairFiles(t, "", "")
	renew := func(serial int64) {
		cert, key := testPair(t, serial, now.Add(time.Hour))
		write(t, files.cert, cert)
		write(t, files.key, key)
	}
	renew(1)
	secure := func(p *Proxy) { p.Tree["tls"] = map[string]any{"cert": files.cert, "key": files.key} }
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{}, secure)
	if serial, protocol, err := gate.shows(); serial != 1 || protocol != "h2" || err != nil {
		t.Errorf("at the start: got number %d, %s, %v, want 1 and h2", serial, protocol, err)
	}
	renew(2)
	gate.reload <- os.Interrupt
	gate.log.wait(t, `"changed":true`, 1)
	if serial, _, err := gate.shows(); serial != 2 || err != nil {
		t.Errorf("after a reload: got number %d, %v, want 2", serial, err)
	}
	end := gate.metric(`approovgate_certificate_not_after_timestamp_seconds{use="server"}`)
	if got := fmt.Sprintf("%.9e", float64(now.Add(time.Hour).Unix())); !sameNumber(end, float64(now.Add(time.Hour).Unix())) {
		t.Errorf("metric of the end: got %s, want %s", end, got)
	}
	write(t, files.cert, "nonsense")
	gate.reload <- os.Interrupt
	gate.log.wait(t, "no usable pair", 1)
	if serial, _, err := gate.shows(); serial != 2 || err != nil {
		t.Errorf("after a broken one: got number %d, %v, want 2", serial, err)
	}
	if _, _, err := gate.shows(tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1: got a connection, want none")
	}
	if got := gate.get("/x"); got.status != 400 {
		t.Errorf("a client without TLS: got %d, want 400", got.status)
	}
	renew(4)
	t.Run("min_version 1.3 refuses 1.2", func(t *testing.T) {
		gate := run(t, upstream.URL, map[string]any{}, secure, func(p *Proxy) { p.Tree["tls"].(map[string]any)["min_version"] = "1.3" })
		if _, _, err := gate.shows(tls.VersionTLS12); err == nil {
			t.Error("TLS 1.2: got a connection, want none")
		}
		if _, _, err := gate.shows(tls.VersionTLS13); err != nil {
			t.Errorf("TLS 1.3: got %v, want a connection", err)
		}
	})
	t.Run("a request over TLS says so to the upstream", func(t *testing.T) {
		gate := run(t, upstream.URL, map[string]any{}, secure)
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", gate.address, &tls.Config{InsecureSkipVerify: true}) // as above
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 200 {
			t.Fatalf("got %v, %v, want 200", response, err)
		}
		h := upstream.last(t).Header
		if h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Port") != "443" {
			t.Errorf("got %v, want https and 443", h)
		}
	})
	t.Run("a broken pair keeps the gate from starting", func(t *testing.T) {
		write(t, files.cert, "nonsense")
		p := &Proxy{Tree: map[string]any{"listen": "127.0.0.1:0", "upstream": upstream.URL, "policy": map[string]any{"keys": keysOfTest()}}}
		secure(p)
		if problems := p.Load(); !config.Failed(problems) || p.Run(t.Context()) == nil {
			t.Errorf("got %v, want an error, and Run to refuse", problems)
		}
	})
}

// sameNumber reports whether a metric's value is a number.
func sameNumber(text string, want float64) bool {
	var got float64
	_, err := fmt.Sscan(text, &got)
	return err == nil && got == want
}
