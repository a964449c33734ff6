package apk

import (
	"bytes"
	"fmt"
	"hash"
	"io"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// fileCheck compares a file, unpacked, with its digest. It is used by one goroutine at a time.
type fileCheck struct {
	want listDigest
	hash hash.Hash // nil: no byte has come, or all have
	left int64     // bytes
	same bool
}

func newFileCheck(want listDigest, size int64) fileCheck {
	return fileCheck{want: want, left: size, same: size == 0 && want.of(nil)}
}

// Write takes the next bytes of the file.
func (c *fileCheck) Write(p []byte) (int, error) {
	if c.left == 0 {
		return len(p), nil // all have come: the file is read again
	}
	if c.hash == nil {
		c.hash = c.want.hash.New()
	}
	c.hash.Write(p)
	if c.left -= min(int64(len(p)), c.left); c.left == 0 {
		c.same = bytes.Equal(c.hash.Sum(nil), c.want.sum)
		c.hash = nil
	}
	return len(p), nil
}

// Content takes a file's bytes, unpacked, in order, if what was signed is each file: by scheme v1 alone. Else it is nil.
// Several files may be written by several goroutines at once.
func (s *Signatures) Content(f *zipfile.File) io.Writer {
	if check := s.checked(f); check != nil {
		return check
	}
	return nil
}

// checked is what compares a file with what was signed; nil: nothing does.
func (s *Signatures) checked(f *zipfile.File) *fileCheck {
	l, found := s.files[f]
	if !found || !protected(f.Name) {
		return nil
	}
	return &l.fileCheck
}

// checkFiles says which files are not what was signed.
func (s *Signatures) checkFiles() []string {
	var warnings []string
	more := 0
	for _, f := range s.archive.Files() {
		check := s.checked(f)
		switch {
		case check == nil || check.same:
		case len(warnings) == maxFaults:
			more++
		case check.left > 0:
			warnings = append(warnings, fmt.Sprintf("its file %.200q was not read, and not compared with what was signed (v1)", f.Name))
		default:
			warnings = append(warnings, fmt.Sprintf("its file %.200q is not what was signed (v1): it was changed since, and Android would not install it", f.Name))
		}
	}
	if more > 0 {
		warnings = append(warnings, fmt.Sprintf("%d more files are not what was signed (v1)", more))
	}
	return warnings
}
