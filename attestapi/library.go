package attestapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// LibraryKeySize is the size of a library's key in bytes (manual, "Offline Security Mode": 128 bits).
const LibraryKeySize = 16

// Library is an SDK library: what makes one build of the SDK known to the service. For the Go SDK it is a small
// file that an app embeds; its key authenticates the app's attestations. Whoever takes an app apart can have the
// key: it raises an attacker's cost, it proves nothing. Printing a Library does not show the key.
type Library struct {
	ID       string // digits, such as 1041; rises with every library of an account
	Account  string
	Platform string // such as Go
	Version  string // of the SDK, such as 1.0.0
	key      [LibraryKeySize]byte
}

// NewLibrary makes a library of its parts.
func NewLibrary(id, account, platform, version string, key [LibraryKeySize]byte) Library {
	return Library{id, account, platform, version, key}
}

// Key is the library's key.
func (l Library) Key() []byte { return append([]byte(nil), l.key[:]...) }

// Ref names the library in messages.
func (l Library) Ref() LibraryRef {
	return LibraryRef{ID: l.ID, Platform: l.Platform, Version: l.Version}
}

// String is the version and the ID.
func (l Library) String() string { return fmt.Sprintf("%s(%s)", l.Version, l.ID) }

// GoString shows everything but the key.
func (l Library) GoString() string {
	return fmt.Sprintf("attestapi.Library{%s %s %s}", l.Account, l.Platform, l)
}

// A library's text stands between these marks, by which it is found in an app. The marks alone, which every program
// holds that links this package, are no library.
var (
	libraryBegin = []byte("approovgate-sdk-library:")
	libraryEnd   = []byte(":library-end")
)

type libraryText struct {
	ID       string `json:"id"`
	Account  string `json:"account"`
	Platform string `json:"plat"`
	Version  string `json:"ver"`
	Key      []byte `json:"key"`
}

// Encode is the library as a file.
func (l Library) Encode() []byte {
	text, err := json.Marshal(libraryText{l.ID, l.Account, l.Platform, l.Version, l.key[:]})
	if err != nil {
		panic("attestapi: " + err.Error()) // strings and bytes are always JSON
	}
	return fmt.Appendf(nil, "%s%s%s\n", libraryBegin, base64.StdEncoding.EncodeToString(text), libraryEnd)
}

const maxLibrary = 4096 // bytes of a library's text

// ParseLibrary reads a library's file.
func ParseLibrary(file []byte) (Library, error) {
	rest, found := bytes.CutPrefix(bytes.TrimSpace(file), libraryBegin)
	encoded, ended := bytes.CutSuffix(rest, libraryEnd)
	if !found || !ended || len(encoded) > maxLibrary {
		return Library{}, errors.New("not an SDK library; get one with approov sdk -getLibrary")
	}
	return parseLibrary(encoded)
}

// FindLibraries returns the libraries in a part of an app, and how many bytes at its end may be the beginning of
// another one: a reader that goes through an app in parts repeats those.
func FindLibraries(part []byte) (found []Library, keep int) {
	for {
		at := bytes.Index(part, libraryBegin)
		if at < 0 {
			return found, min(len(part), len(libraryBegin)-1)
		}
		part = part[at:]
		window := part[:min(len(part), len(libraryBegin)+maxLibrary+len(libraryEnd))]
		end := bytes.Index(window, libraryEnd)
		if end < 0 && len(window) == len(part) {
			return found, len(part)
		}
		if end >= 0 {
			if l, err := parseLibrary(window[len(libraryBegin):end]); err == nil {
				found = append(found, l)
			}
		}
		part = part[len(libraryBegin):]
	}
}

func parseLibrary(encoded []byte) (Library, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(encoded))
	if err != nil {
		return Library{}, errors.New("the SDK library is damaged")
	}
	var t libraryText
	if err := json.Unmarshal(raw, &t); err != nil || len(t.Key) != LibraryKeySize || t.ID == "" || t.Account == "" {
		return Library{}, errors.New("the SDK library is damaged")
	}
	return NewLibrary(t.ID, t.Account, t.Platform, t.Version, [LibraryKeySize]byte(t.Key)), nil
}
