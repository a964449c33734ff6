package attestserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/issue"
)

// FuzzAttest holds that nothing makes the server panic, that every answer is a 200 with tokens or a problem, and that
// tokens never verify unless the body was authenticated with the library's key, carries a fresh nonce, and measures a
// registered app. The MAC of the input is made with a wrong key or, if signed is set, with the right one.
func FuzzAttest(f *testing.F) {
	r := newRig(f, nil)
	valid, err := json.Marshal(r.genuine("NONCE").request)
	if err != nil {
		f.Fatal(err)
	}
	rich := r.genuine("NONCE").request
	rich.Flags, rich.Calls, rich.Pay = []string{"rooted", "frida-hook"}, attestapi.Calls{"result-success": 1}, "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="
	rich.Evidence = []attestapi.Evidence{{Type: "x", Data: "AAAA"}}
	full, err := json.Marshal(rich)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid, true)
	f.Add(valid, false)
	f.Add(full, true)
	f.Add(bytes.Replace(valid, []byte(appName), []byte(otherApp), 1), true)
	f.Add([]byte(`{"v":1,"account":"acme","did":"`+deviceA+`","lib":{},"app":{},"flags":[],"stats":{}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		nonce := r.find("acme").nonces.seal([16]byte{}, deviceA, start, nonceTTL) // no nonce is ever consumed
		r.store.mu.Lock()
		clear(r.store.used)
		r.store.mu.Unlock()
		body = bytes.ReplaceAll(body, []byte("NONCE"), []byte(nonce))
		measured := attestapi.Measurement(nonce, digestOf("app 2"))
		body = bytes.ReplaceAll(body, []byte(`"meas":""`), []byte(`"meas":"`+measured+`"`))
		key := bytes.Repeat([]byte{'a'}, 16)
		if !signed {
			key[0]++
		}
		w := r.ask(http.MethodPost, attestapi.PathAttest, body, func(q *http.Request) {
			q.Header.Set(attestapi.HeaderMAC, attestapi.RequestMAC(key, nonce, deviceA, body))
		})
		if w.Code != 200 {
			if p := problem(t, string(body), w.Code, w.Header(), w.Body.Bytes()); w.Code >= 500 || p.Code == "" {
				t.Errorf("%s: got %d %+v, want an answer or a problem of the client's", body, w.Code, p)
			}
			return
		}
		var answer attestapi.AttestResponse
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var said attestapi.AttestRequest
		if err := json.Unmarshal(body, &said); err != nil {
			return // names in other letter case: see FuzzDecodeAttest
		}
		// The other account's tokens are not this one's; its library has the same key and another nonce key.
		for domain, token := range answer.Tokens {
			good := issue.Check(r.Account("acme"), token.Text, start).Valid
			if good && (!signed || !bytes.Contains(body, []byte(nonce)) || !bytes.Contains(body, []byte(measured)) && said.App.Measurement != measured &&
				said.App.Measurement != attestapi.Measurement(nonce, digestOf("app 1"))) {
				t.Fatalf("%s: got a good token for %s", body, domain)
			}
		}
		if said.Account == "acme" && answer.Nonce == "" {
			t.Errorf("%s: got no nonce for the next attestation", body)
		}
	})
}
