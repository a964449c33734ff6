package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStartIsLittleWork bounds what happens before a command line does anything: verbs and their flags are tables, made
// anew each time, and nothing is read or asked. Time depends on the machine, allocations do not.
func TestStartIsLittleWork(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		most float64 // allocations
	}{
		{"version", []string{"version"}, 100},
		{"help", []string{"help"}, 300},
		{"a mistake", []string{"api", "-lst"}, 1000},
	} {
		got := testing.AllocsPerRun(10, func() {
			c := &console{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
			c.run(row.args)
		})
		if got > row.most {
			t.Errorf("%s: got %v allocations, want at most %v", row.name, got, row.most)
		}
		t.Logf("%s: %v allocations", row.name, got)
	}
}

// BenchmarkStart is the whole of a process, from exec to exit.
func BenchmarkStart(b *testing.B) {
	program := filepath.Join(b.TempDir(), "approov")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for _, verb := range []string{"version", "help"} {
		b.Run(verb, func(b *testing.B) {
			for b.Loop() {
				if err := exec.Command(program, verb).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
