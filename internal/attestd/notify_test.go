package attestd_test

import (
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/pgtest"
	"github.com/approovgate/approovgate/internal/porttest"
)

// A service manager hears that the service serves, that it lives, also while its database is away, and that it stops.
func TestTheServiceManagerIsTold(t *testing.T) {
	database := pgtest.Own(t)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	hear := func(want string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for buffer := make([]byte, 4096); ; {
			n, err := socket.Read(buffer)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if string(buffer[:n]) == want {
				return
			}
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "200000")
	status := porttest.Free(t)
	s := startService(t, t.TempDir(), "--db", database.Database(t), "--status", status)
	hear("READY=1")
	hear("WATCHDOG=1")
	database.Kill()
	eventually(t, "it is not ready", func() string {
		response, err := http.Get("http://" + status + "/ready")
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			return response.Status
		}
		return ""
	})
	for range 64 { // more than wait in the socket from before
		hear("WATCHDOG=1")
	}
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
}
