package tracing

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const patience = 30 * time.Second

// fake is a collector that takes OTLP over HTTP and keeps what it got.
type fake struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex // guards what follows

	statuses []int // of the first answers; then 200
	spans    []*tracepb.Span
	about    map[string]string // the resource of the last batch
	raw      []byte            // all bodies
	calls    int
}

func newFake(t *testing.T, statuses ...int) *fake {
	f := &fake{t: t, statuses: statuses}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if err != nil || r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		f.t.Errorf("collector: got %s %s of type %q (%v), want POST /v1/traces of protobuf", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	if len(f.statuses) > 0 {
		status := f.statuses[0]
		f.statuses = f.statuses[1:]
		if status != http.StatusOK {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "what a collector has to say")
			return
		}
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		f.t.Errorf("collector: got %v, want spans", err)
	}
	f.raw = append(f.raw, body...)
	for _, from := range data.GetResourceSpans() {
		f.about = texts(from.GetResource().GetAttributes())
		for _, scope := range from.GetScopeSpans() {
			f.spans = append(f.spans, scope.GetSpans()...)
		}
	}
}

// texts are attributes by name.
func texts(attributes []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		default:
			all[a.GetKey()] = "neither text nor number"
		}
	}
	return all
}

// failures collects what a tracer's owner is told.
type failures struct {
	mu  sync.Mutex // guards what follows
	all []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, err)
}

func (f *failures) list() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// newTracer returns a tracer to an endpoint and what its owner is told. Attempts follow each other at once.
func newTracer(t *testing.T, endpoint string, sample float64) (*Tracer, *failures) {
	t.Helper()
	told := new(failures)
	tracer, err := New(t.Context(), Config{Endpoint: endpoint, Sample: sample, Service: "approovgate", Version: "v1.2.3", Failed: told.add})
	if err != nil {
		t.Fatal(err)
	}
	tracer.collector.pause = time.Nanosecond
	return tracer, told
}

// finish delivers what a tracer has and ends it.
func finish(t *testing.T, tracer *Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tracer.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

// request is one as a server gets it.
func request(method, target string, header map[string]string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = "203.0.113.77:4711"
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return r
}

// serve makes the span of a request that was forwarded and answered with 200.
func serve(tracer *Tracer, r *http.Request) {
	span := tracer.Start(r)
	span.Decision(Decision{Verdict: "pass", Reason: "ok", Action: "forward", Mode: "enforce", Route: "accounts"})
	span.Upstream(http.StatusOK, "")
	span.End(http.StatusOK)
}

func hexed(id []byte) string { return hex.EncodeToString(id) }

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
