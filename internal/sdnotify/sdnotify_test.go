//go:build linux

package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// manager is the service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// listen opens a notification socket and names it in the environment.
func listen(t *testing.T, name string) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // nothing is left to read
	t.Setenv("NOTIFY_SOCKET", name)
	return manager{t, conn}
}

// path is a name for a socket that is short enough for one, which a test's own folder may not be.
func path(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what remains is in the system's folder for such things
	return filepath.Join(dir, "s")
}

// next is the next message, or "" when none is there by the deadline.
func (m manager) next(deadline time.Time) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(deadline); err != nil {
		m.t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := m.conn.Read(message)
	if err != nil {
		return ""
	}
	return string(message[:n])
}

func TestMessagesReachTheServiceManager(t *testing.T) {
	for _, socket := range []struct{ name, address string }{
		{"a socket in the file system", path(t)},
		{"a socket in the abstract name space", fmt.Sprintf("@approovgate-test-%d", os.Getpid())},
	} {
		t.Run(socket.name, func(t *testing.T) {
			m := listen(t, socket.address)
			for _, row := range []struct {
				want string
				tell func() error
			}{
				{"READY=1", Ready},
				{"STOPPING=1", Stopping},
			} {
				if err := row.tell(); err != nil {
					t.Fatalf("%s: %v", row.want, err)
				}
				got := m.next(time.Now().Add(patience))
				if got != row.want {
					t.Errorf("got message %q, want %q", got, row.want)
				}
			}
		})
	}
}

func TestWithoutAServiceManagerNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	for name, tell := range map[string]func() error{"Ready": Ready, "Stopping": Stopping} {
		if err := tell(); err != nil {
			t.Errorf("%s: got %v, want nothing", name, err)
		}
	}
	if err := Run(t.Context(), func() bool { return true }); err != nil {
		t.Errorf("Run: got %v, want it to return at once", err)
	}
}

func TestAServiceManagerThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", path(t))
	if err := Ready(); err == nil {
		t.Error("got no error, want one: nobody listens")
	}
}

// TestTheWatchdogHearsOnlyAHealthyProcess answers the loop's questions by a list. The loop is between two beats whenever
// it asks, so what it has sent by then is known exactly.
func TestTheWatchdogHearsOnlyAHealthyProcess(t *testing.T) {
	m := listen(t, path(t))
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, end := context.WithCancel(t.Context())
	answers := []bool{true, true, false, false, true}
	asked, done := make(chan struct{}), make(chan error, 1)
	go func() { // ended by end, below
		i := -1
		done <- Run(ctx, func() bool {
			i++
			if i < len(answers) {
				return answers[i]
			}
			if i == len(answers) {
				close(asked)
			}
			return false
		})
	}()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatalf("the loop did not ask %d times in %v", len(answers)+1, patience)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v, want none when its context ends", err)
	}
	var got []string
	for range 3 {
		got = append(got, m.next(time.Now().Add(patience)))
	}
	if surplus := m.next(time.Now().Add(time.Millisecond)); surplus != "" {
		got = append(got, surplus)
	}
	if text := strings.Join(got, " "); text != "WATCHDOG=1 WATCHDOG=1 WATCHDOG=1" {
		t.Errorf("got messages %q, want one for each healthy answer, three", text)
	}
}

func TestAWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getppid()))
	if err := Run(t.Context(), func() bool { t.Error("the loop ran, want it to leave the other's watchdog alone"); return false }); err != nil {
		t.Errorf("Run: got %v, want none", err)
	}
}

func TestAnIntervalThatIsNoNumberIsAnError(t *testing.T) {
	for _, interval := range []string{"soon", "0", "-1"} {
		t.Setenv("WATCHDOG_USEC", interval)
		if err := Run(t.Context(), func() bool { return true }); err == nil {
			t.Errorf("WATCHDOG_USEC=%s: got no error, want one", interval)
		}
	}
}
