//go:build linux

package reliability

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
)

// journal keeps the lines that a process writes.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) keep(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		j.add(scanner.Text())
	}
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// find is the first line that holds a text, or "".
func (j *journal) find(part string) string {
	line, _ := j.since(0, part)
	return line
}

// since is the first line from a place on that holds a text, or "", and the place behind it.
func (j *journal) since(place int, part string) (line string, next int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, line := range j.lines[place:] {
		if strings.Contains(line, part) {
			return line, place + i + 1
		}
	}
	return "", len(j.lines)
}

// place is behind the last line.
func (j *journal) place() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// count is how many lines hold a text.
func (j *journal) count(part string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, line := range j.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (j *journal) tail(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines[max(0, len(j.lines)-n):], "\n")
}

// whole demands that every line is a line: none was cut, or glued to another.
func (j *journal) whole(t *testing.T) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, line := range j.lines {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %d of the log: %v\n%s", i+1, err, line[:min(len(line), 300)])
		}
	}
}
