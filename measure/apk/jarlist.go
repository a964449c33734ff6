package apk

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"   // of most signatures by v1
	_ "crypto/sha512" // of few
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// The bounds of a list.
const (
	maxHeaderName = 70       // bytes (JAR File Specification, "Notes on Manifest and Signature Files")
	maxHeader     = 64 << 10 // bytes of one, on all its lines
	maxHeaders    = 100      // in one section
)

// header is a line of a list, NAME: VALUE, or several that are one.
type header struct{ name, value []byte }

// section is a part of a list of files: the first says what the list is, each other one tells of a file.
type section struct {
	headers  []header
	from, to int // its bytes in the list, with the empty line that ends it
}

// list reads MANIFEST.MF, or a signature's .SF. Android and apksigner each take lists that the other does not; what is
// read here both take, and read the same way.
type list struct {
	content []byte
	at      int
	line    int      // its number, for errors
	headers []header // of the last section: its room is used again
}

var errNoList = errors.New("it is empty")

// sections gives each section, the first one first.
func sections(content []byte, each func(section) error) error {
	l := list{content: content}
	for first := true; ; first = false {
		s, err := l.section()
		if err != nil {
			return fmt.Errorf("line %d: %w", l.line, err)
		}
		if len(s.headers) == 0 {
			if first {
				return errNoList
			}
			return nil
		}
		if err := each(s); err != nil {
			return err
		}
	}
}

// section reads the next one, which holds until the one after it is read; at the end of the list it has no headers.
func (l *list) section() (section, error) {
	s := section{headers: l.headers[:0]}
	defer func() { l.headers = s.headers }()
	for {
		from := l.at
		line, err := l.next()
		switch {
		case err != nil:
			return s, err
		case from == l.at, len(line) == 0 && len(s.headers) > 0:
			s.to = l.at
			return s, nil
		case len(line) == 0 && from == 0:
			return s, errors.New("it begins with an empty line")
		case len(line) == 0: // more than one between sections
			continue
		}
		if len(s.headers) == 0 {
			s.from = from
		}
		if err := s.add(line); err != nil {
			return s, err
		}
	}
}

// next is the next line, without what ends it.
func (l *list) next() ([]byte, error) {
	rest := l.content[l.at:]
	if len(rest) == 0 {
		return nil, nil
	}
	l.line++
	n := bytes.IndexAny(rest[:min(len(rest), maxHeader)], "\r\n\x00")
	if n < 0 || rest[n] == 0 { // apksigner takes a last line that does not end, Android passes it over
		return nil, fmt.Errorf("it does not end within %d bytes, or has a NUL", maxHeader)
	}
	l.at += n + 1
	if rest[n] == '\r' && n+1 < len(rest) && rest[n+1] == '\n' {
		l.at++
	}
	return rest[:n], nil
}

// add adds a line that is a header, or the rest of the one before it.
func (s *section) add(line []byte) error {
	if line[0] == ' ' && len(s.headers) > 0 {
		last := &s.headers[len(s.headers)-1]
		if len(last.value)+len(line) > maxHeader {
			return fmt.Errorf("a header has more than %d bytes", maxHeader)
		}
		last.value = append(last.value, line[1:]...)
		return nil
	}
	name, value, found := bytes.Cut(line, []byte(": "))
	if !found || len(name) == 0 || len(name) > maxHeaderName || len(bytes.Trim(name, headerLetters)) > 0 {
		return fmt.Errorf("got %.80q, want NAME: VALUE", line)
	}
	if _, twice := s.value(string(name)); twice || len(s.headers) == maxHeaders {
		return fmt.Errorf("the second %s in one section, or the %d. header", name, maxHeaders)
	}
	s.headers = append(s.headers, header{name, slices.Clip(value)}) // what is added to a value does not go into the list
	return nil
}

const headerLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// value is that of a header, whose name may be in capitals or not.
func (s section) value(name string) ([]byte, bool) {
	for _, h := range s.headers {
		if bytes.EqualFold(h.name, []byte(name)) {
			return h.value, true
		}
	}
	return nil, false
}

// file is the name of the file that a section tells of. It must come first.
func (s section) file() (string, error) {
	name := s.headers[0].value
	if bytes.EqualFold(s.headers[0].name, []byte("Name")) && len(name) > 0 && len(bytes.TrimFunc(name, isBlank)) == len(name) {
		return string(name), nil
	}
	return "", fmt.Errorf("a section begins with %.80q: %.80q, not with the name of a file", s.headers[0].name, s.headers[0].value)
}

func isBlank(r rune) bool { return r <= ' ' }

// listDigest is a digest in a list.
type listDigest struct {
	hash crypto.Hash // 0: there is none that Android takes
	sum  []byte      // nil: it is not in base64
}

// digest is the strongest digest of a kind in a section, such as -Digest: Android goes by that one alone.
func (s section) digest(kind string) listDigest {
	for _, one := range []struct {
		name string
		hash crypto.Hash
	}{{"SHA-512", crypto.SHA512}, {"SHA-384", crypto.SHA384}, {"SHA-256", crypto.SHA256}, {"SHA1", crypto.SHA1}} {
		if value, found := s.value(one.name + kind); found {
			sum, err := base64.StdEncoding.AppendDecode(nil, value)
			if err != nil {
				sum = nil
			}
			return listDigest{one.hash, sum}
		}
	}
	return listDigest{}
}

// of says whether the digest is that of a content.
func (d listDigest) of(content []byte) bool {
	if d.hash == 0 || d.sum == nil {
		return false
	}
	h := d.hash.New()
	h.Write(content)
	return bytes.Equal(h.Sum(nil), d.sum)
}
