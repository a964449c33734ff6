package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSpansTellTheDecision runs a gate with a collector: the trace context passes untouched, and the span has
// the decision and nothing secret.
func TestSpansTellTheDecision(t *testing.T) {
	batches := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // protobuf: its texts stand in it as they are
		batches <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{"routes": []any{map[string]any{"name": "shapes", "paths": []any{"/v1/**"}}}},
		func(p *Proxy) { p.Tree["tracing"] = map[string]any{"endpoint": collector.URL} })
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	token := validToken(t, nil)
	if got := gate.get("/v1/x?q=query-value", "Approov-Token: "+token, "traceparent: "+parent, "tracestate: a=b"); got.status != 200 {
		t.Fatalf("got %d, want 200", got.status)
	}
	gate.get("/v1/y", "Approov-Token: "+token+"x", "traceparent: "+parent)
	if got := upstream.last(t).Header; got.Get("Traceparent") != parent || got.Get("Tracestate") != "a=b" {
		t.Errorf("trace context: got %q %q, want it as it came", got.Get("Traceparent"), got.Get("Tracestate"))
	}
	if err := gate.stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-batches:
		for _, want := range []string{"/v1/traces ", "GET shapes", "/v1/x", "/v1/y", "signature_invalid", "approovgate.verdict"} {
			if !strings.Contains(got, want) {
				t.Errorf("spans: got none with %q, want it", want)
			}
		}
		for _, secret := range []string{"query-value", token[len(token)-20:], "127.0.0.1:", "dGVzdCBkZXZpY2U"} {
			if strings.Contains(strings.ReplaceAll(got, collector.URL, ""), secret) {
				t.Errorf("spans: got %q in them, want it absent", secret)
			}
		}
	case <-time.After(patience):
		t.Fatal("collector: got no spans, want two")
	}
}

// TestADeadCollectorHarmsNobody: requests are served, and it is told once.
func TestADeadCollectorHarmsNobody(t *testing.T) {
	gate := run(t, newUpstream(t, nil).URL, map[string]any{}, func(p *Proxy) { p.Tree["tracing"] = map[string]any{"endpoint": "http://127.0.0.1:1"} })
	for range 10 {
		if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 200 {
			t.Errorf("got %d, want 200", got.status)
		}
	}
	if err := gate.stop(); err != nil {
		t.Fatal(err)
	}
	if got := gate.log.lines("spans cannot be delivered"); len(got) != 1 {
		t.Errorf("log: got %d lines on the collector, want 1", len(got))
	}
}
