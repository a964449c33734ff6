package source_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/source"
)

// quiet is for servers that are attacked on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// wantAlone tells that a folder holds one file with a text, readable by its owner alone, and nothing else.
func wantAlone(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("got %.40q and error %v, want %.40q", text, err, want)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v and error %v in the folder, want one file", entries, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("got mode %v and error %v, want 0600", info.Mode(), err)
	}
}

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "document")
	for _, text := range []string{"first", "a second that is longer", "", "x"} {
		if err := source.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		wantAlone(t, path, text)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := source.Write(path, []byte("after chmod 666")); err != nil {
		t.Fatal(err)
	}
	wantAlone(t, path, "after chmod 666")
	if text, _, err := source.Read("file:" + path); err != nil || string(text) != "after chmod 666" {
		t.Errorf("read again: got %q and %v, want what was written", text, err)
	}
}

// A program that is killed while it writes leaves its temporary file behind. They must not pile up, and one that is
// being written by another program must stay.
func TestWriteRemovesWhatTheKilledHaveLeft(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".approovgate-1": 2 * time.Hour, ".approovgate-2": time.Minute, "approovgate-3": 2 * time.Hour} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("half a docu"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".approovgate-folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := source.Write(filepath.Join(dir, "document"), []byte("text")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got, want := strings.Join(left, " "), ".approovgate-2 .approovgate-folder approovgate-3 document"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A reader sees one text or another, never a part and never nothing.
func TestWriteIsOneStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "document")
	texts := [][]byte{bytes.Repeat([]byte("a"), 5000), bytes.Repeat([]byte("b"), 60_000)}
	if err := source.Write(path, texts[0]); err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for i := range 2 {
		writing.Go(func() {
			for range 50 {
				if err := source.Write(path, texts[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 500 {
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(text, texts[0]) && !bytes.Equal(text, texts[1]) {
			t.Fatalf("got %d bytes that begin %.8q and error %v, want one of the texts", len(text), text, err)
		}
	}
	writing.Wait()
}

func TestWriteThatFails(t *testing.T) {
	folder := t.TempDir()
	occupied := filepath.Join(folder, "occupied")
	if err := os.Mkdir(occupied, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, folder)
	for name, path := range map[string]string{
		"a folder that is not there":     filepath.Join(folder, "missing", "document"),
		"a file where the folder is":     filepath.Join(file, "document"),
		"a folder where the file is":     occupied,
		"a place that takes no files":    "/proc/document",
		"a device that is always full":   "/dev/full/document",
		"a name that cannot be a name":   filepath.Join(folder, "a\x00b"),
		"a name that is longer than any": filepath.Join(folder, strings.Repeat("x", 300)),
	} {
		err := source.Write(path, []byte("new"))
		if err == nil || !strings.Contains(err.Error(), path+" cannot be written: ") {
			t.Errorf("%s: got error %v, want one that names %s", name, err, path)
		}
		if again := source.Write(path, []byte("new")); again == nil || err != nil && again.Error() != err.Error() {
			t.Errorf("%s: got %v, then %v, want the same twice", name, err, again)
		}
	}
	if err := source.Write(occupied, []byte("new")); err == nil || !strings.HasSuffix(err.Error(), "occupied cannot be written: it is a folder; name a file in it") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
	if after := listing(t, folder); after != before {
		t.Errorf("got %s left in the folder, want %s", after, before)
	}
}

func listing(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(entries)
}
