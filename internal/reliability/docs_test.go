package reliability

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheFiguresNameTheirTests holds that the page of figures names tests that there are, and all that there are.
func TestTheFiguresNameTheirTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(t `).FindAllStringSubmatch(string(text), -1) {
			tests = append(tests, match[1])
		}
	}
	named := map[string]bool{"TestTheFiguresNameTheirTests": true}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 6 || strings.Contains(line, "---") {
			continue
		}
		for _, match := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[len(cells)-2], -1) {
			found := false
			for _, test := range tests {
				if strings.Contains(test, match[1]) {
					found, named[test] = true, true
				}
			}
			if !found {
				t.Errorf("docs/reliability.md names %s, and there is no such test", match[1])
			}
		}
	}
	for _, test := range tests {
		if !named[test] {
			t.Errorf("docs/reliability.md has no figure of %s", test)
		}
	}
}
