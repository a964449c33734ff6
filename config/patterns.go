package config

import (
	"net/netip"
	"strings"
)

// patterns brings the entries of a matcher to canonical form and refuses those that have none.
func patterns(t *Tree, key string, list []string, canonical func(text string) (string, string)) []string {
	var out []string
	for i, text := range list {
		pattern, fix := canonical(text)
		if fix != "" {
			t.Refuse(element(key, i), fix)
			continue
		}
		out = append(out, pattern)
	}
	return out
}

// hostPattern returns a host in canonical form: lower case, without port and final dot, IPv6 in brackets and in
// its shortest form (RFC 5952). The second result says what is wrong.
func hostPattern(text string) (string, string) {
	host := strings.TrimSuffix(strings.ToLower(text), ".")
	switch {
	case strings.Contains(host, "://") || strings.ContainsAny(host, "/?#@"):
		return "", "must be a host alone, such as api.example.com, without scheme, user and path"
	case strings.Contains(host, "*"):
		return "", "must not hold a wildcard; list the hosts, or delete hosts to match all"
	}
	if strings.HasPrefix(host, "[") || strings.Count(host, ":") > 1 {
		bare := host
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			bare = host[1 : len(host)-1]
		}
		addr, err := netip.ParseAddr(bare)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "must be an IPv6 address without port and zone, such as [2001:db8::1]"
		}
		return "[" + addr.String() + "]", ""
	}
	if strings.Contains(host, ":") {
		return "", "must not have a port; routes match every port, so write the host alone"
	}
	if len(host) > 253 {
		return "", "is longer than the 253 bytes a host can have (RFC 1035 §2.3.4)"
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 {
			return "", "has a part between dots that is empty or longer than 63 bytes"
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c >= 0x80 {
				return "", "must be written in ASCII; use the form that begins with xn-- (RFC 5890)"
			}
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", "may hold only letters, digits, hyphens and dots; write one host per entry"
			}
		}
	}
	return host, ""
}

// methodPattern returns a method, which RFC 9110 §9.1 compares case-exactly.
func methodPattern(text string) (string, string) {
	switch {
	case text == "*":
		return "", "must not be a wildcard; delete methods to match all"
	case !isToken(text):
		return "", "is not a method (RFC 9110 §9.1); write one per entry, such as POST"
	case strings.ToUpper(text) != text:
		return "", "must be upper case, because methods are compared exactly; write " + shortened(strings.ToUpper(text))
	case text == "CONNECT":
		return "", "CONNECT is always refused; delete it"
	}
	return text, ""
}

// pathPattern returns a decoded path, exact or ending in "/**". One trailing slash of an exact path means the
// same as none and is dropped.
func pathPattern(text string) (string, string) {
	path := strings.TrimSuffix(text, "/**")
	prefix := path != text
	switch {
	case !strings.HasPrefix(text, "/"):
		return "", "must begin with /"
	case strings.Contains(path, "*"):
		return "", "may have * only at the end, as in /v1/accounts/**"
	case strings.ContainsAny(path, "{}"):
		return "", "must not hold a placeholder; use the path above it with /** at the end"
	case strings.Contains(path, "%"):
		return "", "must be written decoded, without %"
	case strings.ContainsAny(path, `?#\;`):
		return "", `must be a path alone, without ? # \ and ;`
	case hasControl(path):
		return "", "must be valid UTF-8 without control characters"
	case strings.Contains(text, "//"):
		return "", "must not hold //; the gate merges slashes before it matches"
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." {
			return "", "must not hold the segments . and ..; the gate resolves them before it matches"
		}
	}
	if prefix {
		return text, ""
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path, ""
}
