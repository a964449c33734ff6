package measure

import "bytes"

// searchTexts calls found with every run of base64 letters in a part that begins with mark and is at most longest bytes
// long: an SDK configuration is such a text. It returns how many bytes at the end may be the beginning of a text, unless
// the part is the last.
func searchTexts(part []byte, mark string, longest int, last bool, found func(text []byte)) (keep int) {
	run := 0 // where the run ends that was looked at last: many marks may stand in one
	for at := 0; ; at += len(mark) {
		next := bytes.Index(part[at:], []byte(mark))
		if next < 0 {
			return min(len(part)-at, len(mark)-1)
		}
		if at += next; run <= at {
			run = len(part)
			if end := bytes.IndexFunc(part[at:], notBase64); end >= 0 {
				run = at + end
			}
		}
		text := part[at:run]
		switch ended := run < len(part) || last; {
		case len(text) > longest:
		case !ended:
			return len(text)
		default:
			found(text)
		}
	}
}

func notBase64(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
}
