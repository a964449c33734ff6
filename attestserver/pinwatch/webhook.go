package pinwatch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

const (
	maxQueue        = 256              // messages that wait
	maxAccountQueue = 64               // of one account: two for each of its domains, and some more
	postTime        = 10 * time.Second // for one attempt
	lastTime        = 10 * time.Second // for all that waits when the service ends, as a last attempt
	maxAnswer       = 16 << 10         // bytes of an answer that are read, of its header and of its body
	contentType     = "application/json"
)

// Webhook is where messages are sent. Printing it shows no more than the host: the rest of a URL may be a secret.
type Webhook struct {
	url    *url.URL
	secret account.Secret // empty: messages are not signed
	roots  *x509.CertPool // nil: the system's
}

// MinSecret is the fewest bytes a webhook's secret may have: those of HMAC-SHA256's hash (RFC 2104 §3).
const MinSecret = sha256.Size

// NewWebhook makes a Webhook of a URL: https, or http to this machine by its address. A secret, which may be nil,
// signs what is sent; roots are who may have signed the receiver's certificate, nil: whom the system trusts.
func NewWebhook(address string, secret []byte, roots *x509.CertPool) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("it is not a URL such as https://hooks.example.com/services/x, without a user and a fragment") // it may hold a secret
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || err != nil || !ip.IsLoopback()) {
		return nil, errors.New("it must be https, or http to this machine by its address, such as http://127.0.0.1:9000/pins")
	}
	if len(secret) > 0 && len(secret) < MinSecret {
		return nil, fmt.Errorf("its secret has %d bytes, and needs %d; make one with openssl rand -hex 32", len(secret), MinSecret)
	}
	return &Webhook{url: u, secret: account.NewSecret(secret), roots: roots}, nil
}

func (h *Webhook) String() string { return h.url.Scheme + "://" + h.url.Host }

// GoString is String.
func (h *Webhook) GoString() string { return h.String() }

// LogValue is String.
func (h *Webhook) LogValue() slog.Value { return slog.StringValue(h.String()) }

// sender sends messages one after another, in the order they were offered.
type sender struct {
	hook   *Webhook
	queue  chan attestapi.PinMessage
	client *http.Client
	log    *slog.Logger
	counts *prometheus.CounterVec                   // by result
	pauses []time.Duration                          // between the attempts to send a message: there is one more of those
	last   time.Duration                            // lastTime
	done   func(m attestapi.PinMessage, taken bool) // is told how each message that was offered ended

	mu      sync.Mutex     // guards the field below
	waiting map[string]int // messages in the queue, by account
}

func newSender(h *Webhook, log *slog.Logger, counts *prometheus.CounterVec) *sender {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: postTime}).DialContext, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: h.roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: maxAnswer,
	}
	return &sender{
		hook: h, queue: make(chan attestapi.PinMessage, maxQueue), log: log, counts: counts, waiting: map[string]int{},
		last: lastTime, done: func(attestapi.PinMessage, bool) {},
		pauses: []time.Duration{2 * time.Second, 8 * time.Second, 32 * time.Second},
		client: &http.Client{
			Transport: transport, Timeout: postTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// offer has a message sent some time. It never waits: if too many do, the message is lost.
func (s *sender) offer(m attestapi.PinMessage) {
	if err := s.enqueue(m); err != nil {
		s.lost(m, err)
	}
}

func (s *sender) enqueue(m attestapi.PinMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[m.Account] >= maxAccountQueue {
		return errors.New("too many messages of the account wait")
	}
	select {
	case s.queue <- m:
		s.waiting[m.Account]++
		return nil
	default:
		return errors.New("too many messages wait")
	}
}

// taken notes that a message waits no longer.
func (s *sender) taken(m attestapi.PinMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[m.Account]--; s.waiting[m.Account] <= 0 {
		delete(s.waiting, m.Account)
	}
}

// close ends run when it has sent what waits. Nothing may be offered any more.
func (s *sender) close() { close(s.queue) }

// run sends what is offered, until close. When ctx ends what waits is tried once more, and all of it for s.last at
// most; the rest is lost.
func (s *sender) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { // ends with run
		select {
		case <-time.After(s.last):
			cancel()
		case <-sending.Done():
		}
	})
	for m := range s.queue {
		s.taken(m)
		s.deliver(sending, ctx.Done(), m)
	}
}

// deliver sends a message, several times if need be; once more when the service is ending, and not after ctx has
// ended.
func (s *sender) deliver(ctx context.Context, ending <-chan struct{}, m attestapi.PinMessage) {
	body, err := json.Marshal(m)
	if err != nil {
		panic("pinwatch: " + err.Error()) // texts and times of this century are always JSON
	}
	for attempt := 0; ; attempt++ {
		last := attempt == len(s.pauses)
		select {
		case <-ending:
			last = true
		default:
		}
		again, err := s.post(ctx, body)
		if err == nil {
			s.counts.WithLabelValues(resultDelivered).Inc()
			s.done(m, true)
			return
		}
		if ctx.Err() != nil {
			err = errors.New("the service ends")
		}
		if !again || last {
			s.lost(m, err)
			return
		}
		s.counts.WithLabelValues(resultRetried).Inc()
		select {
		case <-ending:
		case <-time.After(s.pauses[attempt]):
		}
	}
}

// post sends a body once. Its errors do not have the URL.
func (s *sender) post(ctx context.Context, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.hook.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, errors.New("its URL makes no request")
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "attestserver")
	if s.hook.secret.Len() > 0 {
		request.Header.Set(attestapi.HeaderPinSignature, sign(s.hook.secret.Bytes(), body))
	}
	response, err := s.client.Do(request)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return true, err
	}
	defer func() { _ = response.Body.Close() }()                         // it was read only
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // what it says besides its status is its own affair
	switch code := response.StatusCode; {
	case code/100 == 2:
		return false, nil
	case code/100 == 5, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return true, fmt.Errorf("it answers with status %d", code)
	case code/100 == 3:
		return false, fmt.Errorf("it answers with status %d, and redirections are not followed", code)
	default:
		return false, fmt.Errorf("it answers with status %d", code)
	}
}

// sign is the value of attestapi.HeaderPinSignature.
func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *sender) lost(m attestapi.PinMessage, err error) {
	s.counts.WithLabelValues(resultLost).Inc()
	s.log.Error("a message about pins is lost", slog.String("webhook", s.hook.String()), slog.String("account", m.Account),
		slog.String("domain", m.Domain), slog.String("event", m.Event), slog.String("error", plain(err.Error())))
	s.done(m, false)
}
