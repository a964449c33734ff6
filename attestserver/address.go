package attestserver

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddress is the address a request comes from, as text: who connects, or whom the proxies say that are trusted to.
// Empty: there is none, as for a Unix socket.
func (s *Server) ClientAddress(r *http.Request) string {
	address, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return ""
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(chain) - 1; i >= 0 && s.trusts(address); i-- {
		before, ok := parseAddress(strings.TrimSpace(chain[i]))
		if !ok {
			break // what a proxy has added is an address; who is further away is not known
		}
		address = before
	}
	return address.String()
}

func (s *Server) trusts(address netip.Addr) bool {
	for _, network := range s.o.TrustedProxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// parseAddress reads an address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return address.Unmap().WithZone(""), err == nil
}
