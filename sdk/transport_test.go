package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/token"
)

// api is a machine behind an API domain, which notes what it is asked.
type api struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	protos   []string
	redirect string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := string(must(io.ReadAll(r.Body)))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests, a.bodies, a.protos = append(a.requests, r), append(a.bodies, body), append(a.protos, r.Proto)
	if a.redirect != "" {
		http.Redirect(w, r, a.redirect, http.StatusTemporaryRedirect)
	}
}

func (a *api) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.requests) == 0 {
		return &http.Request{Header: http.Header{}}
	}
	return a.requests[len(a.requests)-1]
}

// base is an http.Transport in the test's network.
func (w *world) base() *http.Transport {
	base := &http.Transport{DialContext: w.dial, TLSClientConfig: &tls.Config{RootCAs: testAuthority().roots}, ForceAttemptHTTP2: true}
	w.t.Cleanup(base.CloseIdleConnections)
	return base
}

// client is an HTTP client whose requests carry tokens.
func (w *world) client(c *Client, change func(*Transport)) *http.Client {
	transport := c.Transport(w.base())
	if change != nil {
		change(transport)
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestTransport(t *testing.T) {
	for _, row := range []struct {
		name, url string
		change    func(*world, *Transport)
		header    string
		want      string // what the API gets in the header: token, or that text; an error, if it begins with it
		requests  int    // that reach the API
	}{
		{"a request to an API domain carries its token", "https://api.example.com/v1?x=1", nil, "Approov-Token", "token", 1},
		{"a domain in capital letters too", "https://API.example.com/", nil, "Approov-Token", "token", 1},
		{"a port too", "https://api.example.com:8443/", nil, "Approov-Token", "token", 1},
		{"the final dot too", "https://api.example.com./", nil, "Approov-Token", "token", 1},
		{"an encrypted token", "https://jwe.example.com/", nil, "Approov-Token", "token", 1},
		{"in another header", "https://api.example.com/", func(_ *world, tr *Transport) { tr.Header = "X-Token" }, "X-Token", "token", 1},
		{"with a scheme", "https://api.example.com/", func(_ *world, tr *Transport) { tr.Header, tr.Scheme = "Authorization", "Bearer" }, "Authorization", "Bearer token", 1},
		{"not to another domain", "https://other.example.com/", nil, "Approov-Token", "", 1},
		{"not to a domain that needs none", "https://open.example.com/", nil, "Approov-Token", "", 1},
		{"not over plain http", "http://api.example.com/", nil, "Approov-Token", "error: BAD_URL", 0},
		{"not over plain http, even if it goes on", "http://api.example.com/", func(_ *world, tr *Transport) { tr.ProceedOnError = true }, "Approov-Token", "", 1},
		{"nothing keeps plain http to another domain", "http://other.example.com/", nil, "Approov-Token", "", 1},
		{"the service is down: an empty token", "https://api.example.com/", func(w *world, _ *Transport) { w.host.set(refuses) }, "Approov-Token", "", 1},
		{"the service is down: an empty token has no scheme", "https://api.example.com/", func(w *world, tr *Transport) { w.host.set(refuses); tr.Scheme = "Bearer" }, "Approov-Token", "", 1},
		{"the network is poor: no request", "https://api.example.com/", func(w *world, _ *Transport) { w.host.set(hangs) }, "", "error: POOR_NETWORK", 0},
		{"the network is poor: no request, even if it goes on after errors", "https://api.example.com/", func(w *world, tr *Transport) { w.host.set(hangs); tr.ProceedOnError = true }, "", "error: POOR_NETWORK", 0},
		{"no network: no request", "https://api.example.com/", func(w *world, _ *Transport) { w.host.set(noRouteTo) }, "", "error: NO_NETWORK", 0},
		{"someone in between: no request", "https://api.example.com/", func(w *world, _ *Transport) { w.host.set(speaksPlain) }, "", "error: MITM_DETECTED", 0},
		{"an error: no request", "https://api.example.com/", func(w *world, _ *Transport) {
			w.service.answer = func(r *attestapi.AttestResponse) { r.Tokens["api.example.com"] = attestapi.Token{} }
		}, "", "error: INTERNAL_ERROR", 0},
		{"an error: the loggable token, if it goes on", "https://api.example.com/", func(w *world, tr *Transport) {
			tr.ProceedOnError = true
			w.service.answer = func(r *attestapi.AttestResponse) { r.Tokens["api.example.com"] = attestapi.Token{} }
		}, "Approov-Token", `{"error":"INTERNAL_ERROR"}`, 1},
		{"a domain that was removed meanwhile has none", "https://api.example.com/", func(w *world, _ *Transport) {
			w.service.revise(func(c *attestapi.Config) { delete(c.APIs, "api.example.com") })
		}, "Approov-Token", "", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a := newWorld(t), &api{}
				for _, name := range []string{"api.example.com", "api.example.com.", "API.example.com", "jwe.example.com", "other.example.com", "open.example.com"} {
					w.addAPI(name, a)
				}
				c := w.start(nil)
				client := w.client(c, func(tr *Transport) {
					if row.change != nil {
						row.change(w, tr)
					}
				})
				given := must(http.NewRequestWithContext(t.Context(), http.MethodPost, row.url, strings.NewReader("a body")))
				response, err := client.Do(given)
				if len(given.Header) != 0 {
					t.Errorf("got the request changed to %v", given.Header)
				}
				if len(a.requests) != row.requests {
					t.Errorf("got %d requests to the API, want %d", len(a.requests), row.requests)
				}
				if status, isError := strings.CutPrefix(row.want, "error: "); isError {
					var e *StatusError
					if !errors.As(err, &e) || e.Status.String() != status {
						t.Errorf("got %v, want a StatusError of %s", err, status)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				got, present := a.last().Header[http.CanonicalHeaderKey(row.header)]
				want := row.want
				if strings.HasSuffix(want, "token") {
					want = strings.Replace(want, "token", c.FetchToken(t.Context(), row.url).Token, 1)
				}
				if strings.Join(got, "|") != want || a.bodies[0] != "a body" {
					t.Errorf("got %q with the body %q, want %q with the one that was sent", got, a.bodies, want)
				}
				if empty := strings.Contains(row.name, "an empty token"); present != (want != "" || empty) {
					t.Errorf("got the header there: %v", present)
				}
			})
		})
	}
}

// addAPI puts a machine into the network that serves TLS, and plain http on port 80.
func (w *world) addAPI(name string, handler http.Handler) *host {
	h := w.add(name, handler)
	plain := &host{conns: make(chan net.Conn), closed: make(chan struct{}), quiet: &atomic.Bool{}}
	plain.end = sync.OnceFunc(func() { close(plain.closed) })
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(plain)
	}()
	w.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[name+":80"] = plain
	return h
}

func TestARedirectDoesNotTakeTheTokenAlong(t *testing.T) {
	for _, row := range []struct {
		name, to string
		want     bool // a token arrives
	}{
		{"to another domain", "https://other.example.com/", false},
		{"to a sub-domain", "https://sub.api.example.com/", false},
		{"to a domain that needs none", "https://open.example.com/", false},
		{"to another path", "https://api.example.com/elsewhere", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, first, second := newWorld(t), &api{redirect: row.to}, &api{}
				mux := http.NewServeMux()
				mux.Handle("/", first)
				mux.Handle("/elsewhere", second)
				w.addAPI("api.example.com", mux)
				for _, name := range []string{"other.example.com", "sub.api.example.com", "open.example.com"} {
					w.addAPI(name, second)
				}
				response, err := w.client(w.start(nil), nil).Post("https://api.example.com/", "text/plain", strings.NewReader("a body"))
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if first.last().Header.Get(DefaultHeader) == "" {
					t.Error("got no token for the first request")
				}
				if got := second.last().Header.Get(DefaultHeader); (got != "") != row.want || second.bodies[0] != "a body" {
					t.Errorf("got token %q after the redirect, want one: %v", got, row.want)
				}
			})
		})
	}
}

func TestTransportBindsAHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t), &api{}
		w.addAPI("api.example.com", a)
		client := w.client(w.start(nil), func(tr *Transport) { tr.BindHeader, tr.BindNone = "Authorization", "none" })
		for _, step := range []struct{ name, authorization, want string }{
			{"nobody is logged in", "", "none"},
			{"a user", "Bearer alice", "Bearer alice"},
			{"the same user", "Bearer alice", "Bearer alice"},
			{"another user", "Bearer bob", "Bearer bob"},
			{"nobody again", "", "none"},
		} {
			request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil))
			if step.authorization != "" {
				request.Header.Set("Authorization", step.authorization)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			got := claims(t, a.last().Header.Get(DefaultHeader)).Pay
			if !token.Binds(got, step.want) || a.last().Header.Get("Authorization") != step.authorization {
				t.Errorf("%s: got a token bound to %s, want to %q", step.name, got, step.want)
			}
		}
		if got := len(w.service.attests); got != 4 {
			t.Errorf("got %d attestations, want one for each change", got)
		}
	})
}

// Requests of several users at once must not get each other's tokens.
func TestBoundRequestsAtOnceHaveTheirOwnTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t), &api{}
		w.addAPI("api.example.com", a)
		client := w.client(w.start(nil), func(tr *Transport) { tr.BindHeader = "Authorization" })
		var group sync.WaitGroup
		for i := range 60 {
			group.Go(func() {
				request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil))
				request.Header.Set("Authorization", fmt.Sprintf("Bearer %d", i%3))
				response, err := client.Do(request)
				if err == nil {
					_ = response.Body.Close()
				} else if !errors.Is(err, PoorNetwork) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if len(a.requests) < 3 {
			t.Errorf("got %d requests, want some of each user", len(a.requests))
		}
		for _, r := range a.requests {
			if !token.Binds(claims(t, r.Header.Get(DefaultHeader)).Pay, r.Header.Get("Authorization")) {
				t.Fatalf("got a token that is not bound to %s", r.Header.Get("Authorization"))
			}
		}
	})
}

// body notices how it is used.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

func TestABodyIsReadOnceAndClosed(t *testing.T) {
	for _, row := range []struct {
		name string
		dial func(context.Context) (net.Conn, error)
		url  string
	}{
		{"no network for the token", noRouteTo, "https://api.example.com/"},
		{"plain http", nil, "http://api.example.com/"},
		{"an API that is not there", nil, "https://jwe.example.com/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.host.set(row.dial)
				body := &body{Reader: strings.NewReader("a body")}
				_, err := w.client(w.start(nil), nil).Post(row.url, "text/plain", body)
				if err == nil || !body.closed || body.Reader.(*strings.Reader).Len() != len("a body") {
					t.Errorf("got %v, closed %v, %d bytes left, want an error and the body closed unread", err, body.closed, body.Reader.(*strings.Reader).Len())
				}
			})
		})
	}
}

func TestARequestWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addAPI("api.example.com", &api{})
		w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { silent(w, r); return true }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := w.client(w.start(nil), nil).Do(must(http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/", nil)))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("got %v after %v, want the deadline after 1s", err, time.Since(begun))
		}
	})
}
