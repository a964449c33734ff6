package logline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// lostLine stands for the owner's own format.
func lostLine(n uint64) []byte { return fmt.Appendf(nil, "lost %d\n", n) }

// closeSoon ends a writer that is not blocked.
func closeSoon(t *testing.T, w *Writer) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := w.Close(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Close waited for all of %v", patience)
	}
	return err
}

// scripted is a file whose writes do what steps say: each takes so many bytes and then fails. After the
// last step everything succeeds.
type scripted struct {
	mu    sync.Mutex // guards what follows
	steps []step
	got   bytes.Buffer
	calls int
	after chan struct{} // one value for each write
}

type step struct {
	takes int
	err   error
}

func newScripted(steps ...step) *scripted {
	return &scripted{steps: steps, after: make(chan struct{}, 1<<16)}
}

func (s *scripted) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.after <- struct{}{} }()
	s.calls++
	if len(s.steps) == 0 {
		return s.got.Write(p)
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	n := min(next.takes, len(p))
	s.got.Write(p[:n])
	return n, next.err
}

func (s *scripted) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// wait returns after n more writes.
func (s *scripted) wait(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-s.after:
		case <-deadline:
			t.Fatalf("got fewer writes than %d, want them within %v", n, patience)
		}
	}
}

func TestLinesOfManyWritersArriveWholeAndInOrder(t *testing.T) {
	const writers, each = 8, 500
	out := newScripted()
	w := New(out, lostLine)
	var all sync.WaitGroup
	for number := range writers {
		all.Go(func() {
			for i := range each {
				fmt.Fprintf(w, "writer %d line %d\n", number, i)
			}
		})
	}
	all.Wait()
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
	next := make([]int, writers)
	for line := range strings.Lines(out.text()) {
		var number, i int
		if _, err := fmt.Sscanf(line, "writer %d line %d\n", &number, &i); err != nil || i != next[number] {
			t.Fatalf("got %q (%v), want line %d of writer %d", line, err, next[number], number)
		}
		next[number]++
	}
	for number, n := range next {
		if n != each {
			t.Errorf("writer %d: got %d lines, want %d", number, n, each)
		}
	}
}

func TestALineIsVisibleWithoutAnother(t *testing.T) {
	out := newScripted()
	w := New(out, lostLine)
	for i := range 5 {
		fmt.Fprintf(w, "line %d\n", i)
		out.wait(t, 1)
		if got, want := out.text(), fmt.Sprintf("line %d\n", i); !strings.HasSuffix(got, want) {
			t.Fatalf("got %q, want %q at its end", got, want)
		}
	}
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
}

// gated is a file whose writes wait until it is opened.
type gated struct {
	*scripted
	entered, open chan struct{}
}

func (g gated) Write(p []byte) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	return g.scripted.Write(p)
}

func TestLinesThatWaitAreWrittenTogether(t *testing.T) {
	out := gated{newScripted(), make(chan struct{}, 1), make(chan struct{})}
	w := New(out, lostLine)
	const lines = 1000
	for i := range lines {
		fmt.Fprintln(w, i)
		if i == 0 {
			<-out.entered
		}
	}
	close(out.open)
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
	if out.calls != 2 {
		t.Errorf("%d lines: got %d writes, want 2", lines, out.calls)
	}
}

func TestALineWithoutNewlineGetsOneAndAnEmptyLineIsNone(t *testing.T) {
	out := newScripted()
	w := New(out, lostLine)
	for _, line := range []string{"one", "", "two\n", "three"} {
		if n, err := io.WriteString(w, line); n != len(line) || err != nil {
			t.Errorf("%q: got %d, %v, want %d, nil", line, n, err, len(line))
		}
	}
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
	if got, want := out.text(), "one\ntwo\nthree\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALineLongerThanTheBufferIsDropped(t *testing.T) {
	longest := strings.Repeat("x", bufferBytes/2-1)
	for name, c := range map[string]struct{ line, want string }{
		"the longest":                           {longest + "\n", longest + "\n"},
		"the longest, without its newline":      {longest, longest + "\n"},
		"one byte too many":                     {longest + "x\n", "lost 1\n"},
		"a newline too many":                    {longest + "x", "lost 1\n"},
		"longer than both halves of the buffer": {strings.Repeat(longest, 3), "lost 1\n"},
	} {
		out := newScripted()
		w := New(out, lostLine)
		_, _ = io.WriteString(w, c.line)
		out.wait(t, 1) // told without any other line
		_, _ = io.WriteString(w, "next\n")
		if err := closeSoon(t, w); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := out.text(), c.want+"next\n"; got != want {
			t.Errorf("%s: got %d bytes ending in %q, want %d ending in %q", name, len(got), tail(got), len(want), tail(want))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-20):] }

func TestABlockedPipeDropsWholeLinesAndTellsHowMany(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	w := New(writer, lostLine)
	filler := strings.Repeat("x", 100)
	const lines = 3 * bufferBytes / 100
	for i := range lines { // a Write that waited for the pipe would wait for ever
		fmt.Fprintf(w, "%06d %s\n", i, filler)
	}
	dropped := w.Dropped()
	if dropped == 0 || dropped >= lines {
		t.Fatalf("got %d lines dropped of %d, want some", dropped, lines)
	}
	if err := reader.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(reader)
	for next := 0; next < lines; { // each line is there, or told as lost in its place
		var number, lost int
		line := scanner.Text()
		switch {
		case !scanner.Scan():
			t.Fatalf("got an end before line %d: %v", next, scanner.Err())
		case strings.HasPrefix(scanner.Text(), "lost "):
			_, _ = fmt.Sscanf(scanner.Text(), "lost %d", &lost)
			next += lost
			dropped -= uint64(lost)
		default:
			if _, err := fmt.Sscanf(scanner.Text(), "%06d "+filler, &number); err != nil || number != next || len(scanner.Text()) != 107 {
				t.Fatalf("got %q after %q, want line %d", scanner.Text(), line, next)
			}
			next++
		}
	}
	if dropped != 0 {
		t.Errorf("got %d more lines dropped than told, want 0", int64(dropped))
	}
	fmt.Fprintln(w, "later")
	if !scanner.Scan() || scanner.Text() != "later" {
		t.Errorf("got %q after the pipe was free again, want later", scanner.Text())
	}
	if err := closeSoon(t, w); err != nil {
		t.Error(err)
	}
}

func TestCloseDoesNotWaitForABlockedPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w := New(writer, lostLine)
	_, _ = w.Write(bytes.Repeat([]byte("x"), bufferBytes/4)) // more than a pipe holds
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	_, _ = io.WriteString(w, "too late\n")
	if got := w.Dropped(); got != 1 {
		t.Errorf("got %d lines dropped after Close, want 1", got)
	}
	reader.Close() // what the goroutine is blocked on
	if err := closeSoon(t, w); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("second Close: got %v, want %v", err, syscall.EPIPE)
	}
	writer.Close()
}

func TestAFullDiskIsCountedAndWritingGoesOnWhereItStopped(t *testing.T) {
	out := newScripted(step{3, syscall.ENOSPC}, step{0, syscall.ENOSPC}, step{4, nil})
	w := New(out, lostLine)
	_, _ = io.WriteString(w, "first\n")
	out.wait(t, 1)
	_, _ = io.WriteString(w, "second\n")
	out.wait(t, 3) // a failure, the rest of the first line, the second line
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
	if got, want := out.text(), "first\nsecond\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.Errors(); got != 2 {
		t.Errorf("got %d errors, want 2", got)
	}
	if got := w.Dropped(); got != 0 {
		t.Errorf("got %d lines dropped, want 0", got)
	}
}

func TestAShortWriteWithoutErrorIsOne(t *testing.T) {
	out := newScripted(step{2, nil})
	w := New(out, lostLine)
	_, _ = io.WriteString(w, "first\n")
	out.wait(t, 2)
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
	if got, want := out.text(), "first\n"; got != want || w.Errors() != 1 {
		t.Errorf("got %q and %d errors, want %q and 1", got, w.Errors(), want)
	}
}

func TestLinesGivenUpAtTheEndAreCountedAndNothingFollowsHalfALine(t *testing.T) {
	out := newScripted(step{3, syscall.ENOSPC}, step{0, syscall.ENOSPC})
	w := New(out, lostLine)
	_, _ = io.WriteString(w, "first\n")
	out.wait(t, 1)
	_, _ = io.WriteString(w, "second\n")
	if err := closeSoon(t, w); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	if got, want := out.text(), "fir"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.Dropped(); got != 2 {
		t.Errorf("got %d lines dropped, want 2", got)
	}
}

func TestTheDeviceThatIsAlwaysFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("this system has no /dev/full: %v", err)
	}
	defer full.Close()
	w := New(full, lostLine)
	const lines = 100
	for i := range lines {
		fmt.Fprintln(w, i)
	}
	if err := closeSoon(t, w); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	if w.Errors() == 0 || w.Dropped() != lines {
		t.Errorf("got %d errors and %d lines dropped, want some and %d", w.Errors(), w.Dropped(), lines)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	w := New(io.Discard, lostLine)
	line := []byte(strings.Repeat("x", 300) + "\n")
	if got := testing.AllocsPerRun(1000, func() { _, _ = w.Write(line) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
	if err := closeSoon(t, w); err != nil {
		t.Fatal(err)
	}
}
