package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/token"
)

// attestCommand has the app that a file is attested by the service, as an SDK does it: the file's bytes are the app, and
// its name the package. It prints the SDK's first log line, and sets RID, DID, JWT, JWE and LOGGABLE to what came of it.
func attestCommand(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := services.Load(ts)
	if neg || len(args) < 3 || !ok {
		ts.Fatalf("usage: attest ACCOUNT DEVICE FILE [FLAG]..., after service")
	}
	s := found.(*service)
	acc := s.server.Account(args[0])
	library := acc.Libraries[0]
	fingerprint, err := issue.KeyFingerprint(acc)
	ts.Check(err)
	var challenge attestapi.ChallengeResponse
	s.post(ts, attestapi.PathChallenge, "", attestapi.ChallengeRequest{Account: acc.Name, Library: library.ID, DeviceID: args[1]}, &challenge)
	request := attestapi.AttestRequest{
		Version: attestapi.Version, Account: acc.Name, Nonce: challenge.Nonce, ConfigKey: fingerprint, ConfigVersion: acc.ConfigVersion,
		Library: attestapi.LibraryRef{ID: library.ID, Platform: library.Platform, Version: library.Version},
		App: attestapi.App{Package: filepath.Base(args[2]), Version: "1.0",
			Measurement: attestapi.Measurement(challenge.Nonce, sha256.Sum256([]byte(ts.ReadFile(args[2]))))},
		DeviceID: args[1], Flags: args[3:],
	}
	body, err := json.Marshal(request)
	ts.Check(err)
	var answer attestapi.AttestResponse
	s.post(ts, attestapi.PathAttest, attestapi.RequestMAC(library.Key.Bytes(), challenge.Nonce, args[1], body), request, &answer)
	for domain, one := range answer.Tokens {
		if strings.Count(one.Text, ".") == 4 {
			ts.Setenv("JWE", one.Text)
		} else if domain != acc.DemoDomain {
			ts.Setenv("JWT", one.Text)
			ts.Setenv("LOGGABLE", token.Loggable(one.Text))
		}
	}
	ts.Setenv("RID", answer.Request)
	ts.Setenv("DID", args[1])
	fmt.Fprintf(ts.Stdout(), "%s, %s, %s(%s), %s\n", acc.Name, request.App.Package, library.Version, library.ID, args[1])
}

// post asks the service something.
func (s *service) post(ts *testscript.TestScript, path, mac string, message, into any) {
	body, err := json.Marshal(message)
	ts.Check(err)
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(attestapi.HeaderMAC, mac)
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		ts.Fatalf("%s: got %d %s, want 200", path, w.Code, w.Body)
	}
	ts.Check(json.Unmarshal(w.Body.Bytes(), into))
}
