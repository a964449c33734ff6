package jose

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// The functions here take a text and a position and return the position behind what they read, or -1.

func skipSpace(text string, pos int) int {
	for pos < len(text) {
		c := text[pos]
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			break
		}
		pos++
	}
	return pos
}

// scanValue reads any JSON value (RFC 8259 §3).
func scanValue(text string, pos, depth int) int {
	if pos >= len(text) || depth > maxDepth {
		return -1
	}
	switch c := text[pos]; {
	case c == '"':
		end, _ := scanString(text, pos)
		return end
	case c == '-' || c >= '0' && c <= '9':
		return scanNumber(text, pos)
	case c == '{':
		return scanList(text, pos, depth, '}')
	case c == '[':
		return scanList(text, pos, depth, ']')
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(text[pos:], word) {
			return pos + len(word)
		}
	}
	return -1
}

// scanList reads an array or, with closer '}', an object.
func scanList(text string, pos, depth int, closer byte) int {
	pos = skipSpace(text, pos+1)
	if pos < len(text) && text[pos] == closer {
		return pos + 1
	}
	for pos >= 0 && pos < len(text) {
		if closer == '}' {
			pos, _ = scanString(text, pos)
			if pos < 0 {
				return -1
			}
			pos = skipSpace(text, pos)
			if pos >= len(text) || text[pos] != ':' {
				return -1
			}
			pos = skipSpace(text, pos+1)
		}
		pos = scanValue(text, pos, depth+1)
		if pos < 0 {
			return -1
		}
		pos = skipSpace(text, pos)
		if pos >= len(text) {
			return -1
		}
		if text[pos] == closer {
			return pos + 1
		}
		if text[pos] != ',' {
			return -1
		}
		pos = skipSpace(text, pos+1)
	}
	return -1
}

// scanNumber reads a number (RFC 8259 §6).
func scanNumber(text string, pos int) int {
	if text[pos] == '-' {
		pos++
	}
	if pos < len(text) && text[pos] == '0' {
		pos++
	} else if pos = scanDigits(text, pos); pos < 0 {
		return -1
	}
	if pos < len(text) && text[pos] == '.' {
		if pos = scanDigits(text, pos+1); pos < 0 {
			return -1
		}
	}
	if pos < len(text) && (text[pos] == 'e' || text[pos] == 'E') {
		pos++
		if pos < len(text) && (text[pos] == '+' || text[pos] == '-') {
			pos++
		}
		pos = scanDigits(text, pos)
	}
	return pos
}

// scanDigits reads one or more digits.
func scanDigits(text string, pos int) int {
	start := pos
	for pos < len(text) && text[pos] >= '0' && text[pos] <= '9' {
		pos++
	}
	if pos == start {
		return -1
	}
	return pos
}

// scanString reads a string literal (RFC 8259 §7) and reports whether it holds escapes.
func scanString(text string, pos int) (end int, escaped bool) {
	if pos >= len(text) || text[pos] != '"' {
		return -1, false
	}
	for pos = skipPlain(text, pos+1); pos < len(text); pos++ {
		switch c := text[pos]; {
		case c == '"':
			return pos + 1, escaped
		case c < ' ':
			return -1, false
		case c == '\\':
			escaped = true
			size := scanEscape(text[pos:])
			if size < 0 {
				return -1, false
			}
			pos += size - 1
		}
	}
	return -1, false
}

// skipPlain goes past bytes that mean themselves in a string, eight at a time: until there may be a
// quote, a backslash or a control character among the next eight.
func skipPlain(text string, pos int) int {
	const each = 0x0101010101010101 // one in every byte
	for pos+8 <= len(text) {
		eight := text[pos : pos+8]
		w := uint64(eight[0]) | uint64(eight[1])<<8 | uint64(eight[2])<<16 | uint64(eight[3])<<24 |
			uint64(eight[4])<<32 | uint64(eight[5])<<40 | uint64(eight[6])<<48 | uint64(eight[7])<<56
		quote, backslash := w^each*'"', w^each*'\\'
		// A byte's high bit comes out set where a subtraction borrows: below a bound, or at zero.
		if ((quote-each)&^quote|(backslash-each)&^backslash|(w-each*' ')&^w)&(each<<7) != 0 {
			break
		}
		pos += 8
	}
	return pos
}

// scanEscape is the length of the escape that text starts with. A surrogate counts only as a pair.
func scanEscape(text string) int {
	if len(text) < 2 {
		return -1
	}
	if text[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, text[1]) < 0 {
			return -1
		}
		return 2
	}
	first, ok := hex4(text)
	if !ok {
		return -1
	}
	if !utf16.IsSurrogate(first) {
		return 6
	}
	second, ok := hex4(text[6:])
	if !ok || utf16.DecodeRune(first, second) == '\uFFFD' {
		return -1
	}
	return 12
}

// hex4 is the value of the \uXXXX escape that text starts with.
func hex4(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	value, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(value), err == nil
}

// unescape resolves the escapes of a literal's inside that scanString has accepted.
func unescape(inner string) string {
	out := make([]byte, 0, len(inner))
	for len(inner) > 0 {
		if inner[0] != '\\' {
			out = append(out, inner[0])
			inner = inner[1:]
			continue
		}
		size := scanEscape(inner)
		switch inner[1] {
		case 'u':
			r, _ := hex4(inner)
			if size == 12 {
				second, _ := hex4(inner[6:])
				r = utf16.DecodeRune(r, second)
			}
			out = append(out, string(r)...)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		default:
			out = append(out, inner[1])
		}
		inner = inner[size:]
	}
	return string(out)
}
