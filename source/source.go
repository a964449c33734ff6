package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// MaxSize is the most bytes a reference may lead to.
const MaxSize = 64 * 1024

// Permission bits of a file (chmod(1)) that matter for a secret.
const (
	othersWrite = 0o022 // the group's and everyone's write bits
	worldRead   = 0o004
)

// Read returns what a reference leads to, byte for byte: nothing is trimmed or decoded. Warnings are sentences
// for the operator; they do not keep the text from being used. An error names the place and the fix.
//
//	file:PATH    a regular file, symbolic links followed, writable by nobody but its owner
//	env:NAME     an environment variable that is set and not empty
//	inline:TEXT  the text itself
func Read(ref string) (text []byte, warnings []string, err error) {
	switch {
	case strings.HasPrefix(ref, "file:"):
		return readFile(ref[len("file:"):])
	case strings.HasPrefix(ref, "env:"):
		name := ref[len("env:"):]
		text = []byte(os.Getenv(name))
		if len(text) == 0 {
			return nil, nil, fmt.Errorf("environment variable %s is not set or empty; set it", name)
		}
	case strings.HasPrefix(ref, "inline:"):
		text = []byte(ref[len("inline:"):])
		if len(text) == 0 {
			return nil, nil, errors.New("inline: is followed by nothing; use file:PATH or env:NAME")
		}
	default:
		return nil, nil, errors.New("a reference must begin with file:, env: or inline:, such as file:PATH")
	}
	if len(text) > MaxSize {
		return nil, nil, fmt.Errorf("the text of the reference has %d bytes, at most %d are read", len(text), MaxSize)
	}
	return text, nil, nil
}

// readFile reads a secret's file. The checks before opening keep a named pipe from blocking the gate; those
// that count are made on the open file.
func readFile(path string) ([]byte, []string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil, notRegular(path)
	}
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	defer f.Close()
	info, err = f.Stat()
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notRegular(path)
	}
	warnings, err := permissions(path, info.Mode())
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, nil, unreadable(path, err)
	case len(text) > MaxSize:
		return nil, nil, fmt.Errorf("file %s has more than %d bytes; is it the right file?", path, MaxSize)
	case len(text) == 0:
		return nil, nil, fmt.Errorf("file %s is empty; write into it what belongs there", path)
	}
	return text, warnings, nil
}

// permissions judges a file's mode bits. Windows has none: its access lists do not show in them.
func permissions(path string, mode fs.FileMode) ([]string, error) {
	if runtime.GOOS == "windows" {
		return nil, nil
	}
	if mode&othersWrite != 0 {
		return nil, fmt.Errorf("file %s can be written by others than its owner; chmod 600 %s", path, path)
	}
	if mode&worldRead != 0 {
		return []string{fmt.Sprintf("file %s is world-readable; chmod 600 %s", path, path)}, nil
	}
	return nil, nil
}

func notRegular(path string) error {
	return fmt.Errorf("%s is not a regular file; name the file itself", path)
}

// unreadable says why a file could not be read, without repeating its path.
func unreadable(path string, err error) error {
	fix := "check its path and permissions"
	if errors.Is(err, fs.ErrNotExist) {
		fix = "check its path"
	}
	if errors.Is(err, fs.ErrPermission) {
		fix = "make the gate's user its owner, and chmod 600 " + path
	}
	if at, ok := err.(*fs.PathError); ok {
		err = at.Err
	}
	return fmt.Errorf("file %s cannot be read: %v; %s", path, err, fix)
}
