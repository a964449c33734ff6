package gate_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/approovgate/approovgate/gate"
)

func TestGRPCCallsAreToldApart(t *testing.T) {
	for _, row := range []struct {
		name, method string
		types        []string
		want         string // content type of the answer; empty: no gRPC call
	}{
		{"a call", "POST", []string{"application/grpc"}, "application/grpc"},
		{"a call with protocol buffers", "POST", []string{"application/grpc+proto"}, "application/grpc"},
		{"a call with JSON", "POST", []string{"application/grpc+json"}, "application/grpc"},
		{"a call with a parameter", "POST", []string{"application/grpc;charset=utf-8"}, "application/grpc"},
		{"gRPC-Web", "POST", []string{"application/grpc-web"}, "application/grpc-web+proto"},
		{"gRPC-Web with protocol buffers", "POST", []string{"application/grpc-web+proto"}, "application/grpc-web+proto"},
		{"gRPC-Web as text", "POST", []string{"application/grpc-web-text"}, "application/grpc-web-text+proto"},
		{"gRPC-Web as text with protocol buffers", "POST", []string{"application/grpc-web-text+proto"}, "application/grpc-web-text+proto"},
		{"GET is no call", "GET", []string{"application/grpc"}, ""},
		{"PUT is no call", "PUT", []string{"application/grpc"}, ""},
		{"OPTIONS, as a browser asks before gRPC-Web, is no call", "OPTIONS", []string{"application/grpc-web"}, ""},
		{"no content type", "POST", nil, ""},
		{"two content types", "POST", []string{"application/grpc", "application/grpc"}, ""},
		{"JSON", "POST", []string{"application/json"}, ""},
		{"JSON that mentions gRPC", "POST", []string{"application/json; x=application/grpc"}, ""},
		{"a type that only begins alike", "POST", []string{"application/grpcx"}, ""},
		{"a type that only begins like gRPC-Web", "POST", []string{"application/grpc-webinar"}, ""},
		{"a type that only begins like gRPC-Web as text", "POST", []string{"application/grpc-web-textile"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "/pkg.Service/Method", nil)
			r.Header["Content-Type"] = row.types
			w := httptest.NewRecorder()
			took := gate.AnswerGRPC(w, r, http.StatusUnauthorized, "unauthorized")
			if took != (row.want != "") {
				t.Fatalf("answered: got %v, want %v", took, !took)
			}
			if !took {
				if len(w.Header()) > 0 || w.Body.Len() > 0 {
					t.Errorf("got %v %q, want nothing written", w.Header(), w.Body)
				}
				return
			}
			h := w.Result().Header
			if w.Code != 200 || w.Body.Len() > 0 || h.Get("Content-Type") != row.want || h.Get("Grpc-Status") != "16" || h.Get("Grpc-Message") != "unauthorized" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v %q, want 200 with %s, grpc-status 16 and no body, never stored", w.Code, h, w.Body, row.want)
			}
		})
	}
}

func TestGRPCStatuses(t *testing.T) {
	for status, want := range map[int]string{400: "13", 401: "16", 403: "7", 404: "12", 429: "14", 502: "14", 503: "14", 504: "14",
		405: "2", 408: "2", 418: "2", 500: "2"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", "application/grpc")
		w := httptest.NewRecorder()
		gate.AnswerGRPC(w, r, status, "x")
		if got := w.Result().Header.Get("Grpc-Status"); got != want {
			t.Errorf("HTTP %d: got grpc-status %s, want %s", status, got, want)
		}
	}
}

// TestGRPCRefusalsSayNoMoreThanOthers refuses calls for every reason: without details the client cannot tell
// one from another, with details it is told the reason's word.
func TestGRPCRefusalsSayNoMoreThanOthers(t *testing.T) {
	for _, row := range []struct {
		name   string
		policy tree
		status string
		words  bool
	}{
		{"by default", tree{}, "16", false},
		{"with details", tree{"respond": tree{"details": true}}, "16", true},
		{"with a body of its own, which gRPC has no place for", tree{"respond": tree{"body": "go away", "content_type": "text/plain"}}, "16", false},
		{"with status 403", tree{"respond": tree{"status": 403}}, "7", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			policy := tree{}
			for _, part := range []tree{refusing, row.policy} {
				for key, value := range part {
					policy[key] = value
				}
			}
			g := openGate(t, policy)
			for reason, r := range refused(t) {
				status := row.status
				if reason.Status(401) == 400 {
					status = "13"
				}
				r.Method = "POST"
				r.Header.Set("Content-Type", "application/grpc+proto")
				w, _ := answer(t, g, r)
				h := w.Result().Header
				message := "unauthorized"
				if row.words {
					message = string(reason)
				}
				if w.Code != 200 || w.Body.Len() > 0 || h.Get("Grpc-Status") != status || h.Get("Grpc-Message") != message || h.Get("Www-Authenticate") != "" {
					t.Errorf("%s: got %d %v %q, want 200 with grpc-status %s, %s and no body", reason, w.Code, h, w.Body, status, message)
				}
			}
		})
	}
}
