package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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

// Whoever may replace any file, as root in a container, would otherwise lose /dev/stdout for all programs.
func TestWriteLeavesWhatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := os.Create(in("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for name, target := range map[string]string{
		"link to pipe": in("pipe"), "link to device": "/dev/null", "stdout": fmt.Sprintf("/proc/self/fd/%d", kept.Fd()), "link to kept": in("kept"),
	} {
		if err := os.Symlink(target, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pipe", "link to pipe", "link to device", "stdout"} {
		before, err := os.Lstat(in(name))
		if err != nil {
			t.Fatal(err)
		}
		err = source.Write(in(name), []byte("new"))
		if err == nil || !strings.HasSuffix(err.Error(), name+" cannot be written: it is not a file, and would be replaced by one; name another") {
			t.Errorf("%s: got error %v, want one that says that it is not a file", name, err)
		}
		if after, err := os.Lstat(in(name)); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s: got %v and %v, want it as it was: %v", name, after, err, before.Mode())
		}
	}
	if err := source.Write(in("link to kept"), []byte("new")); err != nil {
		t.Errorf("a link to a file, which is replaced: got %v", err)
	}
	wantText(t, in("link to kept"), "new")
	wantText(t, in("kept"), "")
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s: got %q and %v, want %q", path, text, err, want)
	}
}
