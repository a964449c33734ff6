package caddymodule

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestEveryRefusalOfAFloodIsAccountedFor: the log of a configuration that ends has a line for each refusal, or counts it
// among those left out, also when the last count is due in the moment of the end.
func TestEveryRefusalOfAFloodIsAccountedFor(t *testing.T) {
	const flood = 3 * linesPerSecond
	s := newStorm(t, true, "127.0.0.1:1")
	path := filepath.Join(t.TempDir(), "log")
	config := s.config(good)
	config["logging"] = tree{"logs": tree{"default": tree{"writer": tree{"output": "file", "filename": path}, "encoder": tree{"format": "json"}}}}
	if err := load(config); err != nil {
		t.Fatal(err)
	}
	client := s.client(1)
	for range flood {
		if got := s.send(client, s.request("GET", "/", nil, "Approov-Token", "forged")); got.status != 401 {
			t.Fatalf("got %d, want 401", got.status)
		}
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, skipped := 0, 0
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		var told struct {
			Msg      string
			Requests int
		}
		if err := json.Unmarshal(line, &told); err != nil {
			t.Fatalf("got line %s: %v", line, err)
		}
		if told.Msg == "request rejected" {
			lines++
		}
		skipped += told.Requests
	}
	t.Logf("%d lines and %d left out", lines, skipped)
	if lines+skipped != flood || lines < linesPerSecond {
		t.Errorf("got %d lines and %d counted, want %d together, of which at least %d lines", lines, skipped, flood, linesPerSecond)
	}
}
