package pinwatch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/pins"
)

// R118, R121: what is seen of a domain, by servers with keys of every kind, good ones and bad ones.
func TestLooks(t *testing.T) {
	root := newAuthority("Root", nil)
	issuing := newAuthority("Issuing", root)
	stranger := newAuthority("Stranger\x07\n", nil)
	later := time.Now().AddDate(0, 6, 0)
	l := &Looker{Roots: root.pool(), Connect: map[string]string{}, Timeout: patience}
	for kind, key := range keys() {
		domain := strings.ToLower(kind) + ".example"
		c := issuing.certify(domain, key, later)
		l.Connect[domain] = serveTLS(t, c).address
		chain, err := l.Chain(t.Context(), domain)
		if err != nil || chain.Problem != nil {
			t.Errorf("%s: got %v, %v, want a trusted chain", kind, chain.Problem, err)
			continue
		}
		if got, want := fmt.Sprint(pinsOf(chain)), fmt.Sprint([]string{pinOf(c), issuing.pin(), root.pin()}); got != want {
			t.Errorf("%s: got pins %s, want leaf, issuing and root %s", kind, got, want)
		}
		for _, pin := range []string{pinOf(c), issuing.pin(), root.pin()} {
			if state, matched, _ := judge(chain, []string{stranger.pin(), pin}); state != "matched" || matched != pin {
				t.Errorf("%s: got %s %s, want matched %s", kind, state, matched, pin)
			}
		}
	}
	for _, row := range []struct {
		name, domain string
		certificate  *tls.Certificate
		want         string
	}{
		{"a stranger's certificate", "stranger.example", stranger.certify("stranger.example", newKey(), later), "unknown authority"},
		{"another domain's", "other.example", issuing.certify("api.example", newKey(), later), "not other.example"},
		{"one that has ended", "ended.example", issuing.certify("ended.example", newKey(), time.Now().Add(-time.Hour)), "expired"},
		{"without the issuing one", "short.example", &tls.Certificate{Certificate: issuing.certify("short.example", keys()["EC-256"], later).Certificate[:1], PrivateKey: keys()["EC-256"]}, "unknown authority"},
	} {
		l.Connect[row.domain] = serveTLS(t, row.certificate).address
		served, err := l.Served(t.Context(), row.domain)
		if err != nil || !strings.Contains(served.Problem, row.want) || served.Certificates[0].Pin != pinOf(row.certificate) {
			t.Errorf("%s: got %+v, %v, want the problem %q and its pin", row.name, served, err, row.want)
		}
		chain, err := l.Chain(t.Context(), row.domain)
		if err != nil {
			t.Fatal(err)
		}
		if state, _, _ := judge(chain, []string{pinOf(row.certificate)}); state != "untrusted" {
			t.Errorf("%s: got %s, want untrusted, although the pin is right", row.name, state)
		}
		if strings.ContainsAny(fmt.Sprint(served), "\x07\n") {
			t.Errorf("%s: got %q, want nothing that a terminal obeys", row.name, served.Problem)
		}
	}
}

func pinsOf(c pins.Chain) (all []string) {
	for _, one := range c.Certificates {
		all = append(all, one.Pin)
	}
	return all
}

// Why a domain cannot be reached is told without the addresses that were found for it.
func TestWhatCannotBeReached(t *testing.T) {
	closed := serve(t, func(c net.Conn) {})
	old := &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, Certificates: []tls.Certificate{*newAuthority("x", nil).certify("old.example", newKey(), time.Now().AddDate(1, 0, 0))}}
	l := &Looker{Roots: x509.NewCertPool(), Connect: map[string]string{
		"hangs.example":    serve(t, hang),
		"closes.example":   closed,
		"refuses.example":  porttest.Free(t),
		"old.example":      serve(t, func(c net.Conn) { _ = tls.Server(c, old).Handshake() }),
		"http.example":     serve(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); hang(c) }),
		"endless.example":  serve(t, func(c net.Conn) { endless(c) }),
		"halfhour.example": serve(t, func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 3, 0x40, 0}); hang(c) }),
	}}
	for domain, want := range map[string]string{
		"hangs.example":    "no answer within 1.5s",
		"closes.example":   "it closes the connection",
		"refuses.example":  "it refuses the connection",
		"old.example":      "it refuses the TLS handshake",
		"http.example":     "it does not speak TLS",
		"endless.example":  "cannot be reached: ",
		"halfhour.example": "no answer within 1.5s",
		"127.0.0.1":        "its address is not of the public internet, where this service does not look unless it runs with --pin-private",
		"169.254.169.254":  "its address is not of the public internet",
		"10.0.0.1":         "its address is not of the public internet",
		"0.0.0.0":          "its address is not of the public internet",
	} {
		l.Timeout = patience // that of a busy machine, where the server does something
		if strings.Contains(want, "within") {
			l.Timeout = 1500 * time.Millisecond
		}
		began := time.Now()
		_, err := l.Served(t.Context(), domain)
		if err == nil || !strings.HasPrefix(err.Error(), domain+" cannot be reached: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", domain, err, want)
			continue
		}
		if found := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|:\d+`).FindString(strings.TrimPrefix(err.Error(), domain)); found != "" {
			t.Errorf("%s: got %v, want no address in it", domain, err)
		}
		if took := time.Since(began); took > 2*patience {
			t.Errorf("%s: it took %v", domain, took)
		}
	}
}

// endless sends the beginning of a handshake that never ends.
func endless(c net.Conn) {
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 0x4000)...)
	for {
		if _, err := c.Write(record); err != nil {
			return
		}
	}
}

func TestReasons(t *testing.T) {
	for want, err := range map[string]error{
		"its name has no address":        &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "a.example", Server: "10.0.0.53:53", IsNotFound: true}},
		"its name cannot be looked up":   &net.DNSError{Err: "server misbehaving", Name: "a.example", Server: "10.0.0.53:53"},
		"no TLS connection can be made":  errors.New("dial tcp 10.0.0.7:443: something else"),
		"there is no way to its address": &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)},
	} {
		if got := reason(fmt.Errorf("a.example cannot be reached: %w", err)); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

// With Private the addresses of a private network are looked at, and with Connect those the operator has named.
func TestPrivateAddresses(t *testing.T) {
	root := newAuthority("Root", nil)
	s := serveTLS(t, root.certify("api.example", newKey(), time.Now().AddDate(0, 6, 0)))
	named := &Looker{Roots: root.pool(), Connect: map[string]string{"api.example": s.address}}
	if _, err := named.Served(t.Context(), "api.example"); err != nil {
		t.Errorf("named by the operator: got %v, want it looked at", err)
	}
	private := &Looker{Private: true, Timeout: time.Second}
	if _, err := private.Served(t.Context(), "127.0.0.1"); err != nil && strings.Contains(err.Error(), "public internet") {
		t.Errorf("with Private: got %v, want that it was tried", err)
	}
}

func TestPlainTexts(t *testing.T) {
	for text, want := range map[string]string{"CN=a, O=ä": "CN=a, O=ä", "a\nb\x1b[31m": "a?b?[31m", "\xff\u202e": "??", "": ""} {
		if got := plain(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := plain(strings.Repeat("ä", 1000)); len(got) > maxDetail+4 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("a long one: got %d bytes, want it cut between characters", len(got))
	}
}
