package attestserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

// problem is the error that an answer carries.
func problem(t testing.TB, name string, code int, header http.Header, body []byte) attestapi.Problem {
	t.Helper()
	var p attestapi.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Status != code || p.Request == "" || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: got %s %s, %v, want a problem of status %d with a request id", name, header.Get("Content-Type"), body, err, code)
	}
	return p
}

func TestRequestsThatAreNone(t *testing.T) {
	r := newRig(t, nil)
	valid := `{"v":1,"account":"acme","did":"` + deviceA + `"}`
	with := func(members string) string { return strings.Replace(valid, "{", "{"+members+",", 1) }
	long := strings.Repeat("x", 1000)
	for _, row := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"no body", attestapi.PathAttest, "", 400, "malformed"},
		{"a list", attestapi.PathAttest, "[]", 400, "malformed"},
		{"text", attestapi.PathAttest, "v=1&account=acme", 400, "malformed"},
		{"half an object", attestapi.PathAttest, valid[:len(valid)-1], 400, "malformed"},
		{"something behind the object", attestapi.PathAttest, valid + "{}", 400, "malformed"},
		{"a member twice", attestapi.PathAttest, with(`"account":"other"`), 400, "malformed"},
		{"a member twice, spelt with an escape", attestapi.PathAttest, with(`"\u0061ccount":"other"`), 400, "malformed"},
		{"a member of a member twice", attestapi.PathAttest, with(`"lib":{"id":"1","id":"2"}`), 400, "malformed"},
		{"text that is no UTF-8", attestapi.PathAttest, with("\"x\":\"\xff\""), 400, "malformed"},
		{"deep nesting", attestapi.PathAttest, with(`"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)), 400, "malformed"},
		{"very many members", attestapi.PathAttest, with(manyMembers(100)), 400, "malformed"},
		{"no version", attestapi.PathAttest, strings.Replace(valid, `"v":1,`, "", 1), 400, "malformed"},
		{"a later version of the protocol", attestapi.PathAttest, strings.Replace(valid, `"v":1`, `"v":2`, 1), 400, "malformed"},
		{"a version that is text", attestapi.PathAttest, strings.Replace(valid, `"v":1`, `"v":"1"`, 1), 400, "malformed"},
		{"no account", attestapi.PathAttest, `{"v":1,"did":"` + deviceA + `"}`, 400, "malformed"},
		{"no device ID", attestapi.PathAttest, `{"v":1,"account":"acme"}`, 400, "malformed"},
		{"a device ID of 15 bytes", attestapi.PathAttest, `{"v":1,"account":"acme","did":"AAAAAAAAAAAAAAAAAAAA"}`, 400, "malformed"},
		{"a device ID in another spelling", attestapi.PathAttest, `{"v":1,"account":"acme","did":"h4gubfCFzJu81j/U2BJsdh=="}`, 400, "malformed"},
		{"a long account", attestapi.PathAttest, `{"v":1,"account":"` + long + `","did":"` + deviceA + `"}`, 400, "malformed"},
		{"a long nonce", attestapi.PathAttest, with(`"nonce":"` + long + `"`), 400, "malformed"},
		{"a long package", attestapi.PathAttest, with(`"app":{"pkg":"` + long + `"}`), 400, "malformed"},
		{"a long measurement", attestapi.PathAttest, with(`"app":{"meas":"` + long + `"}`), 400, "malformed"},
		{"a long library", attestapi.PathAttest, with(`"lib":{"id":"` + long + `"}`), 400, "malformed"},
		{"a library that is text", attestapi.PathAttest, with(`"lib":"1041"`), 400, "malformed"},
		{"a negative version of the configuration", attestapi.PathAttest, with(`"cfg_ver":-1`), 400, "malformed"},
		{"a broken version of the configuration", attestapi.PathAttest, with(`"cfg_ver":1.5`), 400, "malformed"},
		{"a huge version of the configuration", attestapi.PathAttest, with(`"cfg_ver":99999999999999999999`), 400, "malformed"},
		{"flags that are text", attestapi.PathAttest, with(`"flags":"rooted"`), 400, "malformed"},
		{"a flag that is a number", attestapi.PathAttest, with(`"flags":[1]`), 400, "malformed"},
		{"a long flag", attestapi.PathAttest, with(`"flags":["` + long + `"]`), 400, "malformed"},
		{"very many flags", attestapi.PathAttest, with(`"flags":["a"` + strings.Repeat(`,"a"`, 100) + `]`), 400, "malformed"},
		{"very much evidence", attestapi.PathAttest, with(`"evidence":[{}` + strings.Repeat(`,{}`, 10) + `]`), 400, "malformed"},
		{"evidence that is text", attestapi.PathAttest, with(`"evidence":["x"]`), 400, "malformed"},
		{"calls that are text", attestapi.PathAttest, with(`"stats":{"calls-get-pins":"1"}`), 400, "malformed"},
		{"negative calls", attestapi.PathAttest, with(`"stats":{"calls-get-pins":-1}`), 400, "malformed"},
		{"pay that is no hash", attestapi.PathAttest, with(`"pay":"AAAA"`), 400, "malformed"},
		{"pay with a line break", attestapi.PathAttest, with(`"pay":"tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=\n"`), 400, "malformed"},
		{"pay in another alphabet", attestapi.PathAttest, with(`"pay":"tih-xRFV8PMsDhKthuFdvqWtQpKdT-K8X5W3258EJnU="`), 400, "malformed"},
		{"an account that is not there", attestapi.PathAttest, `{"v":1,"account":"nobody","did":"` + deviceA + `"}`, 403, "account_unknown"},
		{"a body that is too long", attestapi.PathAttest, with(`"x":"` + strings.Repeat("x", attestapi.MaxRequest) + `"`), 413, "too_large"},

		{"a challenge without an account", attestapi.PathChallenge, `{"did":"` + deviceA + `"}`, 400, "malformed"},
		{"a challenge without a device", attestapi.PathChallenge, `{"account":"acme"}`, 400, "malformed"},
		{"a challenge for no account", attestapi.PathChallenge, `{"account":"nobody","did":"` + deviceA + `"}`, 403, "account_unknown"},
		{"a configuration without an account", attestapi.PathConfig, `{}`, 400, "malformed"},
		{"a configuration for no account", attestapi.PathConfig, `{"account":"nobody"}`, 403, "account_unknown"},
		{"a configuration for a device that is none", attestapi.PathConfig, `{"account":"acme","did":"x"}`, 400, "malformed"},
		{"another path", "/v1/attestation", valid, 404, "not_found"},
		{"the path with a slash", attestapi.PathAttest + "/", valid, 404, "not_found"},
	} {
		w := r.ask(http.MethodPost, row.path, []byte(row.body), nil)
		if w.Code != row.status {
			t.Errorf("%s: got %d %s, want %d", row.name, w.Code, w.Body, row.status)
			continue
		}
		if p := problem(t, row.name, row.status, w.Header(), w.Body.Bytes()); p.Code != row.code {
			t.Errorf("%s: got code %s, want %s", row.name, p.Code, row.code)
		}
	}
	if w := r.ask(http.MethodPost, attestapi.PathAttest, []byte(valid), nil); w.Code != 200 {
		t.Errorf("the least attestation: got %d, want 200", w.Code)
	}
	if w := r.ask(http.MethodPost, attestapi.PathAttest, []byte(with(`"later":{"a":[1,null]}`)), nil); w.Code != 200 {
		t.Errorf("a member of a later version: got %d, want 200", w.Code)
	}
	if got := r.store.asked(); got != 0 {
		t.Errorf("got %d nonces that reached the store, want none: none was any good", got)
	}
}

func manyMembers(n int) string {
	var all []string
	for i := range n {
		all = append(all, `"x`+strings.Repeat("y", i)+`":0`)
	}
	return strings.Join(all, ",")
}

func TestRequestsOfTheWrongForm(t *testing.T) {
	r := newRig(t, nil)
	for _, row := range []struct {
		name, method, path string
		change             func(*http.Request)
		status             int
	}{
		{"GET of an attestation", "GET", attestapi.PathAttest, nil, 405},
		{"PUT of an attestation", "PUT", attestapi.PathAttest, nil, 405},
		{"POST of the health", "POST", attestapi.PathHealth, nil, 405},
		{"no content type", "POST", attestapi.PathAttest, func(q *http.Request) { q.Header.Del("Content-Type") }, 415},
		{"a form", "POST", attestapi.PathAttest, func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		{"a content type with a parameter", "POST", attestapi.PathChallenge, func(q *http.Request) { q.Header.Set("Content-Type", "application/json; charset=utf-8") }, 200},
		{"a MAC that is too long", "POST", attestapi.PathAttest, func(q *http.Request) { q.Header.Set(attestapi.HeaderMAC, strings.Repeat("x", 1000)) }, 400},
		{"a length that is too great", "POST", attestapi.PathAttest, func(q *http.Request) { q.ContentLength = 1 << 30 }, 413},
		{"a body that breaks off", "POST", attestapi.PathAttest, func(q *http.Request) { q.Body = broken{} }, 400},
	} {
		w := r.ask(row.method, row.path, []byte(`{"account":"acme","did":"`+deviceA+`"}`), row.change)
		if w.Code != row.status {
			t.Errorf("%s: got %d %s, want %d", row.name, w.Code, w.Body, row.status)
		}
	}
}

type broken struct{ failing }

func (broken) Close() error { return nil }

func TestWithoutEvidence(t *testing.T) {
	for _, row := range []struct{ name, body, want string }{
		{"in the middle", `{"v":1,"evidence":[{"type":"x"}],"stats":{}}`, `{"v":1,"stats":{}}`},
		{"at the end", `{"v":1,"evidence":[]}`, `{"v":1}`},
		{"at the beginning", `{"evidence":[],"v":1}`, `{"v":1}`},
		{"alone", `{"evidence":[]}`, `{}`},
		{"not there", `{"v":1}`, `{"v":1}`},
		{"with spaces", "{ \"v\" : 1 ,\n \"evidence\" : [ ] , \"x\" : \"evidence\" }", "{ \"v\" : 1  , \"x\" : \"evidence\" }"},
		{"behind texts that look like it", `{"a":"\",\"evidence\":[],","b\\":",","evidence":[1]}`, `{"a":"\",\"evidence\":[],","b\\":","}`},
		{"spelt with an escape", `{"a":1,"\u0065vidence":[1]}`, `{"a":1}`},
		{"in another member", `{"a":{"evidence":[1]}}`, `{"a":{"evidence":[1]}}`},
	} {
		if got := string(withoutEvidence([]byte(row.body))); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// Whoever writes requests with encoding/json and adds evidence afterwards has made it about the same bytes.
func TestWithoutEvidenceIsWhatAnSDKHashes(t *testing.T) {
	q := attestapi.AttestRequest{Version: 1, Account: "acme", DeviceID: deviceA, Flags: []string{"rooted"}, Pay: "x", Calls: attestapi.Calls{"a": 1}}
	want, _ := json.Marshal(q)
	q.Evidence = []attestapi.Evidence{{Type: "<&>", Data: "AAAA"}}
	full, _ := json.Marshal(q)
	if got := withoutEvidence(full); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzDecodeAttest holds that what is accepted is what encoding/json reads, and that what evidence is about is an
// object without evidence.
func FuzzDecodeAttest(f *testing.F) {
	q := attestapi.AttestRequest{
		Version: 1, Account: "acme", Nonce: "n", DeviceID: deviceA, ConfigVersion: 3, Flags: []string{"rooted"}, Calls: attestapi.Calls{"result-success": 2},
		Evidence: []attestapi.Evidence{{Type: "x", Data: "AAAA"}}, Pay: "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=",
	}
	body, _ := json.Marshal(q)
	f.Add(body)
	f.Add([]byte(`{"v":1,"account":"acme","did":"` + deviceA + `","flags":null,"stats":null,"evidence":null}`))
	f.Add([]byte(`{"v":1,"Account":"x","account":"acme","did":"` + deviceA + `"}`))
	f.Add([]byte(`{"evidence":[] , "v":1,"account":"\u0061","did":"` + deviceA + `","app":{"pkg":"x","pkg":"y"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeAttest(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("got %s accepted, want only JSON", body)
		}
		if !foldsOnce(body) {
			return // encoding/json takes names in any letter case
		}
		var want attestapi.AttestRequest
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("got %s accepted, which encoding/json refuses: %v", body, err)
		}
		normal(&got)
		normal(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
		stripped := withoutEvidence(body)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(stripped, &members); err != nil || members["evidence"] != nil {
			t.Errorf("%s: got %s, want an object without evidence, %v", body, stripped, err)
		}
	})
}

// normal makes nothing of empty lists, which mean the same as none.
func normal(q *attestapi.AttestRequest) {
	if len(q.Flags) == 0 {
		q.Flags = nil
	}
	if len(q.Evidence) == 0 {
		q.Evidence = nil
	}
	if len(q.Calls) == 0 {
		q.Calls = nil
	}
}

// foldsOnce reports whether all names in the body, at any depth, are in lower case, so that encoding/json finds the
// same members as we do.
func foldsOnce(body []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return true
		}
		if text, ok := token.(string); ok && text != strings.ToLower(text) && len(text) < 30 && !strings.HasSuffix(text, "=") {
			return false
		} else if ok && strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
			return false
		}
	}
}
