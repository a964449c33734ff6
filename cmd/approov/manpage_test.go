package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestManualPageIsCurrent holds that the page in deploy/man is the one that the tool prints.
func TestManualPageIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../deploy/man/approov.1")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != manualPage() {
		t.Error("got another page in deploy/man/approov.1 than approov man prints; want the same: go run ./cmd/approov man > deploy/man/approov.1")
	}
}

// TestManualPage has mandoc judge the page.
func TestManualPage(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("mandoc is not installed: apt-get install mandoc")
	}
	for _, row := range []struct {
		name string
		args []string
		want string // in what is printed; empty: nothing is printed
	}{
		{"lint finds nothing", []string{"-T", "lint"}, ""},
		{"it can be read", []string{"-T", "ascii"}, "approov registration [token] -add APP [-expireAfter 3d12h]"},
	} {
		cmd := exec.Command("mandoc", row.args...)
		cmd.Stdin = strings.NewReader(manualPage())
		out, err := cmd.CombinedOutput()
		plain := strings.Join(strings.Fields(overstrike(string(out))), " ")
		if err != nil || row.want == "" && plain != "" || !strings.Contains(plain, row.want) {
			t.Errorf("%s: got %v and %.3000s, want %q", row.name, err, plain, row.want)
		}
	}
}

// overstrike drops what a printing terminal makes bold and underlined letters with.
func overstrike(text string) string {
	var b []byte
	for _, c := range []byte(text) {
		if c == '\b' && len(b) > 0 {
			b = b[:len(b)-1]
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

func TestManText(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"sentences have lines", "One. Two", "One.\nTwo\n"},
		{"a period is no request", ".so /etc/passwd", "\\&.so /etc/passwd\n"},
		{"nor is an apostrophe", "'til", "\\&'til\n"},
		{"a backslash is one", `a\b`, "a\\eb\n"},
	} {
		if got := manText(row.text); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
