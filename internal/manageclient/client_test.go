package manageclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const testToken = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ0LTEifQ.c2lnbmF0dXJl"

// rig is a client and the server it talks to.
type rig struct {
	*Client
	mu     sync.Mutex      // guards asked while requests are answered
	asked  []string        // requests, as METHOD URI
	waited []time.Duration // what the client has waited for
}

// requests are what has come in.
func (r *rig) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

func newRig(t *testing.T, answer http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, request.Method+" "+request.RequestURI)
		r.mu.Unlock()
		answer(w, request)
	}))
	t.Cleanup(server.Close)
	c, err := New(Options{Server: server.URL, Token: testToken, Agent: "approov/test", Wait: func(_ context.Context, d time.Duration) error {
		r.waited = append(r.waited, d)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r.Client = c
	return r
}

// problem answers with a problem document.
func problem(status int, code, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(attestapi.Problem{Title: "no", Detail: "not now", Code: code, Request: "r-1"})
	}
}

func TestRequest(t *testing.T) {
	var header http.Header
	var body []byte
	r := newRig(t, func(w http.ResponseWriter, request *http.Request) {
		header = request.Header
		body, _ = io.ReadAll(request.Body)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("ETag", `"8"`)
		fmt.Fprint(w, `{"version":8}`)
	})
	var changed attestapi.Changed
	answer, err := r.Do(context.Background(), Request{Method: http.MethodPost, Path: attestapi.PathDevices, Body: attestapi.Device{DeviceID: "x"},
		IfMatch: `"7"`, DryRun: true}, &changed)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Version != 8 || answer.Tag != `"8"` || string(answer.Text) != `{"version":8}` {
		t.Errorf("answer: got version %d, tag %s and %s, want 8, \"8\" and the document", changed.Version, answer.Tag, answer.Text)
	}
	if want := "POST " + attestapi.PathDevices + "?dry_run=true"; r.requests()[0] != want {
		t.Errorf("request: got %s, want %s", r.requests()[0], want)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + testToken, "If-Match": `"7"`, "Content-Type": "application/json", "User-Agent": "approov/test"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if want := `{"did":"x"}`; string(body) != want {
		t.Errorf("body: got %s, want %s", body, want)
	}
}

func TestRetry(t *testing.T) {
	for _, row := range []struct {
		name, method string
		answer       http.HandlerFunc
		asked        int
		waited       string
	}{
		{"a read that is put off is tried again after the time the server says", "GET", problem(429, attestapi.CodeRateLimited, "2"), 3, "[2s 2s]"},
		{"also when the database is away", "GET", problem(503, attestapi.CodeUnavailable, "1"), 3, "[1s 1s]"},
		{"without a time it is a second", "GET", problem(503, attestapi.CodeUnavailable, ""), 3, "[1s 1s]"},
		{"a server that asks for long is not waited for", "GET", problem(429, attestapi.CodeRateLimited, "3600"), 1, "[]"},
		{"a date is not understood", "GET", problem(429, attestapi.CodeRateLimited, "Wed, 21 Oct 2030 07:28:00 GMT"), 1, "[]"},
		{"a change is never tried again", "POST", problem(503, attestapi.CodeUnavailable, "1"), 1, "[]"},
		{"nor is a removal", "DELETE", problem(429, attestapi.CodeRateLimited, "1"), 1, "[]"},
		{"a fault of the server's is not a delay", "GET", problem(500, attestapi.CodeInternal, "1"), 1, "[]"},
		{"a refusal is final", "GET", problem(403, attestapi.CodeForbidden, ""), 1, "[]"},
	} {
		r := newRig(t, row.answer)
		_, err := r.Do(context.Background(), Request{Method: row.method, Path: attestapi.PathAccount}, nil)
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Error() != "not now (request r-1)" {
			t.Errorf("%s: got %v, want the server's words", row.name, err)
		}
		if len(r.requests()) != row.asked || fmt.Sprint(r.waited) != row.waited {
			t.Errorf("%s: got %d requests and waits %v, want %d and %s", row.name, len(r.requests()), r.waited, row.asked, row.waited)
		}
	}
}

func TestRetryThatSucceeds(t *testing.T) {
	var r *rig
	r = newRig(t, func(w http.ResponseWriter, request *http.Request) {
		if len(r.requests()) == 1 {
			problem(503, attestapi.CodeUnavailable, "1")(w, request)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"account":"a"}`)
	})
	var info attestapi.AccountInfo
	if _, err := r.Do(context.Background(), Request{Path: attestapi.PathAccount}, &info); err != nil || info.Account != "a" {
		t.Errorf("got account %q and %v, want a", info.Account, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	write := func(status int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // part of the error
	}{
		{"a page", write(200, "text/html", "<html>"), "does not answer /mgmt/v1/account as an attestation server does"},
		{"JSON that is none", write(200, "application/json", "{"), "does not answer /mgmt/v1/account as an attestation server does"},
		{"JSON of another kind", write(200, "application/json", `{"account":7}`), "something else than the management API's document"},
		{"a proxy's error", write(502, "text/html", "<html>"), "answers 502 to /mgmt/v1/account, and not as an attestation server does"},
		{"a redirect, which is not followed", func(w http.ResponseWriter, request *http.Request) {
			http.Redirect(w, request, "/elsewhere", http.StatusFound)
		}, "answers 302"},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range maxAnswer/4096 + 2 {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "with more than 8388608 bytes"},
		{"a connection that breaks", func(w http.ResponseWriter, _ *http.Request) {
			panic(http.ErrAbortHandler)
		}, "cannot be reached: EOF"},
		{"a broken answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "cannot be reached: unexpected EOF"},
	} {
		r := newRig(t, row.answer)
		_, err := r.Do(context.Background(), Request{Method: "PUT", Path: attestapi.PathAccount}, new(attestapi.AccountInfo))
		var away *Unreachable
		if !errors.As(err, &away) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want something unreachable with %q", row.name, err, row.want)
		}
		if len(r.requests()) != 1 {
			t.Errorf("%s: got requests %v, want one", row.name, r.requests())
		}
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: got the token in %v", row.name, err)
		}
	}
}

// A server that speaks the other one of http and https is told from one that is not there.
func TestTheOtherScheme(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for _, row := range []struct{ name, server, want string }{
		{"https to a server of http", "https" + strings.TrimPrefix(plain.URL, "http"), "does not speak TLS; is it http://, on this machine?"},
		{"http to a server of https", "http" + strings.TrimPrefix(secure.URL, "https"), "is it https://, and is the address right?"},
	} {
		client, err := New(Options{Server: row.server, Token: "eyJ.eyJ.c2ln"})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.Do(context.Background(), Request{Method: "GET", Path: attestapi.PathAccount}, new(attestapi.AccountInfo))
		var away *Unreachable
		if !errors.As(err, &away) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want something unreachable with %q", row.name, err, row.want)
		}
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, request *http.Request) {
		if request.Method == "PUT" { // the answer begins, and never ends
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the server's end, which waits for its handlers
	r.http.Timeout = 20 * time.Millisecond
	for _, row := range []struct{ method, want string }{
		{"GET", "is it overloaded"},
		{"POST", "it may have made the change all the same: look before you try again"},
		{"PUT", "did not answer within 15s; it may have made the change all the same: look before you try again"},
	} {
		_, err := r.Do(context.Background(), Request{Method: row.method, Path: attestapi.PathAccount}, nil)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.method, err, row.want)
		}
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := r.Do(ended, Request{Path: attestapi.PathAccount}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v, want its error", err)
	}
}

func TestServerAddress(t *testing.T) {
	for _, row := range []struct {
		name, address string
		good          bool
	}{
		{"https", "https://attest.example.com", true},
		{"https with a port and a folder", "https://attest.example.com:8484/approov/", true},
		{"http to a loopback address", "http://127.0.0.1:8484", true},
		{"http to the IPv6 loopback address", "http://[::1]:8484", true},
		{"http to localhost", "http://localhost:8484", true},
		{"http over a network", "http://attest.example.com", false},
		{"http to a name that looks like a loopback address", "http://127.0.0.1.example.com", false},
		{"http to all addresses", "http://0.0.0.0:8484", false},
		{"without a scheme", "attest.example.com:8484", false},
		{"another scheme", "ftp://attest.example.com", false},
		{"with a password", "https://me:secret@attest.example.com", false},
		{"with a query", "https://attest.example.com/?x=1", false},
		{"without a host", "https://", false},
		{"empty", "", false},
	} {
		_, err := New(Options{Server: row.address, Token: testToken})
		if (err == nil) != row.good {
			t.Errorf("%s: got %v, want good=%t", row.name, err, row.good)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got the password in %v", row.name, err)
		}
	}
	c, err := New(Options{Server: "https://attest.example.com/approov/", Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	request, err := c.request(context.Background(), Request{Path: attestapi.PathAccount})
	if want := "https://attest.example.com/approov/mgmt/v1/account"; err != nil || request.URL.String() != want {
		t.Errorf("got %v and %v, want %s", request.URL, err, want)
	}
}

// FuzzCheckToken compares with a regular expression, and holds that what passes can stand in a header line.
func FuzzCheckToken(f *testing.F) {
	for _, text := range []string{testToken, "", "a.b", "..", "a.b.c.d", "a.b.c\r\nX: y", "a.b.c ", strings.Repeat("a", maxToken) + "..", "ä.b.c"} {
		f.Add(text)
	}
	form := regexp.MustCompile(`^[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$`)
	f.Fuzz(func(t *testing.T, text string) {
		err := CheckToken(text)
		if want := form.MatchString(text) && !strings.HasSuffix(text, "\n") && len(text) <= maxToken; (err == nil) != want {
			t.Errorf("%q: got %v, want good=%t", text, err, want)
		}
	})
}
