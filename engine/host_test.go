package engine

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// slowHost is the oracle of FuzzHost, written with regular expressions, net/netip and net/url.
func slowHost(host string) (name, full string, ok bool) {
	if host == "" {
		return "", "", true
	}
	const port = `(?::([0-9]{0,5}))?$`
	if literal := regexp.MustCompile(`^\[([0-9A-Fa-f:.]+)\]` + port).FindStringSubmatch(host); literal != nil {
		address, err := netip.ParseAddr(literal[1])
		if err != nil || !address.Is6() {
			return "", "", false
		}
		return slowPort(address.String(), "["+address.String()+"]", literal[2])
	}
	named := regexp.MustCompile(`^([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?` + port).FindStringSubmatch(host)
	if named == nil || len(named[1]) > maxHost || len(host) > maxHost+6 {
		return "", "", false
	}
	lower := strings.ToLower(named[1])
	return slowPort(lower, lower, named[2])
}

func slowPort(name, full, port string) (string, string, bool) {
	if port == "" {
		return name, full, true
	}
	if number, err := strconv.Atoi(port); err != nil || number > 65535 {
		return "", "", false
	}
	return name, full + ":" + port, true
}

var hostSeeds = []string{
	"", "example.com", "EXAMPLE.com", "example.com.", "example.com..", ".", ".example.com", "a..b", "example.com:443", "example.com.:443",
	"example.com:", "example.com:0443", "example.com:65535", "example.com:65536", "example.com:123456", "example.com:a", "a:1:2", ":80",
	"xn--example-.com", "ex\u00e4mple.com", "\u212Aiosk.com", "\u0130.com", "user@example.com", "user:pw@example.com", "a b", "a/b", "a?b", "a#b",
	"127.0.0.1", "127.1", "[::1]", "[::1]:8080", "[::1]:", "[2001:DB8:0:0::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::ffff:1.2.3.4]", "[1.2.3.4]",
	"[::1", "::1", "[]", "[::1]x", "under_score.example", "a\x00b", "a,b", strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a.", 128),
}

// FuzzHost compares the canonical host with the oracle's and with net/url's reading.
func FuzzHost(f *testing.F) {
	for _, seed := range hostSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, full, ok := canonicalHost(host)
		wantName, wantFull, wantOK := slowHost(host)
		if name != wantName || full != wantFull || ok != wantOK {
			t.Fatalf("host %q: got %q %q %v, want %q %q %v", host, name, full, ok, wantName, wantFull, wantOK)
		}
		if !ok || host == "" {
			return
		}
		if againName, again, ok := canonicalHost(full); againName != name || again != full || !ok {
			t.Fatalf("canonical host %q is no fixed point: got %q %q %v", full, againName, again, ok)
		}
		u, err := url.Parse("http://" + full + "/")
		if err != nil || u.Hostname() != name || u.User != nil || u.Host != full {
			t.Fatalf("net/url on %q: got %+v %v, want host name %q", full, u, err, name)
		}
	})
}

func TestHostsAreReadInOneWay(t *testing.T) {
	for _, row := range []struct {
		text, host, name, full string
		ok                     bool
	}{
		{"letter case is folded", "API.Example.COM", "api.example.com", "api.example.com", true},
		{"one final dot is dropped, the port is kept", "example.com.:8443", "example.com", "example.com:8443", true},
		{"an empty port is dropped", "example.com:", "example.com", "example.com", true},
		{"an IPv6 address takes its shortest form", "[2001:DB8:0:0:0:0:0:1]:80", "2001:db8::1", "[2001:db8::1]:80", true},
		{"a zone is refused", "[fe80::1%25eth0]", "", "", false},
		{"user information is refused", "a@example.com", "", "", false},
		{"a character that only lower-cases to ASCII is refused", "\u212Aiosk.com", "", "", false},
		{"an empty label is refused", "a..b", "", "", false},
		{"a port above 65535 is refused", "example.com:65536", "", "", false},
		{"no host is left to the caller", "", "", "", true},
	} {
		name, full, ok := canonicalHost(row.host)
		if name != row.name || full != row.full || ok != row.ok {
			t.Errorf("%s: got %q %q %v, want %q %q %v", row.text, name, full, ok, row.name, row.full, row.ok)
		}
	}
}
