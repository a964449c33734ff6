package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestProgress walks through a piece of work, with a clock of its own.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	c := &console{stderr: &out, redraws: true, now: func() time.Time { return now }}
	tell, end := c.progress("measuring my_app.apk\x1b")
	for _, step := range []struct {
		name        string
		wait        time.Duration
		done, total int64
		want        string
	}{
		{"nothing at the beginning", 0, 0, 100, ""},
		{"nor within a second", 999 * time.Millisecond, 10, 100, ""},
		{"how far it is, without what could steer the terminal", time.Millisecond, 43, 100, "measuring my_app.apk\uFFFD  43%"},
		{"not more often than eyes follow", 99 * time.Millisecond, 44, 100, ""},
		{"the line is written over", time.Millisecond, 100, 100, "\r" + strings.Repeat(" ", 26) + "\rmeasuring my_app.apk\uFFFD  100%"},
		{"more than all is all", time.Second, 300, 100, "\r" + strings.Repeat(" ", 27) + "\rmeasuring my_app.apk\uFFFD  100%"},
		{"how much it is, when nobody knows of how much", time.Second, 5 << 20, 0, "\r" + strings.Repeat(" ", 27) + "\rmeasuring my_app.apk\uFFFD  5 MB"},
	} {
		now = now.Add(step.wait)
		out.Reset()
		tell(step.done, step.total)
		if got := out.String(); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
	out.Reset()
	end()
	end()
	if got, want := out.String(), "\r"+strings.Repeat(" ", 27)+"\r"; got != want {
		t.Errorf("at the end: got %q, want %q once", got, want)
	}
	if got := progressLine(strings.Repeat("ä", 200), 1, 2); len([]rune(got)) != progressWidth || !strings.HasSuffix(got, "ä  50%") {
		t.Errorf("a long name: got %q of %d columns, want %d", got, len([]rune(got)), progressWidth)
	}
}

func TestProgressOfShortWork(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	c := &console{stderr: &out, redraws: true, now: func() time.Time { return now }}
	tell, end := c.progress("measuring my_app.apk")
	tell(1, 2)
	now = now.Add(time.Hour)
	end()
	if out.Len() > 0 {
		t.Errorf("work of which little was told: got %q, want nothing", out.String())
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if redraws(write, env()) {
		t.Error("a pipe: got that it shows progress, want nothing on it")
	}
	if redraws(&bytes.Buffer{}, env()) {
		t.Error("a buffer: got that it shows progress, want nothing in it")
	}
	terminal, _ := openTerminal(t)
	for _, row := range []struct {
		name string
		env  []string
		want bool
	}{
		{"a terminal", []string{"TERM", "xterm"}, true},
		{"a terminal that does not say which", nil, true},
		{"a dumb terminal", []string{"TERM", "dumb"}, false},
		{"NO_COLOR", []string{"TERM", "xterm", "NO_COLOR", "1"}, false},
		{"an empty NO_COLOR, which is none", []string{"TERM", "xterm", "NO_COLOR", ""}, true},
	} {
		if got := redraws(terminal, env(row.env...)); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestProgressOnATerminal has the console as the program makes it write to a real terminal.
func TestProgressOnATerminal(t *testing.T) {
	terminal, other := openTerminal(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	c := newConsole(os.Stdin, &bytes.Buffer{}, terminal)
	now := time.Unix(0, 0)
	c.now = func() time.Time { return now }
	tell, end := c.progress("measuring")
	now = now.Add(2 * time.Second)
	tell(1, 2)
	end()
	want := "measuring  50%\r" + strings.Repeat(" ", 14) + "\r"
	got := make([]byte, len(want))
	for read := 0; read < len(got); {
		n, err := other.Read(got[read:])
		if err != nil {
			t.Fatalf("got %q and then %v, want %q", got[:read], err, want)
		}
		read += n
	}
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
