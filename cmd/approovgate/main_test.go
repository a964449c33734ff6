package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/mint"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"approovgate": main})
}

// TestScripts runs testdata/scripts. Besides testscript's own commands they have those below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/scripts",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"upstream":   upstreamCommand,
			"port":       portCommand,
			"token":      tokenCommand,
			"fill":       fillCommand,
			"eventually": eventuallyCommand,
			"request":    requestCommand,
			"signal":     signalCommand,
			"standin":    standInCommand,
			"keypair":    keyPairCommand,
			"publish":    publishCommand,
		},
	})
}

// patience is how long a script waits for what must happen.
const patience = time.Minute

// arguments checks their number.
func arguments(ts *testscript.TestScript, neg bool, args []string, usage string) {
	if neg || len(args) < len(strings.Fields(usage))-1 {
		ts.Fatalf("usage: %s", usage)
	}
}

// upstreamCommand starts a backend, which answers what it got, and puts its URL into a variable.
func upstreamCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "upstream VARIABLE")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s verdict=%q token=%q\n", r.Method, r.RequestURI, r.Header.Get("X-Approov-Verdict"), r.Header.Get("Approov-Token"))
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// portCommand puts the address of a free port into each variable.
func portCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "port VARIABLE")
	for _, variable := range args {
		address, err := porttest.Find()
		ts.Check(err)
		ts.Setenv(variable, address)
	}
}

// tokenCommand mints a token with the base64 secret in a file, valid for some seconds, into a variable.
func tokenCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "token VARIABLE FILE SECONDS")
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	seconds, err := strconv.Atoi(args[2])
	ts.Check(err)
	minted, err := mint.Sign("HS256", "", secret, map[string]any{"exp": time.Now().Unix() + int64(seconds)})
	ts.Check(err)
	ts.Setenv(args[0], minted)
}

// fillCommand replaces the variables in a file.
func fillCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "fill FILE")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// eventuallyCommand waits until a GET answers 200 with a text in the body.
func eventuallyCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "eventually URL TEXT")
	until(ts, args[0]+" answers "+args[1], func() bool {
		response, err := http.Get(args[0])
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK && strings.Contains(string(body), args[1])
	})
}

// signalCommand sends a signal to every background command: testscript's kill knows INT and KILL only.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "signal NAME")
	signal, ok := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[0]]
	if !ok {
		ts.Fatalf("signal: got %s, want HUP or TERM", args[0])
	}
	for _, command := range ts.BackgroundCmds() {
		ts.Check(command.Process.Signal(signal))
	}
}

// until polls: what it waits for happens in another process.
func until(ts *testscript.TestScript, what string, happened func() bool) {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("got no change in %s, want: %s", patience, what)
		}
	}
}

// requestCommand sends a GET, compares the status and prints the body.
func requestCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "request STATUS URL")
	r, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	for _, line := range args[2:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if got := strconv.Itoa(response.StatusCode); got != args[0] {
		ts.Fatalf("status of %s: got %s, want %s", args[1], got, args[0])
	}
	fmt.Fprint(ts.Stdout(), string(body))
}
