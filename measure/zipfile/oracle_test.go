package zipfile_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// compareWithLibrary wants archive/zip to read the same from an archive that was accepted.
func compareWithLibrary(t *testing.T, content []byte, a *zipfile.Archive) {
	t.Helper()
	library, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("accepted, but archive/zip says %v", err)
	}
	if got, want := len(a.Files()), len(library.File); got != want {
		t.Fatalf("got %d files, want %d", got, want)
	}
	for i, f := range a.Files() {
		other := library.File[i]
		if f.Name != other.Name || f.Method != other.Method || uint64(f.Size) != other.UncompressedSize64 || f.CRC32 != other.CRC32 {
			t.Errorf("file %d: got %+v, want %+v", i, f, other.FileHeader)
		}
		got, err := readFile(f)
		if err != nil {
			continue
		}
		if strings.HasSuffix(f.Name, "/") || f.Flags&8 != 0 {
			continue // archive/zip gives no folder's content, and wants the sizes after a streamed file, which Android does not
		}
		r, err := other.Open()
		if err != nil {
			t.Errorf("file %d: accepted, but archive/zip says %v", i, err)
			continue
		}
		if want, err := io.ReadAll(io.LimitReader(r, 1<<20)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("file %d: got %q, want %q, %v", i, got, want, err)
		}
	}
}

func readFile(f *zipfile.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err == nil && int64(len(content)) > f.Size {
		panic("more than its size")
	}
	return content, err
}

// FuzzOpen compares with archive/zip whenever an archive is accepted.
func FuzzOpen(f *testing.F) {
	f.Add(archive([]entry{hello, {name: "b", content: "stored"}, {name: "c", content: "streamed", method: 8, descriptor: true}}, nil))
	f.Add(archive([]entry{hello}, end64(1)))
	f.Add(archive([]entry{{name: "x", content: "abc", directory: wide64(20, 30, u16(1)+u16(16)+u64(3)+u64(3)), local: wide64(18, 28, u16(1)+u16(16)+u64(3)+u64(3))}}, nil))
	f.Add(archive(nil, nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		if a, err := open(content); err == nil {
			compareWithLibrary(t, content, a)
		}
	})
}
