package pinwatch

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/approovgate/approovgate/attestapi"
)

// secretPath is the part of a webhook's URL that nobody may see.
const secretPath = "/services/T0/xoxb-very-secret?key=also-secret"

var webhookSecret = []byte(strings.Repeat("0123456789abcdef", 2))

// receiver takes messages as a test says, and keeps what came.
type receiver struct {
	mu       sync.Mutex // guards the fields below
	answers  []func(http.ResponseWriter, *http.Request)
	requests int
	got      chan received
}

type received struct {
	path, signature string
	body            []byte
	message         attestapi.PinMessage
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // what is short shows in the message
	r.mu.Lock()
	r.requests++
	var answer func(http.ResponseWriter, *http.Request)
	if len(r.answers) > 0 {
		answer, r.answers = r.answers[0], r.answers[1:]
	}
	r.mu.Unlock()
	if answer != nil {
		answer(w, q)
		return
	}
	one := received{path: q.Method + " " + q.URL.String(), signature: q.Header.Get(attestapi.HeaderPinSignature), body: body}
	if err := json.Unmarshal(body, &one.message); err != nil || q.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "no message", http.StatusBadRequest)
		return
	}
	r.got <- one
}

// next is the next message that arrives.
func (r *receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case one := <-r.got:
		return one
	case <-time.After(patience):
		t.Fatal("no message arrives")
		return received{}
	}
}

func (r *receiver) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

func receive(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) (*receiver, string) {
	t.Helper()
	r := &receiver{answers: answers, got: make(chan received, 2*maxQueue)}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, s.URL + secretPath
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// sending is a sender under test that does not wait long.
type sending struct {
	*sender
	log  *lockedBuffer
	stop func()
}

func startSender(t *testing.T, address string) *sending {
	t.Helper()
	hook, err := NewWebhook(address, webhookSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	s := newSender(hook, log.logger(), prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"result"}))
	s.pauses = []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}
	s.client.Timeout = 1500 * time.Millisecond
	s.last = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.run(ctx); close(ended) }()
	one := &sending{s, log, sync.OnceFunc(func() { cancel(); s.close(); <-ended })}
	t.Cleanup(func() {
		one.stop()
		for _, secret := range []string{"xoxb", "also-secret", "services", string(webhookSecret)} {
			if strings.Contains(log.String(), secret) || strings.Contains(fmt.Sprintf("%v %+v %#v", hook, s, hook), secret) {
				t.Errorf("got %q shown in %s", secret, log)
			}
		}
	})
	return one
}

func (s *sending) count(result string) float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.counts)
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if m.Label[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// R209: a message arrives, signed such that the receiver can tell who sent it.
func TestAMessageArrives(t *testing.T) {
	r, address := receive(t)
	s := startSender(t, address)
	want := attestapi.PinMessage{ID: "i", Event: "problem", Account: "acme", Domain: "a.example", State: "mismatched", Previous: "matched",
		Pins: []string{"A"}, Leaf: "B", Before: "A", Expires: noon, Detail: "<d>", Time: noon, Text: "Account acme: …"}
	s.offer(want)
	got := r.next(t)
	if fmt.Sprint(got.message) != fmt.Sprint(want) || got.path != "POST "+secretPath {
		t.Errorf("got %+v at %s, want %+v", got.message, got.path, want)
	}
	mac := hmac.New(sha256.New, webhookSecret)
	mac.Write(got.body)
	if signature := "sha256=" + hex.EncodeToString(mac.Sum(nil)); got.signature != signature {
		t.Errorf("got the signature %q, want %q", got.signature, signature)
	}
}

// What a receiver may do, how often it is asked, and whether the message arrives in the end.
func TestReceivers(t *testing.T) {
	redirect := func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
	}
	hangs := func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }
	closes := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
	floods := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		for block := make([]byte, 1<<16); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	for _, row := range []struct {
		name    string
		answers []func(http.ResponseWriter, *http.Request)
		asked   int
		arrives bool
		says    string
	}{
		{"500 once", []func(http.ResponseWriter, *http.Request){status(500)}, 2, true, ""},
		{"429, 408 and 503", []func(http.ResponseWriter, *http.Request){status(429), status(408), status(503)}, 4, true, ""},
		{"500 for ever", []func(http.ResponseWriter, *http.Request){status(500), status(500), status(500), status(500)}, 4, false, "status 500"},
		{"404", []func(http.ResponseWriter, *http.Request){status(404)}, 1, false, "status 404"},
		{"a redirection", []func(http.ResponseWriter, *http.Request){redirect}, 1, false, "redirections are not followed"},
		{"hangs once", []func(http.ResponseWriter, *http.Request){hangs}, 2, true, ""},
		{"closes for ever", []func(http.ResponseWriter, *http.Request){closes, closes, closes, closes}, 4, false, "EOF"},
		{"an answer without end", []func(http.ResponseWriter, *http.Request){floods}, 2, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, address := receive(t, row.answers...)
			s := startSender(t, address)
			s.deliver(t.Context(), nil, attestapi.PinMessage{ID: "first"})
			s.deliver(t.Context(), nil, attestapi.PinMessage{ID: "second"})
			want := "second"
			if row.arrives {
				want = "first"
			}
			if got := r.next(t).message.ID; got != want {
				t.Errorf("got the message %q, want %q", got, want)
			}
			if row.arrives {
				if got := r.next(t).message.ID; got != "second" {
					t.Errorf("got the message %q, want second", got)
				}
			}
			if got := r.asked(); got != row.asked+1 {
				t.Errorf("got %d requests, want %d and one for the second message", got, row.asked)
			}
			lost := 0.0
			if !row.arrives {
				lost = 1
			}
			if s.count("lost") != lost || s.count("retried") != float64(row.asked-1) {
				t.Errorf("got %v lost and %v retried, want %v and %d", s.count("lost"), s.count("retried"), lost, row.asked-1)
			}
			if !strings.Contains(s.log.String(), row.says) || (row.says == "") != (s.log.String() == "") {
				t.Errorf("got the log %s, want %q", s.log, row.says)
			}
		})
	}
}

// Nobody waits for a receiver: what comes when the queue is full is lost and counted, and so is what waits at the end.
func TestAQueueThatIsFull(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // after the cleanups of what follows
	address := serve(t, hang)
	s := startSender(t, "http://"+address+secretPath)
	s.client.Timeout = time.Hour
	began := time.Now()
	for i := range maxQueue + 101 {
		s.offer(attestapi.PinMessage{Account: fmt.Sprint(i)})
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("offering took %v", took)
	}
	if got := s.count("lost"); got != 100 && got != 101 { // one is on its way, or waits too
		t.Errorf("got %v lost, want those that had no room", got)
	}
	s.stop()
	if got := s.count("lost"); got != maxQueue+101 {
		t.Errorf("got %v lost at the end, want all", got)
	}
}

// An account whose domains or pins change all the time does not lose the others their messages.
func TestAnAccountThatHasMuchToTell(t *testing.T) {
	address := serve(t, hang)
	s := startSender(t, "http://"+address+secretPath)
	s.client.Timeout = time.Hour
	for range maxQueue {
		s.offer(attestapi.PinMessage{Account: "loud"})
	}
	lost := s.count("lost")
	if want := float64(maxQueue - maxAccountQueue); lost != want && lost != want-1 { // one is on its way, or waits too
		t.Errorf("got %v lost of one account, want %v", lost, want)
	}
	s.offer(attestapi.PinMessage{Account: "quiet"})
	if got := s.count("lost"); got != lost {
		t.Errorf("got %v lost with another account's, want %v as before", got, lost)
	}
	if s.stop(); len(s.waiting) != 0 {
		t.Errorf("at the end: got %v waiting, want none", s.waiting)
	}
	if !strings.Contains(s.log.String(), "too many messages of the account wait") {
		t.Errorf("got the log %s, want why they are lost", s.log)
	}
}

func TestReceiversWithTLS(t *testing.T) {
	root := newAuthority("Root", nil)
	r := &receiver{got: make(chan received, 1)}
	server := httptest.NewUnstartedServer(r)
	key := newKey()
	c := root.certify("127.0.0.1", key, time.Now().AddDate(0, 1, 0))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*c}}
	server.StartTLS()
	t.Cleanup(server.Close)
	name := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, row := range []struct {
		name  string
		trust *authority
		want  float64
	}{{"a stranger's", newAuthority("Stranger", nil), 0}, {"one for another name", root, 0}} {
		hook, err := NewWebhook(name+secretPath, nil, row.trust.pool())
		if err != nil {
			t.Fatal(err)
		}
		s := newSender(hook, (&lockedBuffer{}).logger(), prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"result"}))
		s.pauses = nil
		s.deliver(t.Context(), nil, attestapi.PinMessage{})
		if got := (&sending{sender: s}).count("delivered"); got != row.want {
			t.Errorf("%s certificate: got %v messages delivered, want %v", row.name, got, row.want)
		}
	}
	good := httptest.NewUnstartedServer(r)
	good.TLS = &tls.Config{Certificates: []tls.Certificate{*root.certify("localhost", key, time.Now().AddDate(0, 1, 0))}}
	good.StartTLS()
	t.Cleanup(good.Close)
	hook, err := NewWebhook(strings.Replace(good.URL, "127.0.0.1", "localhost", 1)+"/", nil, root.pool())
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(hook, (&lockedBuffer{}).logger(), prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"result"}))
	s.deliver(t.Context(), nil, attestapi.PinMessage{ID: "i"})
	if got := r.next(t); got.message.ID != "i" || got.signature != "" {
		t.Errorf("got %+v, want the message, without a signature", got)
	}
}

func TestWebhooks(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://hooks.example.com/services/x": true, "https://hooks.example.com:8443/?a=b": true, "http://127.0.0.1:9000/pins": true, "http://[::1]/": true,
		"": false, "hooks.example.com": false, "http://hooks.example.com/": false, "http://localhost/": false, "http://10.0.0.1/": false, "ftp://a.example/": false,
		"https://": false, "https:///x": false, "https://user:pass@a.example/": false, "https://a.example/#x": false, "https:a.example": false, "https://a.example/%zz": false,
	} {
		_, err := NewWebhook(address, nil, nil)
		if (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %v", address, err, ok)
		}
		if err != nil && (strings.Contains(err.Error(), "pass") || strings.Contains(err.Error(), "zz")) {
			t.Errorf("%s: got %v, which repeats what may be a secret", address, err)
		}
	}
	if _, err := NewWebhook("https://a.example/", webhookSecret[1:], nil); err == nil || !strings.Contains(err.Error(), "31 bytes") {
		t.Errorf("a short secret: got %v", err)
	}
}
