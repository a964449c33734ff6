package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Write replaces the file at path with text in one step, readable and writable by its owner alone: after a
// crash or on a full disk either the old text is there or the new one. An error names the file and the reason.
func Write(path string, text []byte) error {
	if err := replace(path, text); err != nil {
		return fmt.Errorf("%s cannot be written: %v", path, cause(err))
	}
	return nil
}

const (
	unfinished = ".approovgate-" // begins the name of a file that is being written
	abandoned  = time.Hour       // after which such a file is of a program that has been killed
)

// errNoFile is why a device or a pipe is not written to: it would be gone for all programs. /dev/stdout is a link into
// /proc, behind which there may be a file.
var (
	errNoFile = errors.New("it is not a file, and would be replaced by one; name another")
	errFolder = errors.New("it is a folder; name a file in it")
)

func replace(path string, text []byte) error {
	switch info, err := os.Stat(path); {
	case err != nil || info.Mode().IsRegular():
	case info.IsDir():
		return errFolder
	default:
		return errNoFile
	}
	if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, "/proc/") {
		return errNoFile
	}
	sweep(filepath.Dir(path))
	f, err := os.CreateTemp(filepath.Dir(path), unfinished+"*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is left of it helps nobody
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// sweep removes what programs that were killed while they wrote have left in a folder. What cannot be removed
// harms nobody.
func sweep(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}

// syncFolder makes a renaming last. Windows does not need it and does not allow it.
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

// cause is an error without the path, which may be that of a temporary file and so another one each time.
func cause(err error) error {
	if at, ok := err.(*fs.PathError); ok {
		return at.Err
	}
	if at, ok := err.(*os.LinkError); ok {
		return at.Err
	}
	return err
}
