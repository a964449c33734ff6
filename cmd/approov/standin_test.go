package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
)

// standIn answers as a script says, so that a script can show the manual's own examples to the letter: their times,
// their SDKs for phones, their signatures. What a real server answers is proven by the scripts that begin with "server".
type standIn struct {
	mu      sync.Mutex // guards the fields below
	answers map[string][]answer
	asked   []string
}

// answer is what is answered to a request.
type answer struct {
	status int
	body   string
}

// standInCommand starts a stand-in with the answers in a file, and has approov use it. A line of the file is a method,
// a path with its query, a status and the body. A request that stands there several times is answered in that order,
// and then like the last time. What does not stand there is answered with 500. SDKCONFIG stands for an SDK
// configuration of the account test-account, $NAME for a variable.
func standInCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: standin FILE")
	}
	s := &standIn{answers: map[string][]answer{}}
	text := ts.ReadFile(args[0])
	if strings.Contains(text, "SDKCONFIG") {
		text = strings.ReplaceAll(text, "SDKCONFIG", sdkConfig(ts))
	}
	for _, line := range strings.Split(strings.TrimSpace(os.Expand(text, ts.Getenv)), "\n") {
		fields := strings.SplitN(line, " ", 4)
		if len(fields) != 4 {
			ts.Fatalf("%s: got the line %q, want METHOD PATH STATUS BODY", args[0], line)
		}
		status, err := strconv.Atoi(fields[2])
		ts.Check(err)
		request := fields[0] + " " + fields[1]
		s.answers[request] = append(s.answers[request], answer{status, fields[3]})
	}
	server := httptest.NewServer(s)
	ts.Defer(server.Close)
	ts.Setenv("APPROOV_SERVER", server.URL)
	ts.Setenv("APPROOV_MANAGEMENT_TOKEN", "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJkZXYtMSJ9.c2ln")
	standIns.Store(ts, s)
}

// tlsCommand starts a server that speaks TLS, writes its authority into a file and has approov use the server.
func tlsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tls CAFILE")
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"account":"tls-account"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust it is what is tested
	server.StartTLS()
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	ts.Setenv("APPROOV_SERVER", server.URL)
}

// sdkConfig is an SDK configuration of a fresh account.
func sdkConfig(ts *testscript.TestScript) string {
	a, _, err := account.New("test-account", nil, time.Now(), account.Network{Primary: []string{"https://attest.example.com"}})
	ts.Check(err)
	text, err := issue.Config(a, time.Now())
	ts.Check(err)
	return text
}

// standIns are the stand-ins of running scripts.
var standIns sync.Map // *testscript.TestScript → *standIn

// askedCommand prints the requests that have come in since it was run last, one a line: method, path with query,
// If-Match if there is one, and the body.
func askedCommand(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := standIns.Load(ts)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: asked, after standin")
	}
	s := found.(*standIn)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.asked {
		fmt.Fprintln(ts.Stdout(), line)
	}
	s.asked = nil
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + " " + r.RequestURI
	line := request
	if tag := r.Header.Get("If-Match"); tag != "" {
		line += " If-Match:" + tag
	}
	if len(body) > 0 {
		line += " " + string(body)
	}
	s.asked = append(s.asked, line)
	queue := s.answers[request]
	if len(queue) == 0 {
		queue = []answer{{http.StatusInternalServerError, `{"detail":"the stand-in has no answer to ` + request + `"}`}}
	}
	a := queue[0]
	if len(queue) > 1 {
		s.answers[request] = queue[1:]
	}
	kind := "application/json"
	if a.status > 299 {
		kind = "application/problem+json"
	}
	if !strings.HasPrefix(a.body, "{") {
		kind = "text/html"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"7"`)
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}
