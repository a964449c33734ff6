package measure

import (
	"bytes"
	"errors"
	"io"
)

// FindTexts calls found with every run of base64 letters that begins with mark and is at most longest bytes long: an SDK
// configuration is such a text. An empty mark finds nothing. What it keeps in memory is bounded by longest.
func FindTexts(r io.Reader, mark string, longest int, found func(text string)) error {
	if mark == "" {
		return nil
	}
	buffer := make([]byte, 0, 2*longest)
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		keep := searchTexts(buffer, mark, longest, last, found)
		if last {
			return nil
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], buffer[len(buffer)-keep:])]
	}
}

// searchTexts is FindTexts in a part of what is searched. It returns how many bytes at the end may be the beginning of
// a text, unless the part is the last.
func searchTexts(part []byte, mark string, longest int, last bool, found func(text string)) (keep int) {
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
			found(string(text))
		}
	}
}

func notBase64(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
}
