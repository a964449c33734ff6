package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/conformance"
)

// TestFilesAreUpToDate makes the corpus in memory and compares it with the files, byte for byte.
func TestFilesAreUpToDate(t *testing.T) {
	cases, err := all("../../../testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	const fix = "run: go run ./internal/conformance/generate"
	vectors := filepath.FromSlash("../../../testdata/vectors")
	made := map[string]bool{}
	for _, c := range cases {
		path := filepath.Join(vectors, filepath.FromSlash(c.File)+".txt")
		made[path] = true
		got, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("got %v, want the file of case %q; %s", err, c.Name, fix)
			continue
		}
		if want := conformance.Format(c); string(got) != want {
			t.Errorf("%s: got\n%s\nwant\n%s\n%s", path, got, want, fix)
		}
	}
	err = filepath.WalkDir(vectors, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".txt") && !made[path] {
			t.Errorf("%s: got a file without a case; %s", path, fix)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesAreRead holds that what is written is what will be run.
func TestFilesAreRead(t *testing.T) {
	cases, err := all("../../../testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		again, err := conformance.Parse(conformance.Format(c))
		if err != nil {
			t.Errorf("%s: %v", c.File, err)
			continue
		}
		if again.Request != c.Request {
			t.Errorf("%s: request: got %q, want %q", c.File, again.Request, c.Request)
		}
	}
}

// TestNotationIsExpanded holds that no $name is left in a policy.
func TestNotationIsExpanded(t *testing.T) {
	cases, err := all("../../../testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if strings.Contains(c.Policy, "$") {
			t.Errorf("%s: got a $name that stands for nothing in %s", c.File, c.Policy)
		}
	}
}
