//go:build linux

package reliability

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveVariable makes this program a server of documents; it holds a folder with the server's certificate and key.
const serveVariable = "APPROOVGATE_TEST_SERVE"

const usagePath = "/usage"

// launchDocuments runs a server of documents as a process of its own, so that what it costs can be told from what its
// clients do. It ends with the test.
func launchDocuments(t *testing.T) *documentServer {
	t.Helper()
	dir, s := t.TempDir(), &documentServer{authority: newAuthority(t)}
	certificate, key := s.authority.issue(t)
	overwrite(t, dir, "server.pem", string(certificate))
	overwrite(t, dir, "server.key", string(key))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env, command.Stderr = append(os.Environ(), serveVariable+"="+dir), os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close() // which ends it
		if err := command.Wait(); err != nil {
			t.Errorf("the server of documents: %v", err)
		}
	})
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + strings.TrimSpace(address)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: s.authority.trust()}, Timeout: patience}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// put publishes a document.
func (s *documentServer) put(t *testing.T, path, text string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPut, s.url+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if a := send(s.client, request); a.err != nil || a.status != http.StatusNoContent {
		t.Fatalf("PUT %s: %d, %v", path, a.status, a.err)
	}
}

// serveDocuments is the process. It ends with its standard input.
func serveDocuments(dir string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d := &documents{}
	server := &http.Server{Handler: http.HandlerFunc(d.serve), ErrorLog: log.New(io.Discard, "", 0)} // clients go as they like
	go func() {                                                                                      // ended by the process's end
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close() // nothing is to be finished
	}()
	fmt.Println(plain.Addr())
	err = server.Serve(tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	if err == http.ErrServerClosed {
		return nil
	}
	return err
}

func (d *documents) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut:
		text, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d.publish(r.URL.Path, string(text))
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == usagePath:
		var spent syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		u := usage{CPU: time.Duration(spent.Utime.Nano() + spent.Stime.Nano()), Unchanged: d.unchanged.Load()}
		u.Polls = u.Unchanged + d.full.Load()
		_ = json.NewEncoder(w).Encode(u) // the test shows what is missing
	default:
		text, ok := d.asked(r.URL.Path)
		d.answer(w, r, text, ok)
	}
}
