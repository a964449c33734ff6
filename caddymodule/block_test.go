package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers in testdata/adapt again, for review")

// Each file NAME.caddyfile has beside it NAME.json, what it means, or, if the name begins with bad, NAME.err.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfile")
	if err != nil || len(files) < 20 {
		t.Fatalf("got %d files (%v), want at least 20", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfile")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := adapt(t, string(text))
			answer := strings.TrimSuffix(file, ".caddyfile") + ".json"
			if strings.HasPrefix(name, "bad") {
				if err == nil {
					t.Fatalf("got %s, want an error", got)
				}
				answer = strings.TrimSuffix(file, ".caddyfile") + ".err"
				got = []byte(err.Error() + "\n")
			} else if err != nil {
				t.Fatal(err)
			} else {
				got = indented(t, got)
			}
			if *update {
				if err := os.WriteFile(answer, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(answer)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(string(got), "c2VjcmV0") {
				t.Error("got a secret shown")
			}
		})
	}
}

// indented is a configuration in the form that can be reviewed.
func indented(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "\t"); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}
