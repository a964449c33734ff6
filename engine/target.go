package engine

import (
	"bytes"
	"strings"

	"github.com/approovgate/approovgate/config"
)

const (
	maxTarget = 65536 // bytes of a whole request target
	maxPath   = 8192  // bytes of its path
	maxLoose  = 2048  // bytes of a path that holds %2F or ; and is read in several ways
)

// A target's path is brought to one form, routes are matched against that form, and exactly that form
// is forwarded, so that no backend can read another path than the gate did (RFC 3986 §6.2.2):
// escapes of unreserved characters are resolved, other escapes are upper-cased, characters that a path
// may not hold are escaped, "//" becomes "/", and dot segments are removed. What backends are known to
// read in different ways is refused. The query is forwarded byte for byte.

// splitTarget cuts a request target (RFC 9112 §3.2) into authority, path and query. The authority is
// empty in origin form, the query keeps its "?".
func splitTarget(target string) (authority, path, query string, ok bool) {
	if target == "" || len(target) > maxTarget {
		return "", "", "", false
	}
	if target[0] != '/' {
		scheme := strings.IndexByte(target, ':')
		if scheme < 0 || !isHTTP(target[:scheme]) || !strings.HasPrefix(target[scheme:], "://") {
			return "", "", "", false // "*", the authority form of CONNECT, other schemes
		}
		target = target[scheme+len("://"):]
		end := strings.IndexAny(target, "/?#")
		if end < 0 {
			end = len(target)
		}
		authority, target = target[:end], target[end:]
		if authority == "" {
			return "", "", "", false
		}
	}
	path = target
	if mark := strings.IndexByte(target, '?'); mark >= 0 {
		path, query = target[:mark], target[mark:]
	}
	if path == "" {
		path = "/"
	}
	return authority, path, query, len(path) <= maxPath && printable(query)
}

func isHTTP(scheme string) bool {
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// printable reports whether a query is free of what ends or splits a request line, and of fragments.
func printable(query string) bool {
	for i := 0; i < len(query); i++ {
		if c := query[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// canonicalPath is the one form of a path. clean tells that it holds no escapes, so that it is its own
// decoded form.
func canonicalPath(path string, t config.Targets) (canonical string, clean, ok bool) {
	if isPlain(path) {
		return path, true, true
	}
	if path[0] != '/' {
		return "", false, false
	}
	out := make([]byte, 0, len(path)+8)
	for i := 0; i < len(path); i++ {
		c := path[i]
		escaped := c == '%'
		if escaped {
			if c, ok = unhex(path, i+1); !ok {
				return "", false, false
			}
			i += 2
		}
		switch {
		case c < ' ' || c == 0x7f || c == '\\' || c == '#' && !escaped:
			return "", false, false
		case c == '/' && escaped && !t.EncodedSlash || c == ';' && !t.Semicolon:
			return "", false, false
		case isUnreserved(c) || !escaped && isPathByte(c):
			out = append(out, c)
		default:
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	canonical, ok = removeDots(string(out))
	if !ok || len(canonical) > maxPath || overlong(decodePath(canonical)) {
		return "", false, false
	}
	if len(canonical) > maxLoose && isLoose(canonical) {
		return "", false, false
	}
	return canonical, strings.IndexByte(canonical, '%') < 0, true
}

// isLoose reports whether a canonical path holds what servers read differently, which is then allowed.
func isLoose(canonical string) bool {
	return strings.IndexByte(canonical, ';') >= 0 || strings.Contains(canonical, "%2F") || strings.Contains(canonical, "%3B")
}

const hexDigits = "0123456789ABCDEF"

// isPlain reports whether a path is canonical as it stands: no escapes, nothing to escape, no empty
// segment, and no segment that begins with a dot.
func isPlain(path string) bool {
	if path[0] != '/' {
		return false
	}
	slash := false
	for i := 0; i < len(path); i++ {
		c := path[i]
		if slash && (c == '/' || c == '.') || c == ';' || !isPathByte(c) {
			return false
		}
		slash = c == '/'
	}
	return true
}

// isPlainByCalls is isPlain for an interpreted engine, to which a call of compiled code is much cheaper than a loop.
func isPlainByCalls(path string) bool {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/"
	return path[0] == '/' && strings.TrimLeft(path, plain) == "" && !strings.Contains(path, "//") && !strings.Contains(path, "/.")
}

// Sets of ASCII characters, as bits: the lower half for 0 to 63, the upper for 64 to 127.
const (
	letters         = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	digits          = (1<<10 - 1) << '0'
	unreservedLower = digits | 1<<'-' | 1<<'.'
	unreservedUpper = letters | 1<<('_'-64) | 1<<('~'-64)
	pathLower       = unreservedLower | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*' | 1<<'+' | 1<<',' | 1<<';' | 1<<'=' | 1<<':' | 1<<'/'
	pathUpper       = unreservedUpper | 1<<('@'-64)
)

// isUnreserved is RFC 3986 §2.3.
func isUnreserved(c byte) bool {
	if c < 64 {
		return uint64(unreservedLower)>>c&1 == 1
	}
	return c < 128 && uint64(unreservedUpper)>>(c-64)&1 == 1
}

// isPathByte is RFC 3986 §3.3's pchar without escapes, and "/".
func isPathByte(c byte) bool {
	if c < 64 {
		return uint64(pathLower)>>c&1 == 1
	}
	return c < 128 && uint64(pathUpper)>>(c-64)&1 == 1
}

// unhex is the byte whose two hexadecimal digits are at i.
func unhex(text string, i int) (byte, bool) {
	if i+1 >= len(text) {
		return 0, false
	}
	high, ok := hexDigit(text[i])
	low, ok2 := hexDigit(text[i+1])
	return high<<4 | low, ok && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// removeDots merges slashes and removes dot segments (RFC 3986 §5.2.4). A path that leaves the root is
// refused.
func removeDots(path string) (string, bool) {
	kept := make([]byte, 0, len(path)) // a slash before every segment
	directory := false                 // the path ends in a slash
	for rest := path; rest != ""; {
		segment := rest[1:]
		if slash := strings.IndexByte(segment, '/'); slash >= 0 {
			segment = segment[:slash]
		}
		rest = rest[1+len(segment):]
		directory = segment == "" || segment == "." || segment == ".."
		if segment == ".." {
			if len(kept) == 0 {
				return "", false
			}
			kept = kept[:bytes.LastIndexByte(kept, '/')]
		}
		if !directory {
			kept = append(append(kept, '/'), segment...)
		}
	}
	if directory || len(kept) == 0 {
		kept = append(kept, '/')
	}
	return string(kept), true
}

// decodePath resolves all escapes of a canonical path, except those of slashes and semicolons: an
// escaped one is data, and must not become what separates segments or parameters.
func decodePath(canonical string) string {
	out := make([]byte, 0, len(canonical))
	for i := 0; i < len(canonical); i++ {
		if canonical[i] == '%' {
			if c, _ := unhex(canonical, i+1); c != '/' && c != ';' {
				out = append(out, c)
				i += 2
				continue
			}
		}
		out = append(out, canonical[i])
	}
	return string(out)
}

// overlong reports whether text holds a UTF-8 sequence that spells a character with more bytes than it
// needs, such as C0 AF for "/" (RFC 3629 §10).
func overlong(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		lead, next := text[i], text[i+1]
		if next < 0x80 || next > 0xbf {
			continue
		}
		if lead == 0xc0 || lead == 0xc1 || lead == 0xe0 && next < 0xa0 || lead == 0xf0 && next < 0x90 {
			return true
		}
		if lead == 0xf8 && next < 0x88 || lead == 0xfc && next < 0x84 { // five and six bytes, before RFC 3629
			return true
		}
	}
	return false
}

// readings are the ways in which a backend may read a canonical path, decoded, without the final slash.
// There is more than one only where the policy allows what backends disagree on: whether an escaped slash
// separates, whether parameters are dropped, escaped ones too, and in which order. A reading with dot
// segments is refused: what they remove would depend on all of that.
func readings(canonical string, t config.Targets) ([]string, bool) {
	ways := []string{decodePath(canonical)}
	if t.Semicolon {
		ways = withoutParameters(ways)
	}
	if t.EncodedSlash && strings.Contains(ways[0], "%2F") {
		for i, n := 0, len(ways); i < n; i++ {
			ways = append(ways, strings.Replace(ways[i], "%2F", "/", -1))
		}
		if t.Semicolon {
			ways = withoutParameters(ways)
		}
	}
	for i := range ways {
		if hasDots(ways[i]) {
			return nil, false
		}
		cleaned, ok := removeDots(ways[i])
		if !ok {
			return nil, false
		}
		ways[i] = trimSlash(cleaned)
	}
	if t.FoldCase {
		ways = foldings(ways)
	}
	return ways, true
}

// foldings are paths without letter case: ASCII alone, and as Unicode has it, where the two differ.
func foldings(ways []string) []string {
	var folded []string
	for _, way := range ways {
		ascii := lowerASCII(way)
		folded = append(folded, ascii)
		for _, unicode := range [...]string{strings.ToLower(way), strings.ToLower(strings.ToUpper(way))} {
			if unicode != ascii {
				folded = append(folded, unicode)
			}
		}
	}
	return folded
}

func lowerASCII(text string) string {
	lower := []byte(text)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

// hasDots reports whether a path has a segment "." or "..".
func hasDots(path string) bool {
	return strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}

// withoutParameters adds to paths what becomes of them on servers that drop parameters: those behind a
// semicolon, or those behind an escaped one as well.
func withoutParameters(paths []string) []string {
	for i, n := 0, len(paths); i < n; i++ {
		all := strings.Replace(paths[i], "%3B", ";", -1)
		if strings.IndexByte(all, ';') < 0 {
			continue
		}
		paths = append(paths, dropParameters(paths[i]), dropParameters(all))
	}
	return paths
}

// dropParameters removes what follows a semicolon from every segment, as servlet containers do.
func dropParameters(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if semicolon := strings.IndexByte(segment, ';'); semicolon >= 0 {
			segments[i] = segment[:semicolon]
		}
	}
	return strings.Join(segments, "/")
}

func trimSlash(path string) string {
	if len(path) > 1 && path[len(path)-1] == '/' {
		return path[:len(path)-1]
	}
	return path
}
