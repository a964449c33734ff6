package logline

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// brokenStandardError, in the environment, makes this program one that logs to a pipe nobody reads.
const brokenStandardError = "LOGLINE_TEST_BROKEN_STANDARD_ERROR"

func TestMain(m *testing.M) {
	if how := os.Getenv(brokenStandardError); how != "" {
		if how == "ignored" {
			signal.Ignore(syscall.SIGPIPE)
		}
		told := tellsWrites{os.Stderr, make(chan struct{}, 1)}
		w := New(told, lostLine)
		fmt.Fprintln(w, "line")
		<-told.after
		fmt.Println("alive")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type tellsWrites struct {
	out   io.Writer
	after chan struct{}
}

func (w tellsWrites) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	select {
	case w.after <- struct{}{}:
	default:
	}
	return n, err
}

func TestAReaderOfStandardErrorThatLeftEndsAProcessThatDoesNotIgnoreSIGPIPE(t *testing.T) {
	for how, survives := range map[string]bool{"ignored": true, "default": false} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = append(os.Environ(), brokenStandardError+"="+how)
		command.Stderr = writer
		out, err := command.Output()
		cancel()
		writer.Close()
		if alive := err == nil && string(out) == "alive\n"; alive != survives {
			t.Errorf("SIGPIPE %s: got %q, %v, want survival %v", how, out, err, survives)
		}
		if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); !survives && (!ok || status.Signal() != syscall.SIGPIPE) {
			t.Errorf("SIGPIPE %s: got %v, want death by SIGPIPE", how, command.ProcessState)
		}
	}
}
