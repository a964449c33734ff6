package attestserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/evidence"
)

// enclave verifies the signature of a key that an enclave holds.
type enclave struct {
	key    *ecdsa.PublicKey
	result evidence.Result
}

func (enclave) Type() string { return "enclave" }

func (e enclave) Verify(_ context.Context, data []byte, b evidence.Binding) (evidence.Result, error) {
	if b.Package != appName || b.DeviceID != deviceA || !ecdsa.VerifyASN1(e.key, b.Hash[:], data) {
		return evidence.Result{}, errors.New("the signature is wrong")
	}
	return e.result, nil
}

func TestEvidenceOfAnAttestation(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// vouch adds evidence about the body that the request would have without it, as an SDK does.
	vouch := func(q *attestapi.AttestRequest, nonce string) {
		body, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		hash := attestapi.EvidenceBinding(nonce, body)
		signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		q.Evidence = []attestapi.Evidence{{Type: "enclave", Data: base64.StdEncoding.EncodeToString(signature)}}
	}
	for _, row := range []struct {
		name   string
		result evidence.Result
		edit   func(r *rig, a *attempt)
		good   bool
		level  any
		anno   string
	}{
		{"hardware vouches", evidence.Result{Level: evidence.Hardware, Claims: map[string]string{"zone": "é<"}},
			func(_ *rig, a *attempt) { vouch(&a.request, a.request.Nonce) }, true, "hardware", ""},
		{"hardware tells of a rooted system", evidence.Result{Level: evidence.Hardware, Flags: []string{"rooted"}},
			func(_ *rig, a *attempt) { vouch(&a.request, a.request.Nonce) }, false, "hardware", "rooted"},
		{"evidence proves nothing", evidence.Result{},
			func(_ *rig, a *attempt) { vouch(&a.request, a.request.Nonce) }, true, nil, ""},
		{"there is none", evidence.Result{Level: evidence.Hardware}, func(*rig, *attempt) {}, true, nil, ""},
		{"evidence was made for another attestation", evidence.Result{Level: evidence.Hardware},
			func(_ *rig, a *attempt) { vouch(&a.request, "another nonce") }, false, nil, "scan-fail"},
		{"a request was changed after the evidence was made, by who has the library's key", evidence.Result{Level: evidence.Hardware},
			func(_ *rig, a *attempt) {
				vouch(&a.request, a.request.Nonce)
				a.request.Pay = "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="
			}, false, nil, "scan-fail"},
		{"hardware vouches for an app that is not registered", evidence.Result{Level: evidence.Hardware},
			func(_ *rig, a *attempt) {
				a.request.App.Measurement = attestapi.Measurement(a.request.Nonce, digestOf("x"))
				vouch(&a.request, a.request.Nonce)
			}, false, "hardware", "app-not-registered"},
	} {
		r := newRig(t, func(o *Options, a *account.Account) {
			annotateAll(o, a)
			o.Evidence = []evidence.Verifier{enclave{&key.PublicKey, row.result}}
		})
		a := r.genuine(r.nonce("acme", deviceA))
		a.request.App.Measurement = attestapi.Measurement(a.request.Nonce, a.digest)
		row.edit(r, &a)
		good, claims := r.verdict(r.send(a))
		if good != row.good || claims["evidence"] != row.level || anno(claims) != row.anno {
			t.Errorf("%s: got good %v, level %v and %q, want %v, %v and %q", row.name, good, claims["evidence"], anno(claims), row.good, row.level, row.anno)
		}
		if zone := row.result.Claims["zone"]; zone != "" && claims["zone"] != zone {
			t.Errorf("%s: got claims %v, want the verifier's among them", row.name, claims)
		}
	}
}
