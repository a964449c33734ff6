package caddymodule

import (
	"os"
	"strings"
	"testing"
)

// Every Caddyfile in the documents must mean what they say, as far as Caddy can tell.
func TestCaddyfilesInTheDocuments(t *testing.T) {
	found := 0
	for _, file := range []string{"../README.md", "../docs/caddy.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "```caddyfile\n")[1:] {
			caddyfile, _, _ := strings.Cut(block, "```")
			found++
			if _, err := adapt(t, caddyfile); err != nil {
				t.Errorf("%s: got error %v for\n%s", file, err, caddyfile)
			}
		}
	}
	if found < 4 {
		t.Errorf("got %d Caddyfiles, want at least 4", found)
	}
}
