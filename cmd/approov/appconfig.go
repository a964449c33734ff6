package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// outdatedConfig is the manual's sentence (manual, "Registration Upgrade Messages").
const outdatedConfig = "WARNING: SDK initial configuration must be out of date since a new one is available"

// warnOfConfig warns if the initial SDK configuration in an app is older than the account's. An app in which none is
// found may have it in a file of its own, so nothing is said of it.
func (c *call) warnOfConfig(path string) error {
	var answer attestapi.ConfigResponse
	if _, err := c.read("getting the SDK configuration", attestapi.PathSDKConfig, nil, &answer); err != nil {
		return err
	}
	current, err := attestapi.OpenInitialConfig(answer.Config)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	tell, end := c.progress("reading " + filepath.Base(path))
	newest, err := newestConfig(&told{from: file, total: info.Size(), tell: tell}, answer.Config, current)
	end()
	if err == nil && newest != 0 && newest < current.Version {
		c.note(outdatedConfig)
	}
	return err
}

// newestConfig is the highest version among the account's configurations that stand in an app; 0: there is none.
func newestConfig(app io.Reader, text string, current attestapi.Config) (int64, error) {
	newest := int64(0)
	err := findTexts(app, configMark(text), attestapi.MaxConfig, func(found string) {
		if c, err := attestapi.OpenInitialConfig(found); err == nil && c.Key == current.Key {
			newest = max(newest, c.Version)
		}
	})
	return newest, err
}

// configMark is how every SDK configuration begins: the base64 of its JWS header, as far as it does not depend on
// what follows.
func configMark(text string) string {
	compact, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	header := bytes.IndexByte(compact, '.')
	if err != nil || header < 0 {
		return ""
	}
	const group = 3 // bytes that become four letters of base64
	return base64.StdEncoding.EncodeToString(compact[:header/group*group])
}

// findTexts calls found with every run of base64 letters that begins with mark and is at most longest bytes long. What
// it keeps in memory is bounded.
func findTexts(r io.Reader, mark string, longest int, found func(text string)) error {
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
		keep := search(buffer, mark, longest, last, found)
		if last {
			return nil
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], buffer[len(buffer)-keep:])]
	}
}

// search is findTexts in a part of what is searched. It returns how many bytes at the end may be the beginning of a
// text, unless the part is the last.
func search(part []byte, mark string, longest int, last bool, found func(text string)) (keep int) {
	for {
		at := bytes.Index(part, []byte(mark))
		if at < 0 {
			return min(len(part), len(mark)-1)
		}
		part = part[at:]
		end := bytes.IndexFunc(part, notBase64)
		switch {
		case end >= 0 && end <= longest:
			found(string(part[:end]))
		case end < 0 && last && len(part) <= longest:
			found(string(part))
		case end < 0 && len(part) <= longest:
			return len(part)
		}
		part = part[len(mark):]
	}
}

func notBase64(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
}
