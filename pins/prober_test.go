package pins

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// R118, R135: the pins are those that the manual's users get from openssl, for the keys it names.
func TestPinsAreThoseOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to compare with")
	}
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	for _, row := range []struct {
		name string
		key  crypto.Signer
	}{
		{"RSA-2048", rsaKey(t, 2048)},
		{"RSA-4096", rsaKey(t, 4096)},
		{"EC-256", ec(t, elliptic.P256())},
		{"EC-384", ec(t, elliptic.P384())},
	} {
		own := leaf(t, root, row.key)
		chain, err := Prober{Connect: served(t, own), Roots: pool(root)}.Chain(t.Context(), "api.example.com")
		if err != nil || chain.Problem != nil {
			t.Errorf("%s: got %v, %v, want a trusted chain", row.name, err, chain.Problem)
			continue
		}
		command := exec.Command("sh", "-c", "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
		command.Stdin = bytes.NewReader(pemOf(own))
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := chain.Leaf().Pin, strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: got the pin %s, want openssl's %s", row.name, got, want)
		}
		if len(chain.Certificates) != 2 || chain.Certificates[1].Pin != Of(root.Certificate).Pin {
			t.Errorf("%s: got the chain %v, want the root at its end", row.name, chain.Certificates)
		}
	}
}

// R124: the chain of the manual's example, which the server sends with two roots that others have signed, too.
func TestAChainWithCrossSignedRoots(t *testing.T) {
	old := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Starfield Class 2"}), farAway)
	g2Name := subjectOf(part{country, "US"}, part{province, "Arizona"}, part{locality, "Scottsdale"}, part{company, "Starfield Technologies, Inc."},
		part{commonName, "Starfield Services Root Certificate Authority - G2"})
	g2Key := rsaKey(t, 2048)
	g2 := ca(t, nil, g2Key, g2Name, farAway)
	g2Crossed := ca(t, old, g2Key, g2Name, time.Date(2034, 6, 28, 17, 39, 16, 0, time.UTC))
	oneName := subjectOf(part{country, "US"}, part{company, "Amazon"}, part{commonName, "Amazon Root CA 1"})
	oneKey := rsaKey(t, 2048)
	one := ca(t, nil, oneKey, oneName, time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC))
	oneCrossed := ca(t, g2, oneKey, oneName, time.Date(2037, 12, 31, 1, 0, 0, 0, time.UTC))
	server := ca(t, one, ec(t, elliptic.P256()), subjectOf(part{country, "US"}, part{company, "Amazon"}, part{unit, "Server CA 1B"}, part{commonName, "Amazon"}),
		time.Date(2040, 10, 19, 0, 0, 0, 0, time.UTC))
	own := leaf(t, server, ec(t, elliptic.P256()))
	address := served(t, own, server, oneCrossed, g2Crossed)

	chain, err := Prober{Connect: address, Roots: pool(one, g2)}.Chain(t.Context(), "api.example.com")
	if err != nil || chain.Problem != nil {
		t.Fatalf("got %v, %v, want a trusted chain", err, chain.Problem)
	}
	want := []string{
		"2100-01-01 CN=api.example.com",
		"2040-10-19 CN=Amazon,OU=Server CA 1B,O=Amazon,C=US",
		"2037-12-31 CN=Amazon Root CA 1,O=Amazon,C=US",
		`2034-06-28 CN=Starfield Services Root Certificate Authority - G2,O=Starfield Technologies\, Inc.,L=Scottsdale,ST=Arizona,C=US`,
	}
	var got []string
	for _, c := range chain.Certificates {
		got = append(got, c.Expires.Format(time.DateOnly)+" "+c.Subject)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got the chain\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range chain.Certificates {
		if _, ok := chain.Match([]string{c.Pin}); !ok {
			t.Errorf("got no match of %s, want one: each root is reached by a way of its own", c.Subject)
		}
	}
	if got := chain.Extra(); len(got) != 0 {
		t.Errorf("got %v as not needed, want none", got)
	}
	if got, want := chain.Expires(), oneCrossed.NotAfter; !got.Equal(want) {
		t.Errorf("got that it ends %v, want %v: the way by the old root is the longer one", got, want)
	}

	// A device that knows neither of the new roots goes by the old one.
	chain, err = Prober{Connect: address, Roots: pool(old)}.Chain(t.Context(), "api.example.com")
	if err != nil || chain.Problem != nil || len(chain.Certificates) != 4 && len(chain.Certificates) != 5 {
		t.Errorf("by the old root: got %d certificates, %v, %v, want a trusted chain", len(chain.Certificates), err, chain.Problem)
	}
	if _, ok := chain.Match([]string{Of(old.Certificate).Pin}); !ok {
		t.Error("by the old root: got no match of it, want one")
	}
}

func TestWhatIsSentAlongDoesNotMatch(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	pinned := leaf(t, root, ec(t, elliptic.P256()))
	attacker := leaf(t, root, ec(t, elliptic.P256()))
	pins := []string{Of(pinned.Certificate).Pin}

	chain, err := Prober{Connect: served(t, attacker, pinned), Roots: pool(root)}.Chain(t.Context(), "api.example.com")
	if err != nil || chain.Problem != nil {
		t.Fatalf("got %v, %v, want a trusted chain", err, chain.Problem)
	}
	if pin, ok := chain.Match(pins); ok {
		t.Errorf("got a match of %s, which was sent along only, want none", pin)
	}
	if got := chain.Extra(); len(got) != 1 || got[0].Pin != pins[0] {
		t.Errorf("got %v as not needed, want the one sent along", got)
	}
}

func TestMatchTakesTheFirstPinThatFits(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	own := leaf(t, root, ec(t, elliptic.P256()))
	chain, err := Prober{Connect: served(t, own), Roots: pool(root)}.Chain(t.Context(), "api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	other, leafPin, rootPin := Of(leaf(t, root, ec(t, elliptic.P256())).Certificate).Pin, Of(own.Certificate).Pin, Of(root.Certificate).Pin
	for _, row := range []struct {
		name string
		pins []string
		want string
	}{
		{"the leaf's", []string{leafPin}, leafPin},
		{"the root's, which was not sent", []string{rootPin}, rootPin},
		{"a backup pin first", []string{other, rootPin, leafPin}, rootPin},
		{"another one alone", []string{other}, ""},
		{"none", nil, ""},
	} {
		if got, ok := chain.Match(row.pins); got != row.want || ok != (row.want != "") {
			t.Errorf("%s: got %q, %v, want %q", row.name, got, ok, row.want)
		}
	}
}

// What apps refuse is shown and named.
func TestChainsThatAreNotTrusted(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	middle := ca(t, root, ec(t, elliptic.P256()), subjectOf(part{commonName, "Middle"}), farAway)
	name := x509.Certificate{DNSNames: []string{"api.example.com"}}
	expired, early, client, other := name, name, name, x509.Certificate{DNSNames: []string{"www.example.com"}}
	expired.NotAfter = time.Date(2029, 12, 31, 0, 0, 0, 0, time.UTC)
	early.NotBefore = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	key := ec(t, elliptic.P256())
	for _, row := range []struct {
		name  string
		chain []*made
		want  string
	}{
		{"expired", []*made{issue(t, root, key, expired)}, "x509: certificate has expired or is not yet valid: it is valid from 2020-01-01 to 2029-12-31"},
		{"not yet valid", []*made{issue(t, root, key, early)}, "it is valid from 2031-01-01 to 2100-01-01"},
		{"of another name", []*made{issue(t, root, key, other)}, "valid for www.example.com, not api.example.com"},
		{"for clients only", []*made{issue(t, root, key, client)}, "incompatible key usage"},
		{"self-signed", []*made{issue(t, nil, key, name)}, "unknown authority"},
		{"the intermediate left out", []*made{issue(t, middle, key, name)}, "unknown authority"},
	} {
		p := Prober{Connect: served(t, row.chain...), Roots: pool(root), Now: func() time.Time { return time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC) }}
		chain, err := p.Chain(t.Context(), "api.example.com")
		if err != nil {
			t.Errorf("%s: got the error %v, want a chain", row.name, err)
			continue
		}
		if chain.Problem == nil || !strings.Contains(chain.Problem.Error(), row.want) {
			t.Errorf("%s: got the problem %v, want one with %q", row.name, chain.Problem, row.want)
		}
		pin := Of(row.chain[0].Certificate).Pin
		if got, ok := chain.Match([]string{pin}); !ok || got != pin || len(chain.Extra()) != 0 {
			t.Errorf("%s: got %q, %v, %v, want the leaf's pin", row.name, got, ok, chain.Extra())
		}
		if got := chain.Expires(); !got.Equal(row.chain[0].NotAfter) {
			t.Errorf("%s: got that it ends %v, want %v", row.name, got, row.chain[0].NotAfter)
		}
	}
}

// Peers that are not what they should be.
func TestServersThatShowNothing(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	own := leaf(t, root, ec(t, elliptic.P256()))
	hundred := []*made{own}
	for len(hundred) < 100 {
		hundred = append(hundred, root)
	}
	reset := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	for _, row := range []struct{ name, address, want string }{
		{"nobody listens", "127.0.0.1:1", "api.example.com cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"it resets", listening(t, "127.0.0.1:0", reset), "api.example.com cannot be reached: read: connection reset by peer"},
		{"it closes", listening(t, "127.0.0.1:0", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }), "api.example.com cannot be reached: the connection was closed in the TLS handshake"},
		{"it hangs", listening(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "api.example.com cannot be reached: no answer within 200ms"},
		{"it speaks without TLS", listening(t, "127.0.0.1:0", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }),
			"api.example.com cannot be reached: tls: first record does not look like a TLS handshake"},
		{"it sends 100 certificates", served(t, hundred...), "api.example.com shows 100 certificates, want 1 to 32"},
		{"an address that is none", "127.0.0.1:99999", "api.example.com cannot be reached: dial tcp: address 99999: invalid port"},
	} {
		p := Prober{Connect: row.address, Roots: pool(root), Timeout: time.Minute} // on a busy machine, too
		if strings.Contains(row.want, "within") {
			p.Timeout = 200 * time.Millisecond
		}
		_, err := p.Chain(t.Context(), "api.example.com")
		if err == nil || err.Error() != row.want {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
	}
}

func TestChainEndsWithItsContext(t *testing.T) {
	address := listening(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ended, end := context.WithCancel(t.Context())
	end()
	ending, free := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer free()
	for _, ctx := range []context.Context{ended, ending} {
		_, err := Prober{Connect: address}.Chain(ctx, "api.example.com")
		if err == nil || strings.Contains(err.Error(), "within") {
			t.Errorf("%v: got %v, want an error that does not blame the server's time", ctx.Err(), err)
		}
	}
}

// A server that wants a certificate of its clients is no server that cannot be reached.
func TestServersThatAskForACertificate(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	own := leaf(t, root, ec(t, elliptic.P256()))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: own.key}}, ClientAuth: tls.RequireAnyClientCert,
			MinVersion: version, MaxVersion: version}
		address := listening(t, "127.0.0.1:0", func(c net.Conn) { _ = tls.Server(c, config).HandshakeContext(context.Background()) })
		chain, err := Prober{Connect: address, Roots: pool(root)}.Chain(t.Context(), "api.example.com")
		if err != nil || chain.Problem != nil || chain.Leaf().Pin != Of(own.Certificate).Pin {
			t.Errorf("%s: got %v, %v, want the leaf's pin", tls.VersionName(version), err, chain.Problem)
		}
	}
}

// Whoever shows a certificate must have its key, also if it asks for one in turn.
func TestServersWithoutTheKeyOfTheirCertificate(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	others := leaf(t, root, ec(t, elliptic.P256()))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{others.Raw}, PrivateKey: ec(t, elliptic.P256())}}, ClientAuth: tls.RequireAnyClientCert,
			MinVersion: version, MaxVersion: version}
		address := listening(t, "127.0.0.1:0", func(c net.Conn) { _ = tls.Server(c, config).HandshakeContext(context.Background()) })
		if chain, err := (Prober{Connect: address, Roots: pool(root)}).Chain(t.Context(), "api.example.com"); err == nil {
			t.Errorf("%s: got %v, want an error", tls.VersionName(version), chain.Certificates)
		}
	}
}

func TestIPv6(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	own := leaf(t, root, ec(t, elliptic.P256()))
	forward := served(t, own)
	address := listening(t, "[::1]:0", func(c net.Conn) {
		to, err := net.Dial("tcp", forward)
		if err != nil {
			return
		}
		defer func() { _ = to.Close() }()
		go func() { _, _ = io.Copy(to, c) }() // ends with the client
		_, _ = io.Copy(c, to)
	})
	chain, err := Prober{Connect: address, Roots: pool(root)}.Chain(t.Context(), "api.example.com")
	if err != nil || chain.Problem != nil || chain.Leaf().Pin != Of(own.Certificate).Pin {
		t.Errorf("got %v, %v, want the leaf's pin", err, chain.Problem)
	}
}

func TestPublicRefusesLoopback(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	address := served(t, leaf(t, root, ec(t, elliptic.P256())))
	_, err := Prober{Connect: address, Roots: pool(root), Public: true}.Chain(t.Context(), "api.example.com")
	if err == nil || !strings.HasSuffix(err.Error(), "its address is not of the public internet") {
		t.Errorf("got %v, want that the address is not public", err)
	}
}

func TestSubjects(t *testing.T) {
	for _, row := range []struct {
		name    string
		subject pkix.RDNSequence
		want    string
	}{
		{"of the manual's example", subjectOf(part{country, "US"}, part{company, "Amazon"}, part{unit, "Server CA 1B"}, part{commonName, "Amazon"}), "CN=Amazon,OU=Server CA 1B,O=Amazon,C=US"},
		{"parts of one type stay apart", subjectOf(part{unit, "a"}, part{unit, "b"}, part{commonName, "c"}), "CN=c,OU=b,OU=a"},
		{"in an unusual order", subjectOf(part{commonName, "c"}, part{country, "US"}), "C=US,CN=c"},
		{"none", subjectOf(), ""},
		{"letters of other languages", subjectOf(part{commonName, "Zürich 東京"}), "CN=Zürich 東京"},
		{"a line end and a terminal's escape", subjectOf(part{commonName, "a\nb\x1b[2J\u202e"}), `CN=a\0Ab\1B[2J\E2\80\AE`},
		{"commas and quotes", subjectOf(part{company, `A, "B" + C`}), `O=A\, \"B\" \+ C`},
	} {
		if got := Of(&x509.Certificate{RawSubject: der(t, row.subject)}).Subject; got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	long := Of(&x509.Certificate{RawSubject: der(t, subjectOf(part{commonName, strings.Repeat("ü", 100_000)}))}).Subject
	if len(long) > maxSubject+len("…") || !strings.HasSuffix(long, "ü…") {
		t.Errorf("a long one: got %d bytes, %q at the end, want at most %d", len(long), long[len(long)-6:], maxSubject)
	}
}
