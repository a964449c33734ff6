package attestd_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"github.com/approovgate/approovgate/internal/porttest"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGoLiveChecklist types docs/go-live-checklist.md, in its order, and compares what is printed: from an empty folder
// to an API that is enforced. It differs from what a person types in three things: addresses are free ones of this
// machine, the API's domain is a server here, and the two programs that stay run in the background.
func TestGoLiveChecklist(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page is typed into a shell with %s, which is not here", tool)
		}
	}
	page, err := os.ReadFile("../../docs/go-live-checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newRehearsal(t)
	count := 0
	for _, block := range regexp.MustCompile("(?ms)^```(console|yaml)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if block[1] == "yaml" {
			r.write("gate.yaml", r.here(block[2]))
			continue
		}
		for _, c := range typedIn(block[2]) {
			r.do(c)
			count++
		}
	}
	if count < 30 {
		t.Errorf("got %d commands, want 30 or more: are all read?", count)
	}
}

// typed is a line that is typed, and what it prints, in which … stands for anything.
type typed struct{ line, prints string }

func typedIn(block string) (all []typed) {
	for line := range strings.Lines(block) {
		if text, is := strings.CutPrefix(line, "$ "); is {
			all = append(all, typed{line: strings.TrimSuffix(text, "\n")})
			continue
		}
		all[len(all)-1].prints += line
	}
	return all
}

// rehearsal is the folder in which the page is typed.
type rehearsal struct {
	t        *testing.T
	dir      string
	env      []string
	prefix   string // what has been exported and defined
	apiTLS   string // address of the API as apps reach it
	replaces *strings.Replacer
}

func newRehearsal(t *testing.T) *rehearsal {
	t.Helper()
	r := &rehearsal{t: t, dir: t.TempDir()}
	ca := r.startAPI()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the API") }))
	t.Cleanup(backend.Close)
	service, gate := porttest.Free(t), porttest.Free(t)
	bin := filepath.Join(r.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	r.script(filepath.Join(bin, "attestserver"), fmt.Sprintf("exec '%s' %s run --listen %s --pin-private --pin-ca '%s' --pin-connect api.example.com=%s\n",
		self, roleService, service, ca, r.apiTLS))
	for _, name := range []string{"approov", "approovgate"} {
		if err := os.Symlink(program(t, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "APPROOV_SERVER=http://"+service, "SSL_CERT_FILE="+ca, "TZ=UTC")
	r.replaces = strings.NewReplacer("127.0.0.1:8080", gate, "http://127.0.0.1:9000", backend.URL, "/tmp/approovgate.sock", filepath.Join(r.dir, "approovgate.sock"),
		"api -add api.example.com", "api -add api.example.com -connect "+r.apiTLS, "api -check", "api -check -connect "+r.apiTLS,
		"api -setAll apis.json", "api -setAll apis.json -connect "+r.apiTLS)
	return r
}

// here is a text of the page as it is typed here.
func (r *rehearsal) here(text string) string { return r.replaces.Replace(text) }

// startAPI starts the API as apps reach it, and writes the certificate that it will have next.
func (r *rehearsal) startAPI() (ca string) {
	issuerKey, issuer := issue(r.t, &x509.Certificate{Subject: pkix.Name{CommonName: "approovgate test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf := func() *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "api.example.com"}, DNSNames: []string{"api.example.com"},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	}
	key, served := issue(r.t, leaf(), issuer, issuerKey)
	_, next := issue(r.t, leaf(), issuer, issuerKey)
	ca = filepath.Join(r.dir, "authority.pem")
	writePEM(r.t, ca, "CERTIFICATE", issuer.Raw)
	writePEM(r.t, filepath.Join(r.dir, "next.crt"), "CERTIFICATE", next.Raw)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{served.Raw}, PrivateKey: key}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.apiTLS = listener.Addr().String()
	go func() { // ends with the listener
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) { _, _ = io.Copy(io.Discard, c); _ = c.Close() }(connection)
		}
	}()
	r.t.Cleanup(func() { _ = listener.Close() })
	return ca
}

func (r *rehearsal) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rehearsal) script(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is to be run
		r.t.Fatal(err)
	}
}

// do types a command and compares what it prints.
func (r *rehearsal) do(c typed) {
	r.t.Helper()
	line := r.here(c.line)
	switch {
	case line == "attestserver":
		r.start(line, "attestserver-data/admin.tok")
		return
	case strings.HasPrefix(line, "approovgate run"):
		r.start(line, "approovgate.sock")
		return
	case strings.HasPrefix(line, "approov registration -add shop"):
		r.makeShop()
	}
	out, err := r.bash(line)
	if err != nil && !strings.HasPrefix(line, "approovgate report") { // its status says whether to enforce
		r.t.Fatalf("%s: %v\n%s", c.line, err, out)
	}
	if !printed(c.prints, out) {
		r.t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.line, out, c.prints)
	}
	if regexp.MustCompile(`^(export )?\w+(\(\)|=)`).MatchString(line) {
		r.prefix += line + "\n" // for the commands that follow
	}
}

func (r *rehearsal) bash(line string) (string, error) {
	shell := exec.Command("bash", "-c", r.prefix+line)
	shell.Dir, shell.Env = r.dir, r.env
	out, err := shell.CombinedOutput()
	return string(out), err
}

// printed reports whether a text is what the page shows.
func printed(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(want, "\n")), "…", "(?s:.*)")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.TrimRight(got, "\n"))
}

// start has a program run until the test ends, and returns when it has made a file.
func (r *rehearsal) start(line, file string) {
	r.t.Helper()
	log := &lockedBuffer{}
	running := exec.Command("bash", "-c", "exec "+line)
	running.Dir, running.Env, running.Stdout, running.Stderr = r.dir, r.env, log, log
	if err := running.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = running.Wait(); close(ended) }() // ends with the process
	r.t.Cleanup(func() { _ = running.Process.Kill(); <-ended })
	eventually(r.t, line, func() string {
		if _, err := os.Stat(filepath.Join(r.dir, file)); err != nil {
			return err.Error() + "\n" + log.String()
		}
		return ""
	})
}

// makeShop makes the app: this program and the account's SDK library, which is what registering looks for.
func (r *rehearsal) makeShop() {
	r.t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		r.t.Fatal(err)
	}
	if out, err := r.bash("approov sdk -getLibrary approov.library"); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	library, err := os.ReadFile(filepath.Join(r.dir, "approov.library"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("shop", string(program)+string(library))
}
