package sdk_test

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
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/sdk"
)

// An app embeds both: what approov sdk -getConfig and approov sdk -getLibrary have written.
//
//	//go:embed approov-initial.config
//	var initialConfig string
//
//	//go:embed approov-library.txt
//	var library []byte
var (
	initialConfig string
	library       []byte
)

// An app starts the SDK once, with the configuration it stored when it ran last, and has its HTTP client put tokens
// into requests.
func Example() {
	service := startService() // stands in for the attestation service
	defer service.Close()
	ctx := context.Background()

	stored, err := os.ReadFile("approov-dynamic.config")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Print(err) // not fatal: the service sends another
	}
	client, err := sdk.Initialize(ctx, sdk.Config{
		InitialConfig: strings.TrimSpace(initialConfig),
		DynamicConfig: string(stored),
		Library:       library,
		Package:       "com.example.shop",
		Version:       "1.0",
		StateDir:      service.state,
		Log:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err) // the app was built wrongly
	}
	defer func() { _ = client.Close() }()

	api := http.Client{Transport: client.Transport(nil), Timeout: time.Minute}
	response, err := api.Get(apiURL)
	var refused *sdk.StatusError
	switch {
	case errors.As(err, &refused) && refused.Status.Class() == sdk.Retry:
		fmt.Println("Check your network, then try again.") // the SDK has tried: the next attempt is the user's
		return
	case err != nil:
		log.Print(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println("The API answered", response.Status)
	// Output: The API answered 200 OK
}

// An app that makes its requests itself fetches a token for each, and never keeps one.
func ExampleClient_FetchToken() {
	client, end := start()
	defer end()

	result := client.FetchToken(context.Background(), "api.example.com")
	if result.ConfigChanged { // store it for the next start
		fmt.Println("The configuration has", len(client.FetchConfig(context.Background())) > 0)
	}
	switch result.Status.Class() {
	case sdk.Continue: // the token may be empty, when the service is down
		fmt.Println("Go on with a token:", result.Token != "")
	case sdk.Retry:
		fmt.Println("Try again later:", result.Status)
	default:
		fmt.Println("Report it:", result.LoggableToken)
	}
	fmt.Println(client.FetchToken(context.Background(), "http://api.example.com").LoggableToken)
	// Output:
	// Go on with a token: true
	// {"error":"BAD_URL"}
}

// Whoever must not wait passes a function.
func ExampleClient_FetchTokenAsync() {
	client, end := start()
	defer end()

	done := make(chan sdk.Status)
	client.FetchTokenAsync("https://api.example.com/v1/shapes", func(result sdk.Result) { done <- result.Status })
	fmt.Println(<-done)
	// Output: SUCCESS
}

// A token that is bound to the user's session is of no use in another.
func ExampleTransport_bound() {
	client, end := start()
	defer end()

	transport := client.Transport(nil)
	transport.BindHeader = "Authorization"
	transport.BindNone = "none" // before login; the API knows it too
	api := http.Client{Transport: transport}

	request, _ := http.NewRequest(http.MethodGet, apiURL, nil)
	request.Header.Set("Authorization", "Bearer alice")
	response, err := api.Do(request)
	if err != nil {
		log.Print(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println(response.Status)
	// Output: 200 OK
}

// The statuses can be looked for in any error that a request returned.
func ExampleStatusError() {
	err := fmt.Errorf("cannot show your basket: %w", &sdk.StatusError{Status: sdk.MITMDetected, Domain: "api.example.com"})
	if errors.Is(err, sdk.MITMDetected) {
		fmt.Println("This network reads along. Use another one.")
	}
	// Output: This network reads along. Use another one.
}

// What follows stands in for the service and the API.

var apiURL string

func start() (client *sdk.Client, end func()) {
	service := startService()
	client, err := sdk.Initialize(context.Background(), sdk.Config{
		InitialConfig: initialConfig, Library: library, Package: "com.example.shop", Version: "1.0",
		StateDir: service.state, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() { _ = client.Close(); service.Close() }
}

type standIn struct {
	*httptest.Server
	state string // a folder
}

func (s standIn) Close() {
	s.Server.Close()
	_ = os.RemoveAll(s.state)
}

// startService answers every attestation with the same token, and everything else with 200.
func startService() standIn {
	state, err := os.MkdirTemp("", "approovgate-example-")
	if err != nil {
		log.Fatal(err)
	}
	lib := attestapi.NewLibrary("1041", "test-account", "Go", "1.0.0", [16]byte{1})
	mux := http.NewServeMux()
	mux.HandleFunc(attestapi.PathChallenge, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(attestapi.ChallengeResponse{Nonce: "n", NonceTTL: 60})
	})
	mux.HandleFunc(attestapi.PathAttest, func(w http.ResponseWriter, r *http.Request) {
		var request attestapi.AttestRequest
		_ = json.NewDecoder(r.Body).Decode(&request)
		answer, _ := json.Marshal(attestapi.AttestResponse{Tokens: map[string]attestapi.Token{"api.example.com": {Text: "e30.e30.c2lnbmF0dXJl", TTL: 300000}}})
		w.Header().Set(attestapi.HeaderMAC, attestapi.ResponseMAC(lib.Key(), request.Nonce, request.DeviceID, r.Header.Get(attestapi.HeaderMAC), 200, answer))
		_, _ = w.Write(answer)
	})
	mux.HandleFunc(attestapi.PathConfig, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("/api", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "shapes") })
	server := httptest.NewServer(mux)
	apiURL, library, initialConfig = server.URL+"/api", lib.Encode(), sign(server.URL)
	return standIn{server, state}
}

func sign(address string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	public, err := attestapi.NewPublicKey(&key.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	payload, _ := json.Marshal(attestapi.Config{
		Account: "test-account", Key: public, Version: 1, APIs: map[string]attestapi.Domain{"api.example.com": {Protected: true}},
		Network: attestapi.Network{Primary: []string{address}, TestOnly: true},
	})
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"`+attestapi.ConfigType+`"}`)) + "." + encode(payload)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		log.Fatal(err)
	}
	return attestapi.EncodeConfig(text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
}
