package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/engine"
)

// origin is where a request came from and how it was addressed, as far as that can be believed: what the
// connection shows, and behind trusted proxies what they say.
type origin struct {
	client string // address without a port; "unknown" where there is none (RFC 7239 §6.3)
	hops   string // X-Forwarded-For for the upstream: client, then the trusted proxies, the nearest last
	host   string // the Host the client asked for
	proto  string // http or https
	port   string // the port the client asked for

	believed bool // client is another than the connection's other side, on a trusted proxy's word
}

// originOf finds the origin of a request. From whom nobody trusts, nothing in the header is believed.
func originOf(r *http.Request, trusted *Peers) origin {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	unix := err != nil // net/http's addresses of TCP clients always have a port
	if unix {
		peer = "unknown"
	}
	o := origin{client: peer, hops: peer, host: r.Host, proto: "http"}
	if r.TLS != nil {
		o.proto = "https"
	}
	if !trusted.Empty() {
		address, err := netip.ParseAddr(peer)
		if unix && trusted.Unix || err == nil && trusted.contains(address) {
			o.believe(r.Header, address, trusted)
		}
	}
	if o.port == "" {
		o.port = portOf(o.host, o.proto)
	}
	return o
}

// maxHops bounds how many of the proxies that a header names are looked at.
const maxHops = 32

// believe takes over what a trusted peer says. X-Forwarded-* are asked first; only where there is no
// X-Forwarded-For does Forwarded (RFC 7239) count: a proxy that writes one passes on the other unread.
// The invalid address stands for a peer on a unix socket.
func (o *origin) believe(h http.Header, peer netip.Addr, trusted *Peers) {
	said := forwardedFor(h)
	from := element{host: single(h, "X-Forwarded-Host"), proto: single(h, "X-Forwarded-Proto"), port: single(h, "X-Forwarded-Port")}
	standard := len(said) == 0
	if standard {
		said = forwarded(h)
	}
	var hops []string // nearest first
	if peer.IsValid() {
		hops = append(hops, peer.String())
	}
	// From the right: each address was written by the hop after it, which must be trusted for it to count.
	for i := len(said) - 1; i >= 0 && len(hops) < maxHops && (!peer.IsValid() || trusted.contains(peer)); i-- {
		address, ok := parseNode(said[i].node)
		if standard {
			from = said[i]
		}
		if !ok {
			break
		}
		peer = address
		hops = append(hops, address.String())
	}
	if len(hops) > 0 {
		o.believed = hops[len(hops)-1] != o.client
		o.client, o.hops = hops[len(hops)-1], hops[len(hops)-1]
		for i := len(hops) - 2; i >= 0; i-- {
			o.hops += ", " + hops[i]
		}
	}
	if isHost(from.host) {
		o.host = from.host
	}
	if proto := strings.ToLower(from.proto); proto == "http" || proto == "https" {
		o.proto = proto
	}
	if isPort(from.port) {
		o.port = from.port
	}
}

// element is what one proxy said of the request it got.
type element struct{ node, host, proto, port string }

// forwardedFor are the addresses of all X-Forwarded-For lines, the nearest proxy's last.
func forwardedFor(h http.Header) []element {
	var all []element
	for _, line := range h["X-Forwarded-For"] {
		for _, node := range strings.Split(line, ",") {
			all = append(all, element{node: strings.Trim(node, " \t")})
		}
	}
	return all
}

// forwarded are the elements of all Forwarded lines (RFC 7239 §4), the nearest proxy's last.
func forwarded(h http.Header) []element {
	var all []element
	for _, line := range h["Forwarded"] {
		for _, text := range splitQuoted(line, ',') {
			var e element
			for _, pair := range splitQuoted(text, ';') {
				name, value, _ := strings.Cut(pair, "=")
				value = unquote(strings.Trim(value, " \t"))
				switch strings.ToLower(strings.Trim(name, " \t")) {
				case "for":
					e.node = value
				case "host":
					e.host = value
				case "proto":
					e.proto = value
				}
			}
			all = append(all, e)
		}
	}
	return all
}

// splitQuoted splits text at separators outside quoted strings.
func splitQuoted(text string, separator byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// unquote is the content of a quoted string, or text as it is.
func unquote(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.ReplaceAll(text[1:len(text)-1], `\`, "")
}

// single is the value of a header that stands there once with one value.
func single(h http.Header, name string) string {
	if lines := h[name]; len(lines) == 1 && !strings.Contains(lines[0], ",") {
		return lines[0]
	}
	return ""
}

// parseNode reads an address that a proxy wrote, with or without a port.
func parseNode(text string) (netip.Addr, bool) {
	if address, err := netip.ParseAddrPort(text); err == nil {
		return address.Addr().Unmap().WithZone(""), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	address, err := netip.ParseAddr(text)
	return address.Unmap().WithZone(""), err == nil
}

// isHost reports whether text can be the value of a Host header.
func isHost(text string) bool {
	const (
		longest = 261 // a name of 255 bytes and a port
		allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
	)
	return text != "" && len(text) <= longest && strings.Trim(text, allowed) == ""
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// portOf is the port that a Host names, or that its scheme means.
func portOf(host, proto string) string {
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && isPort(host[colon+1:]) {
		return host[colon+1:]
	}
	if proto == "https" {
		return "443"
	}
	return "80"
}

// The headers that tell the upstream about the origin, in canonical form.
const (
	headerForwarded = "Forwarded"
	headerFor       = "X-Forwarded-For"
	headerHost      = "X-Forwarded-Host"
	headerPort      = "X-Forwarded-Port"
	headerProto     = "X-Forwarded-Proto"
)

var originHeaders = [...]string{headerForwarded, headerFor, headerHost, headerPort, headerProto}

// write tells the upstream the origin, in place of whatever the client claimed.
func (o *origin) write(h http.Header) {
	deleteClaims(h)
	values := []string{o.hops, o.host, o.port, o.proto, o.standard()} // one allocation for the five
	h[headerFor] = values[0:1:1]
	h[headerHost] = values[1:2:2]
	h[headerPort] = values[2:3:3]
	h[headerProto] = values[3:4:4]
	h[headerForwarded] = values[4:5:5]
}

// standard is the origin in the form of RFC 7239.
func (o *origin) standard() string {
	host := o.host
	if strings.ContainsAny(host, `"\`) {
		host = strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(host)
	}
	first := "for=" + node(o.client) + `;host="` + host + `";proto=` + o.proto
	rest := strings.TrimPrefix(o.hops[len(o.client):], ", ")
	if rest == "" {
		return first
	}
	for _, hop := range strings.Split(rest, ", ") {
		first += ", for=" + node(hop)
	}
	return first
}

// node is an address as RFC 7239 §6 writes it.
func node(address string) string {
	if strings.IndexByte(address, ':') >= 0 {
		return `"[` + address + `]"`
	}
	return address
}

// deleteClaims deletes what a client says about proxies and addresses before us: Forwarded, every
// X-Forwarded header, the names that other proxies use for the client's address, and the spellings of all
// of these that CGI-like backends fold into them.
func deleteClaims(h http.Header) {
	for name := range h {
		if isClaim(name) {
			delete(h, name)
		}
	}
}

// claims are names of headers in which proxies tell a backend who the client is.
var claims = [...]string{headerForwarded, "X-Real-Ip", "True-Client-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip"}

func isClaim(name string) bool {
	const all = "X-Forwarded"
	if len(name) >= len(all) && engine.SameHeader(name[:len(all)], all) {
		return true
	}
	for _, claim := range claims {
		if len(name) == len(claim) && engine.SameHeader(name, claim) {
			return true
		}
	}
	return false
}
