package source_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/approovgate/approovgate/source"
)

func TestWriteOnAFullDisk(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(folder, "document")
	if err := source.Write(path, []byte("the old one")); err != nil {
		t.Fatal(err)
	}
	err := source.Write(path, bytes.Repeat([]byte("x"), 200_000))
	if err == nil || !strings.HasSuffix(err.Error(), "cannot be written: no space left on device") {
		t.Errorf("got error %v, want one that says that the disk is full", err)
	}
	wantAlone(t, path, "the old one")
	if err := source.Write(path, []byte("the new one")); err != nil {
		t.Errorf("a document that fits, after one that did not: %v", err)
	}
	wantAlone(t, path, "the new one")
}
