package sdk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// must is for what cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// service is a stand-in for the attestation service, written from the protocol alone.
type service struct {
	account string
	library attestapi.Library
	digest  [32]byte
	key     *ecdsa.PrivateKey

	mu       sync.Mutex // guards what follows
	config   attestapi.Config
	next     string // a configuration to hand out, whatever its version; empty: none
	rules    *attestapi.Rules
	ttl      time.Duration
	nonceTTL int
	nonces   map[string]string // that are out, and the device they are for
	issued   int
	requests []string // the paths asked for
	attests  []attestapi.AttestRequest
	hook     func(w http.ResponseWriter, r *http.Request, n int) bool // n: which request; true: it has answered
	answer   func(*attestapi.AttestResponse)                          // changes answers before they are sent
	mangle   func(mac string) string
}

func newService() *service {
	s := &service{
		account: "test-account", digest: sha256.Sum256([]byte("the app")), ttl: 5 * time.Minute, nonceTTL: 600, nonces: map[string]string{},
		library: attestapi.NewLibrary("1041", "test-account", "Go", "1.0.0", [16]byte{0: 0xa1, 5: 0xb2, 15: 0xc3}),
		key:     must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		rules:   &attestapi.Rules{Version: 1, Checks: []string{attestapi.CheckTracer}},
	}
	s.config = attestapi.Config{
		Account: s.account, Key: must(attestapi.NewPublicKey(&s.key.PublicKey)), Version: 1, Issued: 1,
		Network: attestapi.Network{Primary: []string{"https://attest.example"}, Attempt: 6000, Total: 30000, Retries: 1},
		APIs: map[string]attestapi.Domain{
			"api.example.com":  {Protected: true},
			"jwe.example.com":  {Protected: true, JWE: true},
			"open.example.com": {},
		},
	}
	return s
}

// sign is the text of a configuration.
func (s *service) sign(c attestapi.Config) string { return signConfig(s.key, c) }

func signConfig(key *ecdsa.PrivateKey, c attestapi.Config) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"`+attestapi.ConfigType+`"}`)) + "." + encode(must(json.Marshal(c)))
	hash := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		panic(err)
	}
	return attestapi.EncodeConfig(text + "." + encode(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)))
}

// revise changes the configuration and gives it the next version.
func (s *service) revise(change func(*attestapi.Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	apis := map[string]attestapi.Domain{}
	for name, api := range s.config.APIs {
		apis[name] = api
	}
	s.config.APIs = apis
	s.config.Version++
	s.config.Issued++
	change(&s.config)
}

func (s *service) paths() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.requests, " ")
}

// set changes the stand-in while it serves.
func (s *service) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimPrefix(r.URL.Path, "/v1/"))
	n, hook := len(s.requests), s.hook
	s.mu.Unlock()
	if hook != nil && hook(w, r, n) {
		return
	}
	body := must(io.ReadAll(r.Body))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case attestapi.PathChallenge:
		s.challenge(w, body)
	case attestapi.PathAttest:
		s.attest(w, r, body)
	case attestapi.PathConfig:
		s.configure(w, body)
	default:
		http.NotFound(w, r)
	}
}

func (s *service) challenge(w http.ResponseWriter, body []byte) {
	var request attestapi.ChallengeRequest
	if json.Unmarshal(body, &request) != nil || request.Account != s.account || request.Library != s.library.ID {
		problem(w, http.StatusForbidden, attestapi.CodeAccountUnknown)
		return
	}
	_, _ = w.Write(must(json.Marshal(attestapi.ChallengeResponse{Nonce: s.nonce(request.DeviceID), NonceTTL: 60, Rules: s.rules, Request: "r1"})))
}

func (s *service) nonce(device string) string {
	s.issued++
	text := fmt.Sprintf("nonce-%d", s.issued)
	s.nonces[text] = device
	return text
}

func (s *service) attest(w http.ResponseWriter, r *http.Request, body []byte) {
	var request attestapi.AttestRequest
	if json.Unmarshal(body, &request) != nil {
		problem(w, http.StatusBadRequest, attestapi.CodeMalformed)
		return
	}
	s.attests = append(s.attests, request)
	// Whatever is wrong, the answer looks the same: only the claim shows it here, where the real one signs differently.
	verdict := "good"
	mac := r.Header.Get(attestapi.HeaderMAC)
	device, fresh := s.nonces[request.Nonce]
	delete(s.nonces, request.Nonce)
	switch {
	case !attestapi.SameMAC(mac, attestapi.RequestMAC(s.library.Key(), request.Nonce, request.DeviceID, body)):
		verdict = attestapi.FlagBadHMAC
	case !fresh || device != request.DeviceID:
		verdict = attestapi.FlagBadNonce
	case request.App.Measurement != attestapi.Measurement(request.Nonce, s.digest):
		verdict = attestapi.FlagAppNotRegistered
	}
	response := attestapi.AttestResponse{Tokens: map[string]attestapi.Token{}, Nonce: s.nonce(request.DeviceID), NonceTTL: s.nonceTTL, Request: "r2"}
	for name, api := range s.config.APIs {
		if api.Protected {
			response.Tokens[name] = attestapi.Token{Text: s.token(verdict, request.Pay, api.JWE), TTL: s.ttl.Milliseconds()}
		}
	}
	if s.next != "" {
		response.Config = s.next
	} else if s.config.Version > request.ConfigVersion {
		response.Config = s.sign(s.config)
	}
	if s.rules.Version != request.RulesVersion {
		response.Rules = s.rules
	}
	if s.answer != nil {
		s.answer(&response)
	}
	answer := must(json.Marshal(response))
	sum := attestapi.ResponseMAC(s.library.Key(), request.Nonce, request.DeviceID, mac, http.StatusOK, answer)
	if s.mangle != nil {
		sum = s.mangle(sum)
	}
	w.Header().Set(attestapi.HeaderMAC, sum)
	_, _ = w.Write(answer)
}

// token has the shape of one. Its claims say which attestation it is of.
func (s *service) token(verdict, pay string, jwe bool) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := map[string]any{"exp": 1, "n": len(s.attests), "verdict": verdict}
	if pay != "" {
		claims["pay"] = pay
	}
	if jwe {
		return fmt.Sprintf("aaaa.bbbb.cccc.%s.dddd", encode(must(json.Marshal(claims))))
	}
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(must(json.Marshal(claims))) + "." + encode([]byte("signature"))
}

func (s *service) configure(w http.ResponseWriter, body []byte) {
	var request attestapi.ConfigRequest
	if json.Unmarshal(body, &request) != nil || request.Account != s.account {
		problem(w, http.StatusBadRequest, attestapi.CodeMalformed)
		return
	}
	text := s.next
	if text == "" && s.config.Version > request.Version {
		text = s.sign(s.config)
	}
	if text == "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(must(json.Marshal(attestapi.ConfigResponse{Config: text})))
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(must(json.Marshal(attestapi.Problem{Status: status, Code: code, Detail: "as the test wants"})))
}

// claims are those of a stand-in's token.
func claims(t testing.TB, text string) (c struct {
	N       int    `json:"n"`
	Pay     string `json:"pay"`
	Verdict string `json:"verdict"`
}) {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("got token %q, want a JWS", text)
	}
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1])), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// world is an app, its network and the service in it.
type world struct {
	*network
	service *service
	host    *host // of the service
	logged  *strings.Builder
}

// newWorld makes the network, with the service at attest.example.
func newWorld(t testing.TB) *world {
	w := &world{network: &network{t: t, hosts: map[string]*host{}}, service: newService(), logged: &strings.Builder{}}
	w.host = w.add("attest.example", w.service)
	return w
}

// config is what the app gives to Initialize.
func (w *world) config() Config {
	return Config{
		InitialConfig: w.service.sign(w.service.config), Library: w.service.library.Encode(),
		Package: "com.example.shop", Version: "1.0[7]", Digest: w.service.digest, StateDir: w.t.(interface{ TempDir() string }).TempDir(),
		Online: func() bool { return true }, Dial: w.dial, Roots: testAuthority().roots,
		Log: slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	}
}

// start initialises the SDK.
func (w *world) start(change func(*Config)) *Client {
	w.t.Helper()
	config := w.config()
	if change != nil {
		change(&config)
	}
	c, err := Initialize(context.Background(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	c.inspect = func(*attestapi.Rules) []string { return nil } // whoever runs the test may be debugging it
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// fetch fetches a token that must be there, and returns its claims.
func fetch(t testing.TB, c *Client, url string) (n int, pay string) {
	t.Helper()
	r := c.FetchToken(t.(interface{ Context() context.Context }).Context(), url)
	if r.Status != Success {
		t.Fatalf("got %v, want a token", r)
	}
	got := claims(t, r.Token)
	if got.Verdict != "good" {
		t.Fatalf("got a token that says %s, want good", got.Verdict)
	}
	return got.N, got.Pay
}

var errTest = errors.New("as the test wants")
