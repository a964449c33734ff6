//go:build linux

package reliability

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
)

// flood sends forged requests, as many as fill any buffer with their lines, and genuine ones between them, and demands the
// right answer to each, and in the long form within a second.
func flood(t *testing.T, s *sidecar, client *http.Client) (slowest time.Duration) {
	t.Helper()
	const requests, workers = 8000, 16
	var left, wrong atomic.Int64
	left.Store(requests)
	var longest atomic.Int64
	genuine, forged, url := token(t, keyA), token(t, keyB), "http://"+s.listen+"/"
	var all sync.WaitGroup // ended by the number of requests
	for range workers {
		all.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				a, want := answer{}, http.StatusUnauthorized
				if n%10 == 0 {
					a, want = get(client, url, genuine), http.StatusOK
				} else {
					a = refused(client, url, forged)
				}
				if a.err != nil || a.status != want {
					wrong.Add(1)
				}
				for old := longest.Load(); int64(a.took) > old && !longest.CompareAndSwap(old, int64(a.took)); old = longest.Load() {
					continue
				}
			}
		})
	}
	all.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d requests got no answer or a wrong one, want none", n, requests)
	}
	slowest = time.Duration(longest.Load())
	if most := atMost(time.Second); slowest > most {
		t.Errorf("an answer took %v, want at most %v", slowest, most)
	}
	return slowest
}

// everyLine makes the sidecar log each forged request.
var everyLine = []string{"log: {sample: 0}", "limits: {drain_delay: 0s}"}

// TestALogThatNobodyReads blocks the pipe that the log goes to, reads it again, blocks it again, and ends the process.
func TestALogThatNobodyReads(t *testing.T) {
	backend := newAPI(t, 0, 0)
	c := command(t, gateFile{upstream: backend.url, more: everyLine}.write(t, t.TempDir()))
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }() // it may be closed
	c.Stderr = writer
	s := launch(t, c)
	_ = writer.Close() // the process has its own
	first, err := bufio.NewReaderSize(reader, 16).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s.log.add(strings.TrimSpace(first))
	s.serving(t)
	client := newClient(t, 16, false)

	blocked := flood(t, s, client)
	lost := s.metric(t, "approovgate_log_lines_dropped_total")
	if lost == 0 {
		t.Error("a log that nobody reads: got no line counted as dropped, want most of them")
	}

	read := make(chan struct{})
	go func() { s.log.keep(reader); close(read) }() // ended by the deadline below
	lineOf(t, s, client, "/read-again")
	if s.log.find(`"msg":"log lines lost`) == "" {
		t.Error("got no line that tells of the lines lost, want one in their place")
	}
	s.log.whole(t)

	if err := reader.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-read
	flood(t, s, client)
	client.CloseIdleConnections() // one that was never used would be waited for
	s.signal(t, terminated)
	begin := time.Now()
	if code := s.exitCode(t, patience); code != 0 {
		t.Errorf("ended while its log was blocked: got exit status %d, want 0", code)
	}
	t.Logf("blocked log: the slowest of 8000 answers took %s, %v lines were dropped and counted; the end took %s",
		milliseconds(blocked), lost, milliseconds(time.Since(begin)))
}

// lineOf demands that a forged request to a path is logged: the log works again.
func lineOf(t *testing.T, s *sidecar, client *http.Client, path string) {
	t.Helper()
	until(t, "a line about "+path+" appears", func() bool {
		if a := refused(client, "http://"+s.listen+path, "x"); a.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, %v; want 401", path, a.status, a.err)
		}
		return s.log.find(path) != ""
	})
}

func TestALogWhoseReaderHasGone(t *testing.T) {
	backend := newAPI(t, 0, 0)
	g := gateFile{upstream: backend.url, listen: porttest.Free(t), status: porttest.Free(t), more: everyLine}
	c := command(t, g.write(t, t.TempDir()))
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close() // before anything is written
	c.Stderr = writer
	s := launch(t, c)
	_ = writer.Close() // the process has its own
	s.serveAt(t, g)
	client := newClient(t, 16, false)
	flood(t, s, client)
	if s.metric(t, "approovgate_log_write_errors_total") == 0 {
		t.Error("got no error of writing counted, want some")
	}
	client.CloseIdleConnections() // one that was never used would be waited for
	s.signal(t, terminated)
	if code := s.exitCode(t, patience); code != 0 {
		t.Errorf("got exit status %d, want 0", code)
	}
}

// serveAt waits for a process whose log cannot be read.
func (s *sidecar) serveAt(t *testing.T, g gateFile) {
	t.Helper()
	s.listen, s.status = g.listen, g.status
	until(t, "/ready says 200", func() bool { s.alive(t); return s.probe("/ready") == "200 ready" })
}

// TestALogOnAFullDisk writes to a device that has no room, ever.
func TestALogOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }() // the process has its own
	backend := newAPI(t, 0, 0)
	g := gateFile{upstream: backend.url, listen: porttest.Free(t), status: porttest.Free(t), more: everyLine}
	c := command(t, g.write(t, t.TempDir()))
	c.Stderr = full
	s := launch(t, c)
	s.serveAt(t, g)
	slowest := flood(t, s, newClient(t, 16, false))
	lost := s.metric(t, "approovgate_log_lines_dropped_total")
	if lost == 0 {
		t.Error("got no line counted as dropped, want most of them")
	}
	t.Logf("full disk: the slowest of 8000 answers took %s, %v lines were dropped and counted", milliseconds(slowest), lost)
}

// TestALogOnADiskThatFillsUp writes to a small file system until it is full, and makes room again.
func TestALogOnADiskThatFillsUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	backend := newAPI(t, 0, 0)
	g := gateFile{upstream: backend.url, listen: porttest.Free(t), status: porttest.Free(t), more: everyLine}
	c := command(t, g.write(t, t.TempDir()))
	name := filepath.Join(dir, "log")
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = log
	s := launch(t, c)
	_ = log.Close() // the process has its own
	s.serveAt(t, g)
	client := newClient(t, 16, false)
	flood(t, s, client)
	if s.metric(t, "approovgate_log_write_errors_total") == 0 {
		t.Error("a full disk: got no error of writing counted, want some")
	}
	until(t, "lines come again when there is room", func() bool {
		if err := os.Truncate(name, 0); err != nil { // what waited may fill it once more
			t.Fatal(err)
		}
		refused(client, "http://"+s.listen+"/room-again", "x")
		text, err := os.ReadFile(name)
		return err == nil && strings.Contains(string(text), "/room-again")
	})
	s.signal(t, killed)
	<-s.ended // nothing uses the file system any more
}

// TestAReadOnlyFileSystem gives the process one, of which nothing is writable.
func TestAReadOnlyFileSystem(t *testing.T) {
	alone := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := (&exec.Cmd{Path: "/bin/true", SysProcAttr: alone}).Run(); errors.Is(err, syscall.EPERM) {
		t.Skip("only root may make the file system read-only for one process, where the machine allows it")
	}
	backend := newAPI(t, 0, 0)
	file := gateFile{upstream: backend.url}.write(t, t.TempDir())
	const script = `
mount --make-rprivate / && mount -o remount,bind,ro / || exit 8
if touch "$0.probe" 2>/dev/null; then echo "the file system is writable" >&2; exit 9; fi
exec "$@"`
	c := command(t, file)
	c.Args = append([]string{"sh", "-c", script, file}, c.Args...)
	c.Path = "/bin/sh"
	c.SysProcAttr = alone
	s := launch(t, c)
	s.serving(t)
	flood(t, s, newClient(t, 16, false))
	s.signal(t, reload)
	until(t, "it reads its files again", func() bool { return s.log.find(`"msg":"reloaded"`) != "" })
}
