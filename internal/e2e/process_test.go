package e2e_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// memory is how many bytes of the process are resident (proc(5), VmRSS).
func (g *gate) memory(t *testing.T) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Pid))
	if err != nil {
		t.Errorf("the gate is gone: %v", err)
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Error(err)
			}
			return kilobytes << 10
		}
	}
	t.Errorf("got no VmRSS in\n%s", text)
	return 0
}

// files is how many descriptors the process has open.
func (g *gate) files(t *testing.T) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.process.Pid))
	if err != nil {
		t.Errorf("the gate is gone: %v", err)
	}
	return len(entries)
}

// metric is the value of a metric that has no labels.
func (g *gate) metric(name string) (int, error) {
	response, err := http.Get("http://" + g.status + "/metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("%s is not among the metrics", name)
}
