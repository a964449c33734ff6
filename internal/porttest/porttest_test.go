package porttest

import (
	"net"
	"testing"
)

func TestEachIsFreeAndGivenOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		address := Free(t)
		if seen[address] {
			t.Fatalf("got %s twice", address)
		}
		seen[address] = true
	}
	for address := range seen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(address)
		if !net.ParseIP(host).IsLoopback() {
			t.Errorf("got %s, want an address of this machine alone", address)
		}
		_ = listener.Close()
	}
}

// TestNoneIsSaid: where nothing can listen, there is an error and no address.
func TestNoneIsSaid(t *testing.T) {
	if address, err := FindAt("192.0.2.1"); err == nil {
		t.Errorf("at a host that is not this machine's: got %s, want an error", address)
	}
}
