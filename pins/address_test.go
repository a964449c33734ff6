package pins

import (
	"net/netip"
	"testing"
)

// The addresses that a service must not be led to.
func TestPublicAddresses(t *testing.T) {
	for _, row := range []struct {
		name, address string
		want          bool
	}{
		{"a public one", "93.184.216.34", true},
		{"a public one of IPv6", "2606:2800:220:1:248:1893:25c8:1946", true},
		{"one of the first that networks got", "2001:200::1", true},
		{"loopback", "127.0.0.1", false},
		{"loopback, further", "127.255.255.254", false},
		{"loopback of IPv6", "::1", false},
		{"unspecified", "0.0.0.0", false},
		{"unspecified of IPv6", "::", false},
		{"this network", "0.1.2.3", false},
		{"private, 10", "10.0.0.1", false},
		{"private, 172.16", "172.31.255.255", false},
		{"beside private, 172.32", "172.32.0.1", true},
		{"private, 192.168", "192.168.1.1", false},
		{"carriers' NAT", "100.64.0.1", false},
		{"beside carriers' NAT", "100.128.0.1", true},
		{"link-local, where clouds tell secrets", "169.254.169.254", false},
		{"link-local of IPv6", "fe80::1", false},
		{"link-local of IPv6 with a zone", "fe80::1%eth0", false},
		{"a public form with a zone", "2606:2800::1%eth0", false},
		{"protocol assignments", "192.0.0.8", false},
		{"documentation", "192.0.2.1", false},
		{"documentation, second", "198.51.100.1", false},
		{"documentation, third", "203.0.113.1", false},
		{"documentation of IPv6", "2001:db8::1", false},
		{"documentation of IPv6, second", "3fff::1", false},
		{"relays of 6to4", "192.88.99.1", false},
		{"benchmarks", "198.19.0.1", false},
		{"multicast", "224.0.0.1", false},
		{"multicast of IPv6", "ff02::1", false},
		{"reserved", "240.0.0.1", false},
		{"broadcast", "255.255.255.255", false},
		{"unique local", "fd00::1", false},
		{"clouds' metadata of IPv6", "fd00:ec2::254", false},
		{"site-local", "fec0::1", false},
		{"mapped loopback", "::ffff:127.0.0.1", false},
		{"mapped private", "::ffff:10.0.0.1", false},
		{"mapped public", "::ffff:93.184.216.34", true},
		{"compatible loopback", "::127.0.0.1", false},
		{"translated loopback", "::ffff:0:127.0.0.1", false},
		{"NAT64 of loopback", "64:ff9b::7f00:1", false},
		{"NAT64, local", "64:ff9b:1::7f00:1", false},
		{"6to4 of a private address", "2002:a00:1::1", false},
		{"Teredo", "2001:0:4136:e378::1", false},
		{"ORCHIDv2", "2001:20::1", false},
		{"discard", "100::1", false},
		{"segment routing", "5f00::1", false},
	} {
		if got := public(netip.MustParseAddr(row.address)); got != row.want {
			t.Errorf("%s, %s: got %v, want %v", row.name, row.address, got, row.want)
		}
	}
}
