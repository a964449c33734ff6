package attestd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// hook is a receiver of messages about pins, which answers as a test says.
type hook struct {
	url string

	mu     sync.Mutex // guards the fields below
	answer int        // the status that it answers with
	got    []string   // domain, event and state of what it has taken
	asked  int
}

// startHook starts a receiver. Each request waits until hold lets it through; nil: none waits.
func startHook(t *testing.T, hold <-chan struct{}) *hook {
	t.Helper()
	h := &hook{answer: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m attestapi.PinMessage
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("got a message that cannot be read: %v", err)
		}
		h.mu.Lock()
		h.asked++
		h.mu.Unlock()
		if hold != nil {
			<-hold
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if w.WriteHeader(h.answer); h.answer == http.StatusOK {
			h.got = append(h.got, m.Domain+" "+m.Event+" "+m.State)
		}
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// taken are the messages it has taken since it was asked last, in order of their text.
func (h *hook) taken() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.got
	h.got = nil
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (h *hook) requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *hook) answers(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = status
}

// watched is a service whose pin monitor watches two domains at one server.
type watched struct {
	*service
	t     *testing.T
	flags []string
}

func startWatched(t *testing.T, server *api, data string, h *hook) *watched {
	t.Helper()
	w := &watched{t: t, flags: []string{"--pin-check", "2m", "--pin-webhook", h.url, "--pin-ca", server.ca,
		"--pin-connect", "api.example.com=" + server.address, "--pin-connect", "b.example.com=" + server.address}}
	w.service = startService(t, data, w.flags...)
	return w
}

// set gives the domains their pins: api.example.com is trusted, b.example.com has another name than the certificate.
func (w *watched) set(pins ...string) {
	w.t.Helper()
	w.manage(w.t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{
		{Domain: "api.example.com", Pins: pins}, {Domain: "b.example.com", Pins: pins},
	}}, nil)
}

// states waits until the domains have been seen so.
func (w *watched) states(want string) {
	w.t.Helper()
	eventually(w.t, "the domains are "+want, func() string {
		var all attestapi.PinStatuses
		_, text := w.tryManage(w.t, http.MethodGet, attestapi.PathPinStatus, nil, &all)
		var got []string
		for _, d := range all.Domains {
			got = append(got, d.State)
		}
		if strings.Join(got, " ") != want {
			return text
		}
		return ""
	})
}

// end asks the service to end, and waits until it has.
func (w *watched) end(meanwhile func()) {
	w.t.Helper()
	if err := w.process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	meanwhile()
	select {
	case <-w.ended:
	case <-time.After(patience):
		w.t.Fatalf("the service does not end\n%s", w.log)
	}
}

func nothing() {}

// wrong is what is told of two domains that are wrong, whose certificates are of today.
const wrong = "api.example.com expiring mismatched, api.example.com problem mismatched, b.example.com expiring untrusted, b.example.com problem untrusted"

// R209: what is being told and what waits when the service is asked to end is told before it ends.
func TestMessagesThatWaitAtTheEnd(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	server, h := startAPI(t, "api.example.com"), startHook(t, hold)
	w := startWatched(t, server, t.TempDir(), h)
	w.set(newPin())
	w.states("mismatched untrusted")
	eventually(t, "a message is on its way", func() string {
		if h.requests() == 0 {
			return "none"
		}
		return ""
	})
	refused := func() { // the service has been told to end
		eventually(t, "it takes no more requests", func() string {
			if response, err := w.client.Get(w.url() + attestapi.PathHealth); err == nil {
				_ = response.Body.Close()
				return "it does"
			}
			return ""
		})
		close(hold)
	}
	w.end(refused)
	if got, want := h.taken(), wrong; got != want {
		t.Errorf("got %q, want %q\n%s", got, want, w.log)
	}
	if log := w.log.String(); strings.Contains(log, "is lost") {
		t.Errorf("got the log\n%s\nwant nothing lost", log)
	}
}

// R209: after a start the receiver is told what it has not been told: nothing of what it knows, so that a service that
// is started again and again tells no more than one that runs; what was lost; and that a problem is over.
func TestMessagesAfterARestart(t *testing.T) {
	t.Parallel()
	server, h, data := startAPI(t, "api.example.com"), startHook(t, nil), t.TempDir()
	pin := server.renew()
	h.answers(http.StatusNotFound)
	w := startWatched(t, server, data, h)
	w.set(newPin())
	w.states("mismatched untrusted")
	w.end(nothing)
	if got, asked := h.taken(), h.requests(); got != "" || asked != 4 {
		t.Errorf("while it takes none: got %q taken in %d requests, want none in 4", got, asked)
	}

	h.answers(http.StatusOK)
	for _, want := range []string{wrong, ""} {
		w = startWatched(t, server, data, h)
		w.states("mismatched untrusted")
		w.end(nothing)
		if got := h.taken(); got != want {
			t.Errorf("started again: got %q, want %q\n%s", got, want, w.log)
		}
	}

	other := startHook(t, nil)
	w = startWatched(t, server, data, other)
	w.states("mismatched untrusted")
	w.end(nothing)
	if got, want := other.taken(), wrong; got != want {
		t.Errorf("another receiver: got %q, want %q", got, want)
	}

	unwatched := startService(t, data)
	unwatched.manage(t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: "api.example.com", Pins: []string{pin}}}}, nil)
	unwatched.kill()
	w = startWatched(t, server, data, other)
	w.states("matched")
	w.end(nothing)
	if got, want := other.taken(), "api.example.com recovered matched"; got != want {
		t.Errorf("what was wrong is in order: got %q, want %q\n%s", got, want, w.log)
	}
}
