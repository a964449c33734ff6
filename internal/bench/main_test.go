package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test's binary the program itself. Roles need no such help.
const asProgram = "APPROOVGATE_TEST_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
	}
	os.Exit(m.Run())
}

// needCores skips a test where the measurement cannot run. Continuous integration lacks nothing but processors.
func needCores(t *testing.T) {
	t.Helper()
	_, _, err := cores()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" && !errors.Is(err, errOneCPU):
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

func TestShortRunMeasuresEveryRow(t *testing.T) {
	needCores(t)
	var out, faults bytes.Buffer
	if got := run(t.Context(), []string{"-short"}, strings.NewReader(""), &out, &faults); got != 0 {
		t.Fatalf("exit: got %d, want 0\n%s%s", got, &out, &faults)
	}
	for _, want := range []string{
		"go run ./internal/bench -short\n", "load average",
		"bare   one genuine token ", "gate   one genuine token ", "gate   a new genuine token each ", "gate   a new bad signature each ",
		"CPU ≤ 1.05, not judged", "requests/s ≥ 2.50, not judged",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output: got no %q in\n%s", want, &out)
		}
	}
	t.Logf("\n%s", &out)
}

func TestProcessesEndWithTheirStarter(t *testing.T) {
	needCores(t)
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill, "terminated": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			command := exec.CommandContext(ctx, self, "-rounds", "1000", "-seconds", "0.1", "-tokens", "1000", "-sleep")
			command.Env = append(os.Environ(), asProgram+"=1")
			progress, err := command.StderrPipe() // which the processes it starts share
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(progress)
			if line, err := lines.ReadString('\n'); !strings.HasPrefix(line, "round 1 ") {
				t.Fatalf("progress: got %q, %v, want round 1", line, err)
			}
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			context.AfterFunc(ctx, func() { _ = progress.Close() })
			_, err = io.Copy(io.Discard, lines) // ends when the last process that can write there has
			if err != nil || ctx.Err() != nil {
				t.Errorf("processes after the signal: got %v, %v, want all ended", err, ctx.Err())
			}
			if err := command.Wait(); err == nil {
				t.Error("exit: got 0, want a failure")
			}
		})
	}
}

func TestAnswersThatAreNotAsTheyShouldBeFailTheRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the load needs Linux")
	}
	minted, err := mintTokens(2)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxMessage)
	for name, row := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"the wanted status passes": {func(http.ResponseWriter, *http.Request) {}, ""},
		"another status is told":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "got status 502, want 200"},
		"a lost connection is told": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"the proxy closed a connection"},
		"an answer that is too long is told": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }, "an answer is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(row.serve)
			defer server.Close()
			o, err := newOutside(minted)
			if err != nil {
				t.Fatal(err)
			}
			r, err := o.run(t.Context(), window{Address: server.Listener.Addr().String(), PID: os.Getpid(), Want: 200, Length: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if fault := r.fault(); fault != nil {
				got = fault.Error()
			}
			if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
				t.Errorf("fault: got %q, want %q", got, row.want)
			}
		})
	}
}

func TestTokensAreDistinctAndSpoiltInTheirSignatureAlone(t *testing.T) {
	minted, err := mintTokens(100)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range int64(100) {
		seen[string(minted.at(i))] = true
	}
	if len(seen) != 100 || !bytes.Equal(minted.at(0), minted.at(100)) {
		t.Errorf("tokens: got %d different ones, want 100, and then the first again", len(seen))
	}
	r := newRequest()
	r.carry(minted.at(1), true)
	different := 0
	for i, c := range minted.at(1) {
		if r.slot[i] != c {
			different++
			if i <= bytes.LastIndexByte(r.slot, '.') {
				t.Errorf("spoilt at byte %d, which is not in the signature", i)
			}
		}
	}
	if different != 1 {
		t.Errorf("spoilt characters: got %d, want 1", different)
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-seconds", "NaN"}, {"-seconds", "0"}, {"-short", "-check"}, {"upstraem"}, {"-tokens", "1"},
	} {
		var faults bytes.Buffer
		if got := run(t.Context(), args, strings.NewReader(""), io.Discard, &faults); got != 2 || faults.Len() == 0 {
			t.Errorf("%v: got exit %d, %q, want 2 and a reason", args, got, &faults)
		}
	}
}
