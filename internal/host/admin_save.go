package host

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

// A change must not hang with a disk that does.
const (
	lookPatience = time.Second     // for a look at the control file, before a change is made
	savePatience = 2 * time.Second // for it to be written, after that
)

// SaveControl writes a control document, as JSON, to the file that a gate reads it from. After a crash or on a
// full disk either the document before is there or this one. An error names the file and the fix.
func SaveControl(path string, c config.Control) error {
	text, err := json.Marshal(c.Tree())
	if err != nil {
		return err // a tree of texts and numbers has none
	}
	text = append([]byte(yamlSafe(string(text))), '\n')
	if len(text) > source.MaxSize {
		return fmt.Errorf("control.file would have %d bytes, and at most %d are read; name fewer routes", len(text), source.MaxSize)
	}
	if err := source.Write(path, text); err != nil {
		return fmt.Errorf("control.file: %w; check its folder", err)
	}
	return nil
}

// yamlSafe escapes what JSON texts may hold and YAML documents may not (YAML 1.2 §5.1): the file is read as either.
func yamlSafe(text string) string {
	return strings.NewReplacer("\ufeff", `\ufeff`, "\ufffe", `\ufffe`, "\uffff", `\uffff`).Replace(text)
}

// save is a document on its way to the disk.
type save struct {
	control config.Control
	done    chan string // gets, once, what went wrong with the first attempt; empty: nothing
	tried   bool        // it did; only run touches it
}

// saver reads and writes the control file, one thing at a time, and of documents the newest only: one that is
// superseded before it was written is not. The zero value is ready.
type saver struct {
	write func(path string, c config.Control) error // nil: SaveControl; something else in tests
	once  sync.Once
	wake  chan struct{}

	mu      sync.Mutex      // guards the fields below
	looks   []chan struct{} // closed once somebody has looked at the file
	next    *save           // the newest, until it is written; nil: all is
	failure string          // of its last attempt; empty: there was none, or it has succeeded
}

func (s *saver) woken() chan struct{} {
	s.once.Do(func() { s.wake = make(chan struct{}, 1) })
	return s.wake
}

// stir makes run look what there is to do. mu is held.
func (s *saver) stir() {
	select {
	case s.woken() <- struct{}{}:
	default: // it is about to
	}
}

// look has the gate read the control file. It returns when that is done, or takes long.
func (s *saver) look(ctx context.Context) {
	done := make(chan struct{})
	s.mu.Lock()
	s.looks = append(s.looks, done)
	s.stir()
	s.mu.Unlock()
	patience := time.NewTimer(lookPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// begin has a document written.
func (s *saver) begin(c config.Control) *save {
	job := &save{control: c, done: make(chan string, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = job
	s.stir()
	return job
}

// wait returns what went wrong with the first attempt to write a document; empty: nothing.
func (s *saver) wait(ctx context.Context, job *save) string {
	if job == nil {
		return ""
	}
	patience := time.NewTimer(savePatience)
	defer patience.Stop()
	select {
	case failure := <-job.done:
		return failure
	case <-patience.C:
		return fmt.Sprintf("control.file is not written after %v; is its disk well?", savePatience)
	case <-ctx.Done():
		return ""
	}
}

// failing is why the newest document is not on disk, after at least one attempt; empty: it is.
func (s *saver) failing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// run does what the others ask for until ctx ends, and after each interval tries again what could not be written.
func (s *saver) run(ctx context.Context, g Desk, interval time.Duration, log *slog.Logger) {
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		s.answerLooks(g)
		s.attempt(ctx, g, log)
		select {
		case <-ctx.Done():
			return
		case <-s.woken():
		case <-again.C:
		}
	}
}

// answerLooks has the file read if somebody waits for it.
func (s *saver) answerLooks(g Desk) {
	s.mu.Lock()
	waiting := s.looks
	s.looks = nil
	s.mu.Unlock()
	if len(waiting) > 0 {
		g.RefreshControl()
	}
	for _, done := range waiting {
		close(done)
	}
}

// attempt writes the newest document, unless it is written or a newer one stands in the file already.
func (s *saver) attempt(ctx context.Context, g Desk, log *slog.Logger) {
	s.mu.Lock()
	job := s.next
	s.mu.Unlock()
	if job == nil {
		return
	}
	if job.tried {
		g.RefreshControl() // somebody may have written there by hand meanwhile
	}
	failure, write := "", s.write
	if write == nil {
		write = SaveControl
	}
	if path := g.ControlFile(); path != "" && g.Control(gate.Local).Version == job.control.Version {
		if err := write(path, job.control); err != nil {
			failure = err.Error()
		}
	}
	if !job.tried {
		job.tried = true
		defer func() { job.done <- failure }() // whoever waits for it then sees the rest, too
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != job {
		return // a newer one is about to be written
	}
	before := s.failure
	if s.failure = failure; failure == "" {
		s.next = nil
	}
	if failure != before {
		tell(ctx, log, failure)
	}
}

// tell logs that keeping a document began or ceased to fail.
func tell(ctx context.Context, log *slog.Logger, failure string) {
	if failure == "" {
		log.LogAttrs(ctx, slog.LevelInfo, "control is kept on disk again")
		return
	}
	log.LogAttrs(ctx, slog.LevelError, "control is not kept on disk", slog.String("problem", failure))
}
