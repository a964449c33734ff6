package e2e_test

import (
	"context"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestH2Spec runs h2spec's conformance tests against net/http alone and against the gate. Nothing may fail at the gate
// that net/http passes.
func TestH2Spec(t *testing.T) {
	for _, way := range []struct {
		name   string
		secure bool
	}{{"with TLS", true}, {"without TLS", false}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel() // h2spec mostly waits
			a := startAPI(t)
			file := a.file()
			file["policy"] = settings{"keys": []settings{{"name": "account", "alg": "HS256", "secret": "file:approov.secret"}},
				"routes": []settings{{"name": "all", "paths": []string{"/**"}, "check": "none"}}}
			g := start(t, file)
			address := g.plain
			if way.secure {
				address = g.secure
			}
			bare := startBare(t, way.secure)
			bareResults := make(chan []verdict, 1)
			go func() { bareResults <- runH2Spec(t, bare, way.secure) }() // ends with its program
			got := runH2Spec(t, address, way.secure)
			want := receiveWithin(t, bareResults, h2specTimeout, "h2spec's report of net/http")
			const all, most = 145, 130
			if len(want) != all || len(got) != all || passes(want) < most {
				t.Fatalf("got %d verdicts on the gate and %d on net/http, %d of them passes; want %d of each, and %d passes or more",
					len(got), len(want), passes(want), all, most)
			}
			t.Logf("%d of %d pass, of net/http alone %d", passes(got), all, passes(want))
			for i := range want {
				if !got[i].pass {
					t.Logf("%s %s: fails; with net/http alone passes: %t", got[i].number, got[i].name, want[i].pass)
				}
				if want[i].pass && !got[i].pass && !passesAgain(t, address, way.secure, got[i]) {
					t.Errorf("%s %s: got a failure, want a pass as with net/http", got[i].number, got[i].name)
				}
			}
		})
	}
}

func passes(all []verdict) int {
	n := 0
	for _, v := range all {
		if v.pass {
			n++
		}
	}
	return n
}

// passesAgain gives a test another chance: some fail now and then with net/http too, whenever the end of the
// connection overtakes the frame that says why.
func passesAgain(t *testing.T, address string, secure bool, failed verdict) bool {
	for range 5 {
		again := runH2Spec(t, address, secure, failed.number)
		if len(again) == 1 && again[0].pass {
			t.Logf("%s %s: passes now and then", failed.number, failed.name)
			return true
		}
	}
	return false
}

// h2specTimeout is for a whole run.
const h2specTimeout = 2 * time.Minute

// startBare is net/http and nothing else.
func startBare(t *testing.T, secure bool) string {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure)
	protocols.SetUnencryptedHTTP2(!secure)
	server := &http.Server{Protocols: protocols, TLSConfig: testAuthority.server(t), ErrorLog: discard,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) })} // a client that is gone needs none
	l := listen(t)
	run := server.Serve
	if secure {
		run = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	go func() { _ = run(l) }() // ended by Close; the error says so
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// verdict is what h2spec says of one test.
type verdict struct {
	number string // http2/4.2/1
	name   string
	pass   bool
}

// runH2Spec asks for all tests, or for those with some numbers.
func runH2Spec(t *testing.T, address string, secure bool, numbers ...string) []verdict {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Error(err)
		return nil
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	arguments := []string{"--host", host, "--port", port, "--path", "/hello", "--timeout", "2", "--junit-report", report}
	if secure {
		arguments = append(arguments, "--tls", "--insecure")
	}
	ctx, cancel := context.WithTimeout(t.Context(), h2specTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, h2spec, append(arguments, numbers...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // it fails when any test does
		t.Errorf("h2spec: %v", err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("h2spec wrote no report: %v\n%s", err, out)
		return nil
	}
	return parseReport(t, text)
}

// parseReport reads JUnit's format as h2spec writes it.
func parseReport(t *testing.T, text []byte) []verdict {
	var suites struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			Cases   []struct {
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Error(err)
	}
	var all []verdict
	for _, suite := range suites.Suites {
		for i, c := range suite.Cases {
			all = append(all, verdict{suite.Package + "/" + strconv.Itoa(i+1), c.Name, c.Failure == nil && c.Error == nil && c.Skipped == nil})
		}
	}
	return all
}
