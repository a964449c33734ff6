// Package pgtest starts a PostgreSQL server for the tests of a package: a cluster of its own in a temporary folder,
// reached by a unix socket alone, with the settings that PostgreSQL has by itself; only its log of writes is kept short, and
// it does not wait for the disk: what a killed process has written is there all the same, the machine is never killed, and
// a disk that others keep busy must not fail a test. For benchmarks it does wait. It can be killed and started again while
// tests run. Where PostgreSQL is not installed tests are skipped, but in CI they fail.
//
// Start reading at Main, which a package's TestMain calls, and Server.Database.
package pgtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	installed = "/usr/lib/postgresql/*/bin" // where Debian has it, one folder for each version
	user      = "approovgate"               // the cluster's superuser
	startTime = 60 * time.Second
)

// Main runs a package's tests, ends the servers of this process, and exits:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests are a package's tests, for those who do more in TestMain: goleak.VerifyTestMain(pgtest.Tests{m}).
type Tests struct{ *testing.M }

// Run runs the tests and ends the servers of this process.
func (t Tests) Run() int {
	defer func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, s := range shared.servers {
			s.destroy()
		}
	}()
	return t.M.Run()
}

// shared are the servers of this process: that of its tests, and that of its benchmarks, which is synced.
var shared = struct {
	mu      sync.Mutex // guards the others
	servers map[bool]*Server
	errs    map[bool]error
}{servers: map[bool]*Server{}, errs: map[bool]error{}}

// Server is a running server, or one that has been killed.
type Server struct {
	folder  string // the socket's, and the parent of the cluster's
	synced  bool   // it waits for the disk
	bin     string
	mu      sync.Mutex // guards what follows
	process *exec.Cmd
	ended   chan struct{} // closed when process has ended
	number  int           // of databases made
}

// Shared is the server that all tests of this process share, or all benchmarks. The first to ask starts it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	_, synced := t.(*testing.B)
	if shared.servers[synced] == nil && shared.errs[synced] == nil {
		made, err := create(synced)
		if err != nil {
			shared.errs[synced] = err
		} else {
			shared.servers[synced] = made
		}
	}
	check(t, shared.errs[synced])
	return shared.servers[synced]
}

// Own is a server that one test alone has, to kill it. It ends with the test.
func Own(t testing.TB) *Server {
	t.Helper()
	s, err := create(false)
	check(t, err)
	t.Cleanup(s.destroy)
	return s
}

var errAbsent = errors.New("PostgreSQL is not installed: there is no " + installed + "/postgres; apt-get install postgresql")

func check(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errAbsent) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a cluster and starts its server.
func create(synced bool) (s *Server, err error) {
	found, err := filepath.Glob(filepath.Join(installed, "postgres"))
	if err != nil || len(found) == 0 {
		return nil, errAbsent
	}
	slices.Sort(found)
	folder, err := os.MkdirTemp("", "pgtest-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	s = &Server{folder: folder, synced: synced, bin: filepath.Dir(found[len(found)-1])}
	defer func() {
		if err != nil {
			s.destroy()
		}
	}()
	if err := giveAway(folder); err != nil {
		return nil, err
	}
	initialise := s.command("initdb", "--pgdata", s.data(), "--username", user, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-instructions", "--no-sync")
	if output, err := initialise.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return s, s.Start()
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// command is one of PostgreSQL's programs, run as a user that it accepts, and ended when this process ends.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + s.bin + ":/usr/bin:/bin"}
	c.Dir = s.folder
	c.SysProcAttr = attributes()
	return c
}

// Start starts a server that has been killed, and waits until it takes connections.
func (s *Server) Start() error {
	// What a killed server leaves behind may hold its shared memory for a moment; it then refuses to start.
	for end := time.Now().Add(startTime); ; {
		err := s.start()
		if err == nil || !strings.Contains(err.Error(), "still in use") || time.Now().After(end) {
			return err
		}
	}
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	process := s.command("postgres", "-D", s.data(), "-k", s.folder, "-c", "listen_addresses=", "-c", "max_connections=200",
		"-c", "min_wal_size=32MB", "-c", "max_wal_size=64MB", "-c", "fsync="+strconv.FormatBool(s.synced))
	log, err := process.StderrPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	s.process, s.ended = process, make(chan struct{})
	ready := make(chan error, 1)
	go watch(process, log, ready, s.ended) // until the process ends
	select {
	case err := <-ready:
		return err
	case <-time.After(startTime):
		return fmt.Errorf("postgres did not start within %v", startTime)
	}
}

// watch reads a server's log to its end, and says when it takes connections or why it does not.
func watch(process *exec.Cmd, log io.Reader, ready chan<- error, ended chan<- struct{}) {
	defer close(ended)
	var said bytes.Buffer
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if said.Len() < 1<<16 {
			fmt.Fprintln(&said, lines.Text())
		}
		if strings.Contains(lines.Text(), "database system is ready to accept connections") {
			select {
			case ready <- nil:
			default:
			}
		}
	}
	err := process.Wait()
	select {
	case ready <- fmt.Errorf("postgres ended: %v\n%s", err, &said):
	default:
	}
}

// Kill ends the server and all its processes at once, as a crash does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.Process == nil {
		return
	}
	killAll(s.process.Process.Pid)
	<-s.ended
	s.process = nil
}

// Pause stops the server and all its processes without ending them, as a machine that hangs does, until Resume or Kill.
// New connections are taken by the system, and nothing answers.
func (s *Server) Pause() { s.signal(pause) }

// Resume ends Pause.
func (s *Server) Resume() { s.signal(resume) }

func (s *Server) signal(how func(pid int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		how(s.process.Process.Pid)
	}
}

// Restart kills the server and starts it again.
func (s *Server) Restart() error {
	s.Kill()
	return s.Start()
}

// destroy ends the server and removes its cluster.
func (s *Server) destroy() {
	s.Kill()
	_ = os.RemoveAll(s.folder)
}

// URL is where a database is.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: url.Values{"host": {s.folder}}.Encode()}).String()
}

// Database makes an empty database for a test, and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.number++
	name := fmt.Sprintf("test%d", s.number)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Bytes are all bytes of the files of the database at a URL, and of the server's log of writes, after everything has
// been written to them.
func (s *Server) Bytes(t testing.TB, url string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	var database string
	if err := c.QueryRow(ctx, "SELECT oid::text FROM pg_database WHERE datname = current_database()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, folder := range []string{filepath.Join("base", database), "pg_wal"} {
		err := filepath.WalkDir(filepath.Join(s.data(), folder), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return ignoreGone(err)
			}
			text, err := os.ReadFile(path)
			all = append(all, text...)
			return ignoreGone(err)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// ignoreGone overlooks files that the server removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
