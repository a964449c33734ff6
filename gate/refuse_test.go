package gate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// refused are requests that are rejected, each for a reason of its own.
func refused(t *testing.T) map[engine.Reason]*http.Request {
	t.Helper()
	expired, denied, forged := claims(), claims(), claims()
	expired["exp"] = noon.Unix()
	denied["iss"] = "denied"
	target := genuine(t, "/")
	target.RequestURI = "/a\\b"
	return map[engine.Reason]*http.Request{
		engine.TokenMissing:     incoming("GET", "/"),
		engine.TokenStatus:      incoming("GET", "/", "Approov-Token", "NO_NETWORK"),
		engine.TokenMalformed:   incoming("GET", "/", "Approov-Token", "x"),
		engine.SignatureInvalid: incoming("GET", "/", "Approov-Token", sign(t, "nobody", forged)),
		engine.TokenExpired:     incoming("GET", "/", "Approov-Token", sign(t, "account", expired)),
		engine.BindingMismatch:  incoming("GET", "/", "Approov-Token", sign(t, "account", claims()), "Authorization", "x"),
		engine.ClaimDenied:      incoming("GET", "/", "Approov-Token", sign(t, "account", denied), "Authorization", bearer),
		engine.TargetRefused:    target,
	}
}

var refusing = tree{"binding": tree{"from": "header:Authorization"}, "deny_issuers": "denied"}

// answer asks a gate and lets it refuse.
func answer(t *testing.T, g *gate.Gate, r *http.Request) (*httptest.ResponseRecorder, gate.Answer) {
	t.Helper()
	a := g.Ask(r)
	if a.Action == engine.Forward {
		t.Fatalf("%s %s: got forward, want reject", r.Method, r.RequestURI)
	}
	w := httptest.NewRecorder()
	a.Refuse(w, r)
	return w, a
}

func TestEveryRefusalLooksTheSame(t *testing.T) {
	g := openGate(t, refusing)
	for reason, r := range refused(t) {
		w, a := answer(t, g, r)
		status, challenge := http.StatusUnauthorized, "Approov"
		if reason == engine.TargetRefused {
			status, challenge = http.StatusBadRequest, ""
		}
		if a.Reason != reason || w.Code != status {
			t.Errorf("got %s with status %d, want %s with %d", a.Reason, w.Code, reason, status)
		}
		if got := w.Body.String(); got != `{"error":"unauthorized"}` {
			t.Errorf("%s: got body %s, want the constant one", reason, got)
		}
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" || h.Get("WWW-Authenticate") != challenge || len(h) > 3 {
			t.Errorf("%s: got headers %v, want no-store, JSON and challenge %q alone", reason, h, challenge)
		}
	}
}

func TestRefusalsAsThePolicyWords(t *testing.T) {
	for _, row := range []struct {
		name                  string
		respond               tree
		method                string
		status                int
		body, contentType     string
		challenge, allow, arc string
	}{
		{"the policy's own", tree{"status": 403, "body": "no", "content_type": "text/plain"}, "GET", 403, "no", "text/plain", "", "", ""},
		{"no body", tree{"body": ""}, "GET", 401, "", "", "Approov", "", ""},
		{"HEAD has no body", tree{}, "HEAD", 401, "", "application/json", "Approov", "", ""},
		{"CONNECT is not allowed", tree{}, "CONNECT", 405, `{"error":"unauthorized"}`, "application/json", "", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", ""},
	} {
		g := openGate(t, tree{"respond": row.respond})
		w, _ := answer(t, g, incoming(row.method, "/"))
		h := w.Header()
		if w.Code != row.status || w.Body.String() != row.body || h.Get("Content-Type") != row.contentType || h.Get("WWW-Authenticate") != row.challenge ||
			h.Get("Allow") != row.allow || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q %v, want %d %q of type %q with challenge %q", row.name, w.Code, w.Body, h, row.status, row.body, row.contentType, row.challenge)
		}
	}
}

func TestDetailsTellTheReasonAndTheCode(t *testing.T) {
	policy := with(refusing)
	policy["respond"] = tree{"details": true}
	g := openGate(t, policy)
	for reason, r := range refused(t) {
		w, a := answer(t, g, r)
		var told map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
			t.Fatalf("%s: got body %q, want JSON: %v", reason, w.Body, err)
		}
		if told["reason"] != string(reason) || told["message"] != reason.Text() || told["error"] != "unauthorized" {
			t.Errorf("%s: got %v, want its reason and message", reason, told)
		}
		if want := a.Claims.ARC; told["arc"] != want || (reason == engine.TokenExpired) != (want != "") && reason != engine.BindingMismatch && reason != engine.ClaimDenied {
			t.Errorf("%s: got arc %q, want that of a verified token: %q", reason, told["arc"], want)
		}
	}
}

func TestARefusalLeaksNothingOfTheRequest(t *testing.T) {
	g := openGate(t, tree{"respond": tree{"details": true}})
	r := incoming("GET", "/a?session=SECRET-QUERY", "Approov-Token", "SECRET-TOKEN", "Authorization", "SECRET-BOUND")
	w, _ := answer(t, g, r)
	wantAbsent(t, "the refusal", w.Body.String(), "SECRET")
}
