package logline

import (
	"io"
	"os"
	"strings"
	"testing"
)

var benchLine = []byte(strings.Repeat("x", 499) + "\n")

// pipeReadBy is the writing end of a pipe whose lines a goroutine throws away, as a log collector would.
func pipeReadBy(b *testing.B) *os.File {
	reader, writer, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64<<10)
		for {
			if _, err := reader.Read(buffer); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() { writer.Close(); <-done; reader.Close() })
	return writer
}

func benchWrites(b *testing.B, out io.Writer) {
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = out.Write(benchLine)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				_, _ = out.Write(benchLine)
			}
		})
	})
}

// What a request pays for a line, whether there is room for it or not.
func BenchmarkWriter(b *testing.B) {
	w := New(pipeReadBy(b), lostLine)
	benchWrites(b, w)
	if err := w.Close(b.Context()); err != nil {
		b.Log(err)
	}
}

// What it pays when there always is room.
func BenchmarkWriterWithRoom(b *testing.B) {
	w := &Writer{wake: make(chan struct{}, 1), waiting: make([]byte, 0, bufferBytes/2)}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(benchLine)
		if cap(w.waiting)-len(w.waiting) < len(benchLine) {
			_, _ = w.take(w.waiting)
			<-w.wake
		}
	}
	if w.dropped > 0 {
		b.Errorf("got %d lines dropped, want 0", w.dropped)
	}
}

// What it pays without a Writer.
func BenchmarkPipe(b *testing.B) { benchWrites(b, pipeReadBy(b)) }

// What a request pays for a line that is held back.
func BenchmarkSampler(b *testing.B) {
	s := NewSampler(1)
	for _, reason := range []string{"token_missing", "token_expired", "signature_invalid", "binding_mismatch"} {
		for _, route := range []string{"login", "payments", "profile", "search"} {
			s.Allow(noon, Key{route, reason, "reject"})
		}
	}
	kind := Key{"payments", "signature_invalid", "reject"}
	b.Run("denied", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Allow(noon, kind)
		}
	})
	b.Run("denied parallel", func(b *testing.B) {
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				s.Allow(noon, kind)
			}
		})
	})
}
