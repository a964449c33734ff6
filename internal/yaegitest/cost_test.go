//go:build unix

package yaegitest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/approovgate/approovgate/internal/liveask"
	"github.com/approovgate/approovgate/mint"
)

// BenchmarkLiveControl tells what control in force costs a request, and what Due costs, interpreted and compiled.
func BenchmarkLiveControl(b *testing.B) {
	i := interpreter(b, livePackage)
	repeat, ok := symbol(b, i, "Repeat").(func(gate, what, request string, n int) bool)
	if !ok {
		b.Fatalf("Repeat: got %T", symbol(b, i, "Repeat"))
	}
	for _, side := range []struct {
		name   string
		do     func(string) string
		repeat func(gate, what, request string, n int) bool
	}{{"interpreted", liveDriver(b, i).Do, repeat}, {"compiled", liveask.Do, liveask.Repeat}} {
		for _, row := range []struct {
			name, what string
			control    []string // a document for each slot
		}{
			{"nothing", "nothing", nil},
			{"due", "due", nil},
			{"ask", "ask", nil},
			{"ask with a cache", "ask", nil},
			{"ask under an override", "ask", []string{`{"version": 1, "mode": "log", "until": "2030-01-31T13:00:00Z"}`}},
			{"ask under two", "ask", []string{`{"version": 1, "routes": {"pay": "log"}, "until": "2030-01-31T13:00:00Z"}`, `{"version": 1, "mode": "log", "until": "2030-01-31T13:00:00Z"}`}},
			{"ask under one that has ended", "ask", []string{`{"version": 1, "mode": "bypass", "until": "2030-01-31T11:59:59Z"}`}},
		} {
			b.Run(side.name+" "+row.name, func(b *testing.B) {
				request := costGate(b, side.do, row.control, strings.Contains(row.name, "cache"))
				b.ReportAllocs()
				before := processorTime(b)
				b.ResetTimer()
				if !side.repeat("cost", row.what, request, b.N) {
					b.Error("got a genuine request refused")
				}
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// processorTime is what the process has used of the processors, in nanoseconds. Other load on the machine hardly
// touches it.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// costGate makes the gate "cost" and returns a genuine request.
func costGate(b *testing.B, do func(string) string, control []string, cache bool) string {
	b.Helper()
	const noon = 1896091200 // 2030-01-31T12:00:00Z
	secret := []byte("TEST KEY, never use: 64 bytes of a secret to measure requests of")
	token, err := mint.Sign("HS256", "", secret, map[string]any{"exp": noon + 300, "did": "device"})
	if err != nil {
		b.Fatal(err)
	}
	send := func(command string) {
		b.Helper()
		if answer := do(command); strings.Contains(answer, `"error"`) || strings.Contains(answer, `"made":false`) {
			b.Fatalf("got %s", answer)
		}
	}
	key, err := json.Marshal("inline:" + base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		b.Fatal(err)
	}
	send(fmt.Sprintf(`{"do": "make", "gate": "cost", "now": "2030-01-31T12:00:00Z", "cache": %v, "policy": {"keys": [{"name": "k", "alg": "HS256", "secret": %s}],
		"routes": [{"name": "pay", "paths": "/pay"}]}}`, cache, key))
	for slot, document := range control {
		send(fmt.Sprintf(`{"do": "set control", "gate": "cost", "slot": %d, "control": %s}`, slot, document))
	}
	return "GET /pay HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: " + token + "\r\n\r\n"
}
