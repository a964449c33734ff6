// Package logline stands between a log handler and the file its lines go to, so that neither a slow
// reader nor a flood of requests can turn the log against the proxy.
//
// It owns the waiting lines and the count of those that were lost or held back. It knows nothing of
// what a line says, and makes none: the owner renders them.
//
// Start reading at [Writer], then [Sampler], which decides before a line is made.
package logline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bufferBytes = 1 << 20                // of all lines in memory: half waits while half is being written
	gather      = 2 * time.Millisecond   // between two writes, so that a busy log writes many lines at once
	retryPause  = 100 * time.Millisecond // after a failed write
)

// Writer takes lines without ever waiting for the file they go to. One goroutine, which New starts and
// Close ends, writes them, many at a time when there are many. A line that finds the buffer full, as the
// pipe is blocked or the disk is full, is dropped whole and counted; once writing works again, a line in
// its place tells how many are missing. Writing that failed is tried again until Close, from the byte it
// had come to, so no line is ever glued to half of another.
//
// A log to standard output or error needs signal.Ignore(syscall.SIGPIPE) in the process. Without it, the
// first write after the reader has gone ends the process (package os/signal, section SIGPIPE); with it,
// the write fails and is counted like any other.
//
// Lines that are still in memory when the process crashes are gone: those of the last 2 ms, if the
// file takes them at all.
type Writer struct {
	out    io.Writer
	lost   func(n uint64) []byte
	wake   chan struct{} // holds one value from the first line until run looks
	ending chan struct{} // closed by Close
	ended  chan struct{} // closed by run
	failed error         // why lines were given up at the end; read after ended
	errors atomic.Uint64

	mu      sync.Mutex // guards what follows
	waiting []byte     // whole lines; its capacity is the bound
	dropped uint64     // lines, ever
	told    uint64     // of those, the ones that run knows of
	closed  bool
}

// New returns a writer of lines to out. What lost returns for a number of dropped lines is written in
// their place. The owner calls Close.
func New(out io.Writer, lost func(n uint64) []byte) *Writer {
	w := &Writer{
		out: out, lost: lost,
		wake: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{}),
		waiting: make([]byte, 0, bufferBytes/2),
	}
	go w.run()
	return w
}

// Write takes one line, and adds the newline if it has none. It always reports success and never waits
// for out: a caller has requests to serve, and could do nothing about a log that is stuck.
func (w *Writer) Write(line []byte) (int, error) {
	if len(line) == 0 {
		return 0, nil
	}
	size, whole := len(line), line[len(line)-1] == '\n'
	if !whole {
		size++
	}
	w.mu.Lock()
	first := len(w.waiting) == 0
	if w.closed || size > cap(w.waiting)-len(w.waiting) {
		w.dropped++
	} else {
		w.waiting = append(w.waiting, line...)
		if !whole {
			w.waiting = append(w.waiting, '\n')
		}
	}
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// Dropped is the number of lines that were not written and never will be.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Errors is the number of writes that failed.
func (w *Writer) Errors() uint64 { return w.errors.Load() }

// Close writes what waits, for as long as ctx lets it, and ends the writer; lines that come later are
// dropped. An error means that lines were lost: out failed, or was still blocked when ctx ended. In the
// second case the goroutine ends only when out unblocks. Close does not close out.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.mu.Unlock()
	if !already {
		close(w.ending)
	}
	select {
	case <-w.ended:
		return w.failed
	case <-ctx.Done():
		return fmt.Errorf("the log's last lines could not be written: %w", ctx.Err())
	}
}

// run writes lines until Close.
func (w *Writer) run() {
	defer close(w.ended)
	batch := make([]byte, 0, bufferBytes/2)
	for last := false; !last; {
		select {
		case <-w.wake:
		case <-w.ending:
			last = true // nothing can join the lines that wait now
		}
		var lost uint64
		batch, lost = w.take(batch)
		if !w.put(batch) || lost > 0 && !w.put(w.lost(lost)) {
			return
		}
		w.pause(gather)
	}
}

// take swaps the lines that wait for an empty buffer, and returns how many were dropped behind them.
func (w *Writer) take(empty []byte) (lines []byte, lost uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, w.waiting = w.waiting, empty[:0]
	lost, w.told = w.dropped-w.told, w.dropped
	return lines, lost
}

// put writes lines to their end, however often that takes. It reports false, and all lines are given up,
// if out fails after Close.
func (w *Writer) put(lines []byte) bool {
	for len(lines) > 0 {
		n, err := w.out.Write(lines)
		lines = lines[n:]
		if len(lines) == 0 {
			break
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		w.errors.Add(1)
		select {
		case <-w.ending:
			w.giveUp(lines, err)
			return false
		default:
			w.pause(retryPause)
		}
	}
	return true
}

// giveUp counts as dropped what was being written and what waits.
func (w *Writer) giveUp(lines []byte, err error) {
	w.failed = fmt.Errorf("the log's last lines could not be written: %w", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rest := range [][]byte{lines, w.waiting} {
		w.dropped += uint64(bytes.Count(rest, []byte("\n")))
	}
}

// pause waits, but not beyond Close.
func (w *Writer) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.ending:
	}
}
