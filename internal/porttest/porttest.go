// Package porttest finds addresses for programs that cannot be told to let the system choose one and say which.
//
// It is for tests only. What can listen at port 0 and say where it listens does that instead: it cannot fail.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// The ports that are tried. They lie below those that Linux and macOS give to connections and to listeners at port 0, so
// that neither takes one before the program does.
const (
	lowest, highest = 10000, 32000
	tries           = 100
)

var given sync.Map // addresses that this process has been given; none is given twice

// Free is Find for a test, which ends if there is no address.
func Free(t testing.TB) string {
	t.Helper()
	address, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Find returns an address, host and port, of this machine alone that nobody listens on at the moment. On Linux its host
// is of this process alone, so that tests of several packages at once are not in each other's way.
func Find() (string, error) {
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.2", 1+os.Getpid()>>8%250, os.Getpid()%256)
	}
	return FindAt(host)
}

// FindAt is Find with a host of the caller's choice, for programs that only answer under certain names.
func FindAt(host string) (string, error) {
	var last error
	for range tries {
		address := net.JoinHostPort(host, strconv.Itoa(lowest+rand.IntN(highest-lowest)))
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return address, listener.Close()
		}
		last = err
	}
	return "", fmt.Errorf("no free port at %s: %w", host, last)
}
