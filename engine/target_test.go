package engine

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

// slowTarget is the oracle of FuzzTarget: the same rules, written with regular expressions, net/url and
// path.Clean, without regard to speed.
func slowTarget(target string, t config.Targets) (canonical, decoded string, ok bool) {
	if len(target) > maxTarget {
		return "", "", false
	}
	if absolute := regexp.MustCompile(`(?i)^https?://[^/?#]+`).FindString(target); absolute != "" {
		if target = target[len(absolute):]; target == "" || target[0] == '?' {
			target = "/" + target
		}
	}
	before, query, asked := strings.Cut(target, "?")
	if !strings.HasPrefix(before, "/") || len(before) > maxPath {
		return "", "", false
	}
	if strings.ContainsAny(before, "\\#\x7f") || strings.ContainsAny(query, " #\x7f") || hasControls(before) || hasControls(query) {
		return "", "", false
	}
	if regexp.MustCompile(`%(00|[01].|7[fF]|5[cC])`).MatchString(before) {
		return "", "", false
	}
	if !t.EncodedSlash && strings.Contains(strings.ToLower(before), "%2f") {
		return "", "", false
	}
	if !t.Semicolon && (strings.Contains(before, ";") || strings.Contains(strings.ToLower(before), "%3b")) {
		return "", "", false
	}
	if _, err := url.PathUnescape(before); err != nil {
		return "", "", false
	}
	canonical, ok = slowDots(slowEscapes(before))
	if !ok || len(canonical) > maxPath || len(canonical) > 2048 && regexp.MustCompile(`;|%2F|%3B`).MatchString(canonical) {
		return "", "", false
	}
	decoded = slowDecode(canonical)
	if slowOverlong(decoded) {
		return "", "", false
	}
	if asked {
		canonical += "?" + query
	}
	return canonical, decoded, true
}

func hasControls(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' }) >= 0
}

// slowEscapes rewrites every byte of a path with its one spelling.
func slowEscapes(text string) string {
	unit := regexp.MustCompile(`(?s)%[0-9A-Fa-f]{2}|.`)
	unreserved := regexp.MustCompile(`^[A-Za-z0-9._~-]$`)
	literal := regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@/-]$`)
	return unit.ReplaceAllStringFunc(text, func(spelt string) string {
		plain, err := url.PathUnescape(spelt)
		if err == nil && plain != spelt { // an escape
			if unreserved.MatchString(plain) {
				return plain
			}
			return strings.ToUpper(spelt)
		}
		if literal.MatchString(spelt) {
			return spelt
		}
		escaped := ""
		for i := 0; i < len(spelt); i++ { // a character of several bytes
			escaped += "%" + string("0123456789ABCDEF"[spelt[i]/16]) + string("0123456789ABCDEF"[spelt[i]%16])
		}
		return escaped
	})
}

// slowDots resolves dot segments with path.Clean, and refuses paths that leave the root, which
// path.Clean hides.
func slowDots(text string) (string, bool) {
	depth := 0
	for _, segment := range strings.Split(text, "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", false
			}
		default:
			depth++
		}
	}
	clean := path.Clean(text)
	if clean != "/" && regexp.MustCompile(`/\.{0,2}$`).MatchString(text) {
		clean += "/"
	}
	return clean, true
}

// slowDecode resolves all escapes but those of slash and semicolon.
func slowDecode(canonical string) string {
	kept := strings.NewReplacer("%2F", "%252F", "%3B", "%253B").Replace(canonical)
	plain, err := url.PathUnescape(kept)
	if err != nil {
		return "not decodable: " + err.Error()
	}
	return plain
}

func slowOverlong(text string) bool {
	runes := make([]rune, 0, len(text)) // each byte as the character of its number, for the regular expression
	for i := 0; i < len(text); i++ {
		runes = append(runes, rune(text[i]))
	}
	const sequences = `[\x{c0}\x{c1}][\x{80}-\x{bf}]|\x{e0}[\x{80}-\x{9f}]|\x{f0}[\x{80}-\x{8f}]|\x{f8}[\x{80}-\x{87}]|\x{fc}[\x{80}-\x{83}]`
	return regexp.MustCompile(sequences).MatchString(string(runes))
}

// fastTarget is what the engine makes of a target.
func fastTarget(target string, t config.Targets) (canonical, decoded string, ok bool) {
	_, path, query, ok := splitTarget(target)
	if !ok {
		return "", "", false
	}
	canonical, clean, ok := canonicalPath(path, t)
	if !ok {
		return "", "", false
	}
	decoded = decodePath(canonical)
	if clean && decoded != canonical {
		return "", "clean, but has escapes: " + canonical, true
	}
	return canonical + query, decoded, true
}

func targetFlags(bits byte) config.Targets {
	return config.Targets{EncodedSlash: bits&1 != 0, Semicolon: bits&2 != 0, FoldCase: bits&4 != 0}
}

var targetSeeds = []string{
	"/", "/api/admin", "//api//admin", "///", "/./api/./admin", "/%2e/api", "/public/%2e%2e/api/admin", "/public/..;/api/admin",
	"/api;p=1/admin", "/api%2fadmin", "/api%2Fadmin", "/api%252fadmin", "/api%5cadmin", "/api\\admin", "/api/%c0%af", "/api/%ef%bc%8fadmin",
	"/api/admin/", "/api/admin/.", "/api/admin%20", "/api/admin\t", "/api/admin?", "/api/admin?a=1?b", "/api/admin#f", "/api/admin%23f",
	"/API/Admin", "/caf%C3%A9", "/cafe%CC%81", "/\u212Aapi", "/api../admin", "/api/../admin", "/api/..", "/..", "/a/../..", "/a/b/../..",
	"http://example.com/api/admin", "HTTPS://example.com?x", "http://example.com", "http://", "ftp://example.com/", "*", "", "example.com:443",
	"/%00", "/%0a", "/%7f", "/%", "/%1", "/%zz", "/a%2Bb+c%3A:", "/[x]", "/a b", "/\xff", "/%ff", "/%e0%80%af", "/%f0%80%80%af", "/%f8%80%80%80%af",
	"/%fc%80%80%80%80%af", "/a%3Bb", "/..%2f..%2fapi", "/a/%2e%2e%2fb", "/.well-known/x", "/...", "/a/.b/..c", "/~u/%7Eu", "/?#", "/a?b c",
}

// FuzzTarget compares the canonical reading of a target with the oracle's, and holds its promises: a
// fixed point, and one way to read it.
func FuzzTarget(f *testing.F) {
	for i, seed := range targetSeeds {
		f.Add(seed, byte(0))
		f.Add(seed, byte(3))
		f.Add(seed, byte(i))
	}
	f.Fuzz(func(t *testing.T, target string, bits byte) {
		flags := targetFlags(bits)
		canonical, decoded, ok := fastTarget(target, flags)
		wantCanonical, wantDecoded, wantOK := slowTarget(target, flags)
		if canonical != wantCanonical || decoded != wantDecoded || ok != wantOK {
			t.Fatalf("target %.300q %+v: got %.300q %.300q %v, want %.300q %.300q %v", target, flags, canonical, decoded, ok, wantCanonical, wantDecoded, wantOK)
		}
		if ok {
			holdCanonical(t, canonical, flags)
		}
	})
}

// holdCanonical tests what must be true of every canonical target.
func holdCanonical(t *testing.T, canonical string, flags config.Targets) {
	t.Helper()
	if again, _, ok := fastTarget(canonical, flags); again != canonical || !ok {
		t.Fatalf("canonical form is no fixed point: got %.300q %v, want %.300q", again, ok, canonical)
	}
	path, query, _ := strings.Cut(canonical, "?")
	u, err := url.ParseRequestURI(canonical)
	if err != nil {
		t.Fatalf("net/url on %q: got %v, want no error", canonical, err)
	}
	if u.EscapedPath() != path || u.RawQuery != query || u.Host != "" {
		t.Fatalf("net/url reads %q as path %q query %q host %q, want path %q query %q", canonical, u.EscapedPath(), u.RawQuery, u.Host, path, query)
	}
	for i := 0; i < len(path); i++ {
		if path[i] <= ' ' || path[i] >= 0x7f || path[i] == '\\' || path[i] == '#' {
			t.Fatalf("canonical path %q holds byte %#x", path, path[i])
		}
	}
	for _, sequence := range []string{"//", "/./", "/../"} {
		if strings.Contains(path+"/", sequence) && !strings.HasSuffix(path, "/") || strings.Contains(path, sequence) {
			t.Fatalf("canonical path %q holds %q", path, sequence)
		}
	}
	decoded := decodePath(path)
	if !flags.EncodedSlash && strings.Count(decoded, "/") != strings.Count(path, "/") {
		t.Fatalf("decoding %q gives other segments: %q", path, decoded)
	}
	for _, segment := range strings.Split(decoded, "/") {
		if segment == "." || segment == ".." {
			t.Fatalf("decoding %q gives a dot segment: %q", path, decoded)
		}
	}
}

func TestTargetsAreReadInOneWay(t *testing.T) {
	loose := config.Targets{EncodedSlash: true, Semicolon: true}
	for _, row := range []struct{ name, target, want string }{
		{"slashes are merged", "//a///b", "/a/b"},
		{"dot segments are removed, spelt with escapes too", "/a/%2E/b/%2e./c", "/a/c"},
		{"a final dot segment leaves a directory", "/a/b/..", "/a/"},
		{"leaving the root is refused", "/a/../../b", ""},
		{"an absolute target is cut to its path and query", "http://example.com/a?b", "/a?b"},
		{"an absolute target without a path asks for the root", "http://example.com?b", "/?b"},
		{"the query is kept byte for byte", "/a?B=%2f..//;&&%zz", "/a?B=%2f..//;&&%zz"},
		{"a bare question mark is kept", "/a?", "/a?"},
		{"escapes of letters are resolved, others are upper-cased", "/%61%2b%c3%a9", "/a%2B%C3%A9"},
		{"characters outside pchar are escaped", "/a b\"<\u00e9>", "/a%20b%22%3C%C3%A9%3E"},
		{"a fragment is refused", "/a#b", ""},
		{"a fragment behind a query is refused", "/a?b#c", ""},
		{"a double escape is resolved once only", "/%252e%252e", "/%252e%252e"},
		{"an overlong slash is refused", "/a%c0%afb", ""},
		{"a backslash is refused in both spellings", "/a%5cb", ""},
		{"the asterisk is refused", "*", ""},
		{"an empty target is refused", "", ""},
		{"the authority form is refused", "example.com:443", ""},
		{"a scheme other than http is refused", "ftp://example.com/a", ""},
		{"8,192 bytes of path are read", "/" + strings.Repeat("a", maxPath-1), "/" + strings.Repeat("a", maxPath-1)},
		{"8,193 bytes of path are refused", "/" + strings.Repeat("a", maxPath), ""},
		{"2,049 bytes of path with escapes that have one reading are read", "/%5B" + strings.Repeat("a", 2045), "/%5B" + strings.Repeat("a", 2045)},
		{"a path that escaping makes longer than that is refused", "/" + strings.Repeat("\xff", 2731), ""},
		{"65,537 bytes of target are refused", "/?" + strings.Repeat("a", maxTarget-1), ""},
	} {
		got, _, _ := fastTarget(row.target, config.Targets{})
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	for _, row := range []struct{ name, target, want string }{
		{"an allowed encoded slash stays encoded", "/a%2fb", "/a%2Fb"},
		{"an allowed semicolon stays as it is", "/a;b%3bc", "/a;b%3Bc"},
	} {
		if got, _, _ := fastTarget(row.target, config.Targets{}); got != "" {
			t.Errorf("%s: got %q by default, want it refused", row.name, got)
		}
		if got, _, _ := fastTarget(row.target, loose); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
