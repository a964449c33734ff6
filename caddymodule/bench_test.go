package caddymodule

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/logline"
	"github.com/approovgate/approovgate/internal/porttest"
)

// BenchmarkHandler is what the handler adds to a request on its way through Caddy.
func BenchmarkHandler(b *testing.B) {
	b.Setenv("APPROOV_SECRET", secretText)
	address := porttest.Free(b)
	policy := tree{"keys": []any{tree{"name": "account", "alg": "HS256", "secret": "env:APPROOV_SECRET"}}}
	if err := load(quiet(address, tree{"handle": []any{tree{"handler": "approov", "policy": policy}}})); err != nil {
		b.Fatal(err)
	}
	defer stopAndForget()
	h := &Handler{log: requestLog{DecisionLog: host.DecisionLog{Logger: slog.New(caddyLog{}), Sampler: logline.NewSampler(linesPerSecond)}}}
	lives.Range(func(_, value any) bool {
		h.gate = &use{live: value.(*live)}
		return false
	})
	genuine := token(b, nil)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	w := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/v1/shapes?page=1", nil)
	request.Header.Set("User-Agent", "okhttp/4.12.0")
	server := new(caddyhttp.Server)
	for _, with := range []bool{false, true} {
		name := "without"
		if with {
			name = "with"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request.Header["Approov-Token"] = []string{genuine}
				r := caddyhttp.PrepareRequest(request, caddy.NewReplacer(), w, server)
				if !with {
					continue
				}
				if err := h.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusOK {
					b.Fatal(w.Code, err)
				}
			}
		})
	}
}
