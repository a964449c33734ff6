package attestd_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

// lean is a client of the protocol that is not the SDK: written from docs/protocol.md, it keeps nothing but a nonce and
// tries nothing twice.
type lean struct {
	base    string
	client  *http.Client
	library attestapi.Library
	pkg     string
	digest  [attestapi.DigestSize]byte
	did     string
	key     string // fingerprint of the account's key
	config  int64
	nonce   string
	tweak   func(*attestapi.AttestRequest) // what the app says besides; nil: nothing
	last    sent                           // the last attestation, for those who send it again
}

// sent is an attestation on its way.
type sent struct {
	body []byte
	mac  string
}

// newDevice is the ID of the n-th device of a test.
func newDevice(n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%016d", n))
}

// attest does a cold fetch, or a warm one if there is a nonce.
func (l *lean) attest() (attestapi.AttestResponse, error) {
	if l.nonce == "" {
		var c attestapi.ChallengeResponse
		if err := l.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: l.library.Account, Library: l.library.ID, DeviceID: l.did}, &c); err != nil {
			return attestapi.AttestResponse{}, err
		}
		l.nonce = c.Nonce
	}
	request := attestapi.AttestRequest{
		Version: attestapi.Version, Account: l.library.Account, Nonce: l.nonce, ConfigKey: l.key, ConfigVersion: l.config, RulesVersion: 1 << 40,
		Library: l.library.Ref(), App: attestapi.App{Package: l.pkg, Version: "1.0", Measurement: attestapi.Measurement(l.nonce, l.digest)}, DeviceID: l.did,
	}
	if l.tweak != nil {
		l.tweak(&request)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return attestapi.AttestResponse{}, err
	}
	l.last = sent{body, attestapi.RequestMAC(l.library.Key(), l.nonce, l.did, body)}
	l.nonce = ""
	answer, err := l.send(l.last, request.Nonce)
	l.nonce = answer.Nonce
	return answer, err
}

// send sends an attestation and verifies the answer.
func (l *lean) send(s sent, nonce string) (attestapi.AttestResponse, error) {
	var answer attestapi.AttestResponse
	request, err := http.NewRequest(http.MethodPost, l.base+attestapi.PathAttest, bytes.NewReader(s.body))
	if err != nil {
		return answer, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(attestapi.HeaderMAC, s.mac)
	response, err := l.client.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, attestapi.MaxResponse))
	if err != nil {
		return answer, err
	}
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	want := attestapi.ResponseMAC(l.library.Key(), nonce, l.did, s.mac, response.StatusCode, text)
	if got := response.Header.Get(attestapi.HeaderMAC); !attestapi.SameMAC(got, want) {
		return answer, fmt.Errorf("the answer's MAC is %q, want %q", got, want)
	}
	return answer, json.Unmarshal(text, &answer)
}

func (l *lean) post(path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := l.client.Post(l.base+path, "application/json", bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, attestapi.MaxResponse))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	return json.Unmarshal(text, into)
}

func mustUnmarshal(t testing.TB, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
}
