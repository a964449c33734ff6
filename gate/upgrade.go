package gate

import (
	"net/http"
	"strings"
)

// dropUpgrade takes out the wish to go on in a protocol in which the gate would not see every request,
// HTTP/2 without TLS (h2c) above all. The request itself goes on, as RFC 9110 §7.8 allows; many a client
// asks for h2c by default. WebSocket and the like pass.
func dropUpgrade(h http.Header) {
	delete(h, "Http2-Settings")
	if lines, ok := h["Upgrade"]; ok && !upgradeAllowed(lines) {
		delete(h, "Upgrade")
	}
}

// upgradeAllowed reports whether a protocol upgrade may reach the upstream: one line, one protocol,
// printable ASCII, not h2c.
func upgradeAllowed(lines []string) bool {
	if len(lines) != 1 || strings.Contains(lines[0], ",") {
		return false
	}
	name := lines[0]
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	protocol, _, _ := strings.Cut(name, "/")
	return name != "" && !strings.EqualFold(protocol, "h2c")
}
