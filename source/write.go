package source

import (
	"os"
	"path/filepath"
)

// Write replaces the file at path with text in one step, readable and writable by its owner alone: after a
// crash or on a full disk either the old text is there or the new one. An error names what could not be done.
func Write(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".approovgate-*") // made with mode 0600
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
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
