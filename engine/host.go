package engine

import (
	"net/netip"
	"strings"
)

const maxHost = 255 // bytes, RFC 1035 §2.3.4

// canonicalHost reads a Host header (RFC 9110 §7.2): name is what routes are matched against, in lower
// case, without port, final dot and brackets; full is what is forwarded, name and port. An empty host
// is left to the caller.
func canonicalHost(host string) (name, full string, ok bool) {
	if host == "" {
		return "", "", true
	}
	if len(host) > maxHost+len(":65535") {
		return "", "", false
	}
	if host[0] == '[' {
		return literalHost(host)
	}
	name, port := host, ""
	if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name, port = host[:colon], host[colon:]
	}
	if !isPort(port) {
		return "", "", false
	}
	if len(name) > 1 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if !isName(name) {
		if name = lowerASCII(name); !isName(name) {
			return "", "", false
		}
	}
	if port == ":" {
		port = ""
	}
	if len(name)+len(port) == len(host) && strings.HasPrefix(host, name) {
		return name, host, true
	}
	return name, name + port, true
}

// literalHost reads an IPv6 address in brackets; zones are refused (RFC 9844).
func literalHost(host string) (name, full string, ok bool) {
	end := strings.IndexByte(host, ']')
	if end < 0 || !isPort(host[end+1:]) {
		return "", "", false
	}
	address, err := netip.ParseAddr(host[1:end])
	if err != nil || !address.Is6() || address.Zone() != "" {
		return "", "", false
	}
	name = address.String()
	port := host[end+1:]
	if port == ":" {
		port = ""
	}
	return name, "[" + name + "]" + port, true
}

// isPort accepts nothing, a bare colon, and a colon with 1 to 5 digits (RFC 3986 §3.2.3).
func isPort(port string) bool {
	if port == "" {
		return true
	}
	if port[0] != ':' || len(port) > len(":65535") {
		return false
	}
	value := 0
	for i := 1; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
		value = value*10 + int(port[i]-'0')
	}
	return value <= 65535
}

// isName accepts dotted labels of letters, digits, "-" and "_". An internationalised name must come
// in its ASCII form, as clients send it.
func isName(name string) bool {
	if name == "" || len(name) > maxHost {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_':
			label++
		default:
			return false
		}
	}
	return label > 0
}
