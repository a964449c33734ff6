package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/attestd"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/sdk"
)

// The parts that this program plays besides the tour, each in a process of its own.
const (
	roleService = "attestserver" // the attestation service
	roleApp     = "app"          // the genuine app, which prints a token that it has fetched
)

// play runs one of those parts, if the arguments name one.
func play(args []string) (status int, played bool) {
	switch {
	case len(args) > 1 && args[1] == roleService:
		return attestd.Run(args[2:], os.Stdout, os.Stderr), true
	case len(args) > 2 && args[1] == roleApp:
		if err := app(args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "app:", err)
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// What the demo's app is called, and the API domain that its tokens are for.
const (
	appPackage = "com.example.shop"
	appVersion = "1.0"
	apiDomain  = "api.example.com"
)

// The files that an app and its devices have.
const (
	appFile    = "shop"
	configFile = "approov.config"
)

// app is the genuine app: a program with the SDK in it. dir is its device.
func app(dir string, stdout io.Writer) error {
	ctx := context.Background()
	config, err := os.ReadFile(filepath.Join(filepath.Dir(dir), configFile))
	if err != nil {
		return err
	}
	self, err := measure.Self(ctx)
	if err != nil {
		return err
	}
	if len(self.Libraries) == 0 {
		return errors.New("there is no SDK library in this program")
	}
	client, err := sdk.Initialize(ctx, sdk.Config{InitialConfig: string(config), Library: self.Libraries[0].Encode(), Package: appPackage, Version: appVersion,
		StateDir: dir, Online: func() bool { return true }}) // this machine is all the network it needs
	if err != nil {
		return err
	}
	defer client.Close()
	result := client.FetchToken(ctx, apiDomain)
	if result.Status != sdk.Success {
		return errors.New(result.String())
	}
	_, err = fmt.Fprintln(stdout, result.Token)
	return err
}

// attestation is the attestation service, an app that is registered with it, and those that are not what they say.
type attestation struct {
	dir     string
	address string // of the service
	manage  *manageclient.Client
	wire    *wire // between apps and service
	log     bytes.Buffer
}

// startAttestation starts the service as a process, which ends with ctx and then is reported on ended. dir holds the
// account's secret.
func startAttestation(ctx context.Context, dir string, ended chan<- error) (*attestation, error) {
	a := &attestation{dir: dir, wire: &wire{}}
	data := filepath.Join(dir, "attestserver")
	wireEnded := make(chan error, 1)
	between, err := serve(ctx, "127.0.0.1:0", "", a.wire, wireEnded)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	process := exec.CommandContext(ctx, self, roleService, "run", "--data", data, "--listen", "127.0.0.1:0",
		"--secret", "file:"+filepath.Join(dir, secretFile), "--url", "http://"+between, "--log-level", "error",
		"--pin-check", "0") // its domains are examples
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = answerTime
	process.Stderr = &a.log
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	address := make(chan string, 1)
	go func() { // ends with the process
		a.read(out, address)
		_ = process.Wait() // it was told to end, or what it lacks shows in the walk
		<-wireEnded
		ended <- nil
	}()
	select {
	case a.address = <-address:
	case <-time.After(startTime):
	}
	if a.address == "" {
		return nil, fmt.Errorf("the attestation service does not start: %s", &a.log)
	}
	a.wire.to = "http://" + a.address
	token, err := os.ReadFile(filepath.Join(data, "admin.tok"))
	if err != nil {
		return nil, err
	}
	a.manage, err = manageclient.New(manageclient.Options{Server: a.wire.to, Token: strings.TrimSpace(string(token))})
	return a, err
}

const startTime = 30 * time.Second

// read looks for the service's address in what it prints, and reads on to the end.
func (a *attestation) read(out io.Reader, address chan<- string) {
	defer close(address)
	text, part := "", make([]byte, 1024)
	for {
		n, err := out.Read(part)
		before := len(text)
		text += string(part[:n])
		if _, found, ok := strings.Cut(text, " serves on "); ok && !strings.Contains(text[:before], "serves on") {
			line, _, whole := strings.Cut(found, "\n")
			if whole {
				address <- line
			} else {
				text = text[:before]
			}
		}
		if err != nil {
			return
		}
	}
}

// register makes the app out of this program and the account's SDK library, and registers it, as approov api -add,
// sdk -getLibrary, sdk -getConfig and registration -add do.
func (a *attestation) register(ctx context.Context) error {
	do := func(method, path string, body, into any) error {
		_, err := a.manage.Do(ctx, manageclient.Request{Method: method, Path: path, Body: body}, into)
		return err
	}
	if err := do(http.MethodPost, attestapi.PathDomains, attestapi.APIDomain{Domain: apiDomain, Format: "jws"}, nil); err != nil {
		return err
	}
	var library attestapi.SDKLibrary
	if err := do(http.MethodGet, attestapi.PathSDKLibrary, nil, &library); err != nil {
		return err
	}
	if err := a.makeApp(appFile, library.File); err != nil {
		return err
	}
	if err := a.makeApp("patched-"+appFile, append(library.File, "patched"...)); err != nil {
		return err
	}
	var config attestapi.ConfigResponse
	if err := do(http.MethodGet, attestapi.PathSDKConfig, nil, &config); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, configFile), []byte(config.Config), 0o600); err != nil {
		return err
	}
	measured, err := measure.File(ctx, filepath.Join(a.dir, appFile))
	if err != nil {
		return err
	}
	return do(http.MethodPost, attestapi.PathRegistrations, attestapi.NewRegistration{
		Digest: base64.StdEncoding.EncodeToString(measured.Digest[:]), Package: appPackage, Version: appVersion, Library: library.ID}, nil)
}

// makeApp writes an executable: this program with something behind it.
func (a *attestation) makeApp(name string, more []byte) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(a.dir, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.MultiReader(from, bytes.NewReader(more)))
	return errors.Join(err, to.Close())
}

// token has an app fetch a token on a device, which is a folder.
func (a *attestation) token(ctx context.Context, app, device string) (string, error) {
	process := exec.CommandContext(ctx, filepath.Join(a.dir, app), roleApp, filepath.Join(a.dir, device))
	var complaint bytes.Buffer
	process.Stderr = &complaint
	out, err := process.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", app, err, &complaint)
	}
	return strings.TrimSpace(string(out)), nil
}

// tokens are what apps and attackers have got from the service, and what it tells the account of two that it refused.
type tokens struct {
	genuine, patched, replayed, blacklisted string
	whyPatched, whyBlacklisted              string
}

// fetch has them all fetched.
func (a *attestation) fetch(ctx context.Context) (t tokens, err error) {
	if t.genuine, err = a.token(ctx, appFile, "phone-1"); err != nil {
		return t, err
	}
	if t.replayed, err = a.wire.replay(ctx); err != nil {
		return t, fmt.Errorf("replay an attestation: %w", err)
	}
	if t.patched, err = a.token(ctx, "patched-"+appFile, "phone-2"); err != nil {
		return t, err
	}
	if t.whyPatched, err = a.explain(ctx); err != nil {
		return t, err
	}
	if _, err = a.token(ctx, appFile, "phone-3"); err != nil {
		return t, err
	}
	did, err := a.wire.device()
	if err != nil {
		return t, err
	}
	if _, err = a.manage.Do(ctx, manageclient.Request{Method: http.MethodPost, Path: attestapi.PathDevices,
		Body: attestapi.Device{DeviceID: did, Policy: "default,blacklist,default"}}, nil); err != nil {
		return t, err
	}
	if t.blacklisted, err = a.token(ctx, appFile, "phone-3"); err != nil {
		return t, err
	}
	t.whyBlacklisted, err = a.explain(ctx)
	return t, err
}

// explain is why the last attestation failed, as approov explain with its device ID says. The service answers an app
// first and notes the failure then, so it may not be known at once.
func (a *attestation) explain(ctx context.Context) (string, error) {
	did, err := a.wire.device()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	again := time.NewTicker(explainEvery)
	defer again.Stop()
	for {
		var known attestapi.Explanations
		_, err := a.manage.Do(ctx, manageclient.Request{Method: http.MethodGet, Path: attestapi.PathExplanations, Query: url.Values{"did": {did}}}, &known)
		if err == nil && len(known.Explanations) > 0 {
			return known.Explanations[0].Conclusion, nil
		}
		if refused, ok := errors.AsType[*manageclient.Refusal](err); err != nil && (!ok || refused.Code != attestapi.CodeNotFound) {
			return "", fmt.Errorf("explain an attestation: %w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return "", errors.New("the service does not know of an attestation that it refused")
		}
	}
}

const explainEvery = 50 * time.Millisecond

// wire stands between apps and service and remembers the last attestation, as somebody who listens in would.
type wire struct {
	to string // base URL of the service

	mu   sync.Mutex // guards what follows
	body []byte
	mac  string
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, attestapi.MaxRequest))
	if err != nil {
		http.Error(out, "the request cannot be read", http.StatusBadRequest)
		return
	}
	if r.URL.Path == attestapi.PathAttest {
		w.mu.Lock()
		w.body, w.mac = body, r.Header.Get(attestapi.HeaderMAC)
		w.mu.Unlock()
	}
	response, err := w.send(r.Context(), r.Method, r.URL.Path, r.Header, body)
	if err != nil {
		http.Error(out, "the service does not answer", http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		out.Header()[name] = values
	}
	out.WriteHeader(response.StatusCode)
	_, _ = io.Copy(out, io.LimitReader(response.Body, attestapi.MaxResponse)) // an app that is gone cannot be told
}

func (w *wire) send(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, w.to+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header.Clone()
	return http.DefaultClient.Do(request)
}

// replay sends the last attestation again, byte for byte, and returns the token that comes of it.
func (w *wire) replay(ctx context.Context) (string, error) {
	w.mu.Lock()
	body, mac := w.body, w.mac
	w.mu.Unlock()
	header := http.Header{"Content-Type": {"application/json"}, attestapi.HeaderMAC: {mac}}
	response, err := w.send(ctx, http.MethodPost, attestapi.PathAttest, header, body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer attestapi.AttestResponse
	if err := json.NewDecoder(io.LimitReader(response.Body, attestapi.MaxResponse)).Decode(&answer); err != nil {
		return "", err
	}
	return answer.Tokens[apiDomain].Text, nil
}

// device is the device of the last attestation.
func (w *wire) device() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var request attestapi.AttestRequest
	err := json.Unmarshal(w.body, &request)
	return request.DeviceID, err
}
