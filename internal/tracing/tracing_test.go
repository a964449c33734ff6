package tracing

import (
	"bytes"
	"crypto/tls"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestASpanSaysWhatBecameOfARequest(t *testing.T) {
	passed := Decision{"pass", "ok", "forward", "enforce", "accounts"}
	for name, c := range map[string]struct {
		prepare  func(*http.Request)
		decision Decision
		upstream int
		failure  string
		status   int
		wantName string
		want     map[string]string // beside those of every request
		failed   bool
	}{
		"forwarded and answered": {nil, passed, 204, "", 204, "POST accounts", map[string]string{
			"approovgate.upstream.status_code": "204", "http.response.status_code": "204"}, false},
		"rejected": {nil, Decision{"fail", "token_missing", "reject", "enforce", ""}, 0, "", 401, "POST", map[string]string{
			"approovgate.verdict": "fail", "approovgate.reason": "token_missing", "approovgate.action": "reject", "approovgate.route": "",
			"http.response.status_code": "401"}, false},
		"the upstream did not answer in time": {nil, passed, 0, "timeout", 504, "POST accounts", map[string]string{
			"http.response.status_code": "504", "error.type": "timeout"}, true},
		"the upstream answered with a fault of its own": {nil, passed, 503, "", 503, "POST accounts", map[string]string{
			"approovgate.upstream.status_code": "503", "http.response.status_code": "503", "error.type": "503"}, true},
		"the client went away": {nil, passed, 0, "client gone", 0, "POST accounts", map[string]string{"error.type": "client gone"}, true},
		"over TLS and HTTP/2, with a port": {func(r *http.Request) {
			r.TLS, r.ProtoMajor, r.ProtoMinor, r.Host = new(tls.ConnectionState), 2, 0, "api.example:8443"
		}, passed, 0, "", 200, "POST accounts", map[string]string{"url.scheme": "https", "network.protocol.version": "2", "http.response.status_code": "200"}, false},
		"to an IPv6 address": {func(r *http.Request) { r.Host = "[2001:db8::1]:80" }, passed, 0, "", 200, "POST accounts", map[string]string{
			"server.address": "2001:db8::1", "http.response.status_code": "200"}, false},
		"with a method of its own": {func(r *http.Request) { r.Method = "BREW" }, passed, 0, "", 200, "_OTHER accounts", map[string]string{
			"http.request.method": "_OTHER", "http.response.status_code": "200"}, false},
		"with a very long path": {func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("a", 5000) }, passed, 0, "", 200, "POST accounts", map[string]string{
			"url.path": "/" + strings.Repeat("a", attributeBytes-1), "http.response.status_code": "200"}, false},
	} {
		collector := newFake(t)
		tracer, _ := newTracer(t, collector.URL, 1)
		r := request("POST", "http://api.example/accounts/7?token=hidden", nil)
		if c.prepare != nil {
			c.prepare(r)
		}
		span := tracer.Start(r)
		span.Decision(c.decision)
		span.Upstream(c.upstream, c.failure)
		span.End(c.status)
		finish(t, tracer)
		if len(collector.spans) != 1 {
			t.Errorf("%s: got %d spans, want 1", name, len(collector.spans))
			continue
		}
		want := map[string]string{"http.request.method": "POST", "url.scheme": "http", "url.path": "/accounts/7", "server.address": "api.example",
			"network.protocol.version": "1.1", "approovgate.verdict": "pass", "approovgate.reason": "ok", "approovgate.action": "forward",
			"approovgate.mode": "enforce", "approovgate.route": "accounts"}
		maps.Copy(want, c.want)
		s := collector.spans[0]
		if got := texts(s.GetAttributes()); !maps.Equal(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
		if s.GetName() != c.wantName || s.GetKind() != tracepb.Span_SPAN_KIND_SERVER || s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
			t.Errorf("%s: got name %q, kind %v, %d to %d, want %q, server, ascending", name, s.GetName(), s.GetKind(),
				s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano(), c.wantName)
		}
		if got := s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR; got != c.failed {
			t.Errorf("%s: got a failed span %v, want %v", name, got, c.failed)
		}
		for about, want := range map[string]string{"service.name": "approovgate", "service.version": "v1.2.3", "telemetry.sdk.language": "go"} {
			if got := collector.about[about]; got != want {
				t.Errorf("%s: %s: got %q, want %q", name, about, got, want)
			}
		}
	}
}

func TestASpanHoldsNothingThatMustStayHidden(t *testing.T) {
	collector := newFake(t)
	tracer, _ := newTracer(t, collector.URL, 1)
	r := request("GET", "http://user:password-4711@api.example/path?session=query-4711", map[string]string{
		"Approov-Token": "token-4711", "Authorization": "Bearer bound-4711", "Cookie": "cookie-4711", "User-Agent": "agent-4711",
		"Baggage": "key=baggage-4711", "X-Forwarded-For": "198.51.100.4",
	})
	r.Host = "user:password-4711@api.example"
	serve(tracer, r)
	finish(t, tracer)
	if len(collector.spans) != 1 {
		t.Fatalf("got %d spans, want 1", len(collector.spans))
	}
	if got := texts(collector.spans[0].GetAttributes())["url.path"]; got != "/path" {
		t.Errorf("got the path %q, want /path", got)
	}
	for _, hidden := range []string{"4711", "203.0.113.77", "198.51.100", "session", "user"} {
		if bytes.Contains(collector.raw, []byte(hidden)) {
			t.Errorf("the spans hold %q: %q", hidden, collector.raw)
		}
	}
}

func TestTheTraceContextDecidesAndOtherwiseTheShare(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		sample float64
		spans  int
		inside bool // of the client's trace
	}{
		"no trace, share 1":                      {nil, 1, 1, false},
		"no trace, share 0":                      {nil, 0, 0, false},
		"a sampled trace, share 0":               {map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01"}, 0, 1, true},
		"a trace that is not sampled, share 1":   {map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-00"}, 1, 0, false},
		"a broken trace, share 1":                {map[string]string{"Traceparent": "00-" + traceID + "-01"}, 1, 1, false},
		"a broken trace, share 0":                {map[string]string{"Traceparent": "ff-" + traceID + "-" + spanID + "-01"}, 0, 0, false},
		"a trace of zeros, share 1":              {map[string]string{"Traceparent": "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"}, 1, 1, false},
		"a sampled trace with a broken state":    {map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01", "Tracestate": "=,;\x80"}, 0, 1, true},
		"a state without a trace, share 0":       {map[string]string{"Tracestate": "vendor=1"}, 0, 0, false},
		"a sampled trace with a vendor's state":  {map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01", "Tracestate": "vendor=1"}, 0, 1, true},
		"a trace of the next version, share 0":   {map[string]string{"Traceparent": "01-" + traceID + "-" + spanID + "-01-more"}, 0, 1, true},
		"a trace in capitals is none, share 0":   {map[string]string{"Traceparent": "00-" + strings.ToUpper(traceID) + "-" + spanID + "-01"}, 0, 0, false},
		"an empty traceparent is none, share 0":  {map[string]string{"Traceparent": ""}, 0, 0, false},
		"a huge traceparent is none, share 0":    {map[string]string{"Traceparent": strings.Repeat("00-", 10000)}, 0, 0, false},
		"a huge tracestate is ignored, share 0 ": {map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01", "Tracestate": strings.Repeat("a=b,", 10000)}, 0, 1, true},
	} {
		collector := newFake(t)
		tracer, _ := newTracer(t, collector.URL, c.sample)
		r := request("GET", "/", c.header)
		before := r.Header.Clone()
		serve(tracer, r)
		finish(t, tracer)
		if !reflect.DeepEqual(r.Header, before) {
			t.Errorf("%s: got the header %v, want it unchanged: %v", name, r.Header, before)
		}
		if len(collector.spans) != c.spans {
			t.Errorf("%s: got %d spans, want %d", name, len(collector.spans), c.spans)
			continue
		}
		if c.spans == 0 {
			continue
		}
		s := collector.spans[0]
		if got := hexed(s.GetTraceId()) == traceID && hexed(s.GetParentSpanId()) == spanID; got != c.inside {
			t.Errorf("%s: got trace %s, parent %s; inside the client's trace is %v, want %v", name, hexed(s.GetTraceId()), hexed(s.GetParentSpanId()), got, c.inside)
		}
		if got, want := s.GetTraceState(), ""; c.header["Tracestate"] == "vendor=1" && got != "vendor=1" || c.header["Tracestate"] != "vendor=1" && got != want {
			t.Errorf("%s: got the trace state %q", name, got)
		}
	}
}

// One request must not spoil the spans of others that are in the same batch.
func TestARequestThatIsNotUTF8SpoilsNoBatch(t *testing.T) {
	collector := newFake(t)
	tracer, told := newTracer(t, collector.URL, 1)
	serve(tracer, request("GET", "/before", nil))
	hostile := request("GET", "/", map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01", "Tracestate": "a=\xff\xfe"})
	hostile.Method, hostile.Host, hostile.URL = "\xff", "\xff\xfehost", mustURL(t, "/%ff%fe\xff")
	serve(tracer, hostile)
	serve(tracer, request("GET", "/after", nil))
	finish(t, tracer)
	if len(collector.spans) != 3 || len(told.list()) != 0 {
		t.Fatalf("got %d spans, %v, want 3", len(collector.spans), told.list())
	}
	got := texts(collector.spans[1].GetAttributes())
	if got["server.address"] != "host" || got["url.path"] != "/%ff%fe%FF" && got["url.path"] != "/%FF%FE%FF" {
		t.Errorf("got %v, want the host without what is no UTF-8 and the path escaped", got)
	}
}

func TestWithoutAnEndpointThereIsNoTracerAndNoCost(t *testing.T) {
	tracer, err := New(t.Context(), Config{Sample: 1})
	if tracer != nil || err != nil {
		t.Fatalf("got %v, %v, want nothing", tracer, err)
	}
	r := request("GET", "/", map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01"})
	if got := testing.AllocsPerRun(100, func() { serve(tracer, r) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
	if tracer.Dropped() != 0 {
		t.Errorf("got %d dropped spans, want 0", tracer.Dropped())
	}
	finish(t, tracer)
}

func TestConfigurationProblems(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no scheme":        {Config{Endpoint: "127.0.0.1:4318"}, "the endpoint is not"},
		"gRPC's scheme":    {Config{Endpoint: "grpc://127.0.0.1:4317"}, "the endpoint is not of the form"},
		"no host":          {Config{Endpoint: "http:///v1"}, "the endpoint is not of the form"},
		"a password":       {Config{Endpoint: "http://me:secret@127.0.0.1:4318"}, "the endpoint has a user name"},
		"a broken escape":  {Config{Endpoint: "http://me:secret%zz@127.0.0.1:4318"}, "the endpoint is not a URL"},
		"a query":          {Config{Endpoint: "http://127.0.0.1:4318?key=secret"}, "the endpoint has a query"},
		"a fragment":       {Config{Endpoint: "http://127.0.0.1:4318#x"}, "the endpoint has a query or a fragment"},
		"a negative share": {Config{Endpoint: "http://127.0.0.1:4318", Sample: -0.1}, "sample is -0.1"},
		"a share above 1":  {Config{Endpoint: "http://127.0.0.1:4318", Sample: 1.1}, "sample is 1.1"},
		"no number":        {Config{Endpoint: "http://127.0.0.1:4318", Sample: math.NaN()}, "sample is NaN"},
	} {
		tracer, err := New(t.Context(), c.config)
		if tracer != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, %v, want an error with %q", name, tracer, err, c.want)
		}
	}
}

func TestTheEndpointIsABaseThatMayHaveAPath(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4318":       "http://127.0.0.1:4318/v1/traces",
		"http://127.0.0.1:4318/":      "http://127.0.0.1:4318/v1/traces",
		"https://collector/otlp":      "https://collector/otlp/v1/traces",
		"https://collector/otlp/a%2F": "https://collector/otlp/a%2F/v1/traces",
	} {
		if got, err := tracesURL(endpoint); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", endpoint, got, err, want)
		}
	}
}
