package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/approovgate/approovgate/source"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// Key is the key under which an attestation server seals what it keeps. Printing it in any way does not show it. The
// zero value is no key: take one from NewKey or ReadKey.
type Key struct{ bytes [KeySize]byte }

const redacted = "[secret]"

func (k Key) String() string               { return redacted }
func (k Key) GoString() string             { return redacted }
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewKey makes a key of KeySize random bytes.
func NewKey(material []byte) (Key, error) {
	if len(material) != KeySize {
		return Key{}, fmt.Errorf("has %d bytes, a sealing key has %d", len(material), KeySize)
	}
	k := Key{[KeySize]byte(material)}
	if k == (Key{}) {
		return Key{}, errors.New("is all zeros; make a random one: openssl rand -base64 32")
	}
	return k, nil
}

// ReadKey reads a key from a file: or env: reference (see source.Read): base64 of KeySize bytes. Warnings are
// sentences for the operator. An error names the reference and the fix, never the text.
func ReadKey(reference string) (key Key, warnings []string, err error) {
	if strings.HasPrefix(reference, "inline:") {
		return Key{}, nil, errors.New("sealing key: inline: would show it to everyone who may list processes or read the configuration; use file:PATH or env:NAME")
	}
	text, warnings, err := source.Read(reference)
	if err != nil {
		return Key{}, nil, fmt.Errorf("sealing key: %w", err)
	}
	material, err := source.DecodeSecret(text, "base64")
	if err == nil {
		key, err = NewKey(material)
	}
	if err != nil {
		return Key{}, nil, fmt.Errorf("sealing key: %s: %w", reference, err)
	}
	return key, warnings, nil
}

// MakeKeyFile writes a random key to the file at path, readable by its owner alone, if there is no such file; made
// reports whether it did. Of several that try at once one does. The folder must be there.
func MakeKeyFile(path string, rand io.Reader) (made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	material := make([]byte, KeySize)
	if _, err := io.ReadFull(rand, material); err != nil {
		return false, fmt.Errorf("sealing key: no randomness: %w", err)
	}
	made, err = place(path, []byte(base64.StdEncoding.EncodeToString(material)+"\n"))
	if err != nil {
		return false, fmt.Errorf("sealing key: file %s cannot be made: %w", path, err)
	}
	return made, nil
}

// place puts a whole file where none is: a link, unlike a renaming, never replaces another one's key.
func place(path string, text []byte) (placed bool, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".approovgate-*") // made with mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return false, err
	}
	if err := os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, err
	}
	return true, syncFolder(filepath.Dir(path))
}

// syncFolder makes the new name last: a database sealed under a key that is lost is lost as well. Windows does not
// need it and does not allow it.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
