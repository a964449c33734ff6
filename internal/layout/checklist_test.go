package layout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// statements is how many statements of the manual there are.
const statements = 216

// docs/checklist.md has every statement of the manual, and what it names as a proof is there.
func TestTheChecklistIsWhole(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/checklist.md"))
	if err != nil {
		t.Fatal(err)
	}
	proofs := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (R\d+) \| [^|]+ \| ([^|]*) \|$`).FindAllStringSubmatch(string(text), -1) {
		if _, twice := proofs[row[1]]; twice {
			t.Errorf("%s is there twice", row[1])
		}
		proofs[row[1]] = row[2]
	}
	tests := testNames(t)
	for i := 1; i <= statements; i++ {
		name := fmt.Sprintf("R%d", i)
		proof := proofs[name]
		if strings.TrimSpace(proof) == "" {
			t.Errorf("%s: got no proof and no reason", name)
		}
		for _, quoted := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(proof, -1) {
			if !tests[quoted[1]] {
				t.Errorf("%s: there is no %s", name, quoted[1])
			}
		}
		if _, scripts, found := strings.Cut(proof, "script "); found {
			for _, quoted := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(scripts, -1) {
				if _, err := os.Stat(filepath.Join(root, "cmd/approov/testdata/scripts", quoted[1]+".txtar")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if len(proofs) != statements {
		t.Errorf("got %d statements, want %d", len(proofs), statements)
	}
}

// testNames are the names of all tests and fuzz targets.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	command := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*_test.go")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Skip("the names of tests are looked for in a clone, and this is none")
	}
	names := map[string]bool{}
	for _, file := range strings.Fields(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // deleted, and not yet committed
		}
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[match[1]] = true
		}
	}
	return names
}
