package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// standInCommand starts a stand-in for a gate's admin interface on a unix socket and puts its address into a variable.
func standInCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "standin VARIABLE")
	s, err := newStandIn(standInPolicy, time.Now)
	ts.Check(err)
	dir, err := os.MkdirTemp("", "gate") // a script's own folder is too long for a socket's path
	ts.Check(err)
	l, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	ts.Check(err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	server.Start()
	ts.Defer(func() {
		server.Close()
		_ = os.RemoveAll(dir)
	})
	ts.Setenv(args[0], "unix:"+l.Addr().String())
}

// keyPairCommand writes a new key on P-256 as two PEM files, the private one as openssl genpkey does.
func keyPairCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "keypair PRIVATE PUBLIC")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
}

// publishCommand serves the script's files over TLS: it puts the URL into a variable and the authority into a file.
func publishCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "publish VARIABLE CAFILE")
	s := httptest.NewTLSServer(http.FileServer(http.Dir(ts.MkAbs("."))))
	ts.Defer(s.Close)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	ts.Setenv(args[0], s.URL)
}
