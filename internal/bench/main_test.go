package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
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
		"one genuine token bare", "one genuine token gate", "a new genuine token each bare", "a new genuine token each gate",
		"a new bad signature each gate", "users alone bare", "users alone gate", "users in a flood of new bad signatures gate",
		"go run ./internal/bench -short", "load average", "CPU ≤ 1.05 not judged", "requests/s ≥ 2.50 not judged",
	} {
		if !hasLine(out.String(), want) {
			t.Errorf("output: got no %q in\n%s", want, &out)
		}
	}
	for _, s := range newSystems() {
		if err := s.missing(); err != nil && os.Getenv("CI") == "true" {
			t.Errorf("%v; %s", err, s.had)
		} else if err == nil && hasLine(out.String(), s.role+" not there") {
			t.Errorf("%s: got no figures of it in\n%s", s.role, &out)
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
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, self, "-rounds", "1000", "-seconds", "0.1", "-tokens", "1000", "-sleep", "-only", "valid")
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
		for kind, w := range map[string]window{
			"eager clients": {Eager: connections, Want: 200}, "users": {Rate: userRate}, "both": {Eager: connections, Want: 200, Rate: userRate},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				server := httptest.NewServer(row.serve)
				defer server.Close()
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				o, err := newOutside(minted)
				if err != nil {
					t.Fatal(err)
				}
				w.Address, w.PID, w.Length = server.Listener.Addr().String(), os.Getpid(), 300*time.Millisecond
				r, err := o.serveWindow(t.Context(), w)
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
				if row.want == "" && (r.Requests > 0) != (w.Eager > 0) || (r.P99 > 0) != (row.want == "" && w.Rate > 0) {
					t.Errorf("got %d requests and a p99 of %v, want them of %s alone", r.Requests, r.P99, kind)
				}
			})
		}
	}
}

func TestSystemsThatDoOtherWorkAreNotMeasured(t *testing.T) {
	needCores(t)
	core, other, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	systems := []system{{role: bareSystem}, {role: gateSystem, checks: true}}
	r, err := newRig(t.Context(), settings{tokens: 100, level: "info"}, systems, core, other, io.Discard)
	defer r.stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.tryAll(systems); err != nil {
		t.Errorf("as they are: got %v, want no error", err)
	}
	for role, want := range map[string]string{
		bareSystem: "bare, asked with no token: ", // it lets through
		gateSystem: "gate, asked with no token: ", // it does not
	} {
		mistaken := []system{{role: role, checks: role == bareSystem}}
		if err := r.tryAll(mistaken); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: got %v, want %s", role, err, want)
		}
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
	r.carry(minted, 1, badSign)
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
	for _, what := range []cargo{badSign, expired, wrongPay, noToken} {
		whole := newRequest()
		whole.carry(minted, 1, genuine)
		if r.carry(minted, 1, what); bytes.Equal(r.text, whole.text) || len(r.text) != len(whole.text) {
			t.Errorf("%s: got the genuine request or another size, want another request of %d bytes", what, len(whole.text))
		}
		if r.carry(minted, 1, genuine); !bytes.Equal(r.text, whole.text) {
			t.Errorf("genuine after %s: got %q, want %q", what, r.text, whole.text)
		}
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-seconds", "NaN"}, {"-seconds", "0"}, {"-short", "-check"}, {"upstraem"}, {"-tokens", "1"}, {"-only", "vaild"},
	} {
		var faults bytes.Buffer
		if got := run(t.Context(), args, strings.NewReader(""), io.Discard, &faults); got != 2 || faults.Len() == 0 {
			t.Errorf("%v: got exit %d, %q, want 2 and a reason", args, got, &faults)
		}
	}
}
