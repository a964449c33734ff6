package measure_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
)

func library(id string) attestapi.Library {
	return attestapi.NewLibrary(id, "test-account", "Go", "1.0.0", [attestapi.LibraryKeySize]byte{1, 2, 3})
}

func text(id string) string { return string(library(id).Encode()) }

func TestReader(t *testing.T) {
	mark, _, _ := strings.Cut(text("1"), ":")
	mark += ":"
	for _, row := range []struct{ name, content, want string }{
		{"an empty file has no library", "", "[]"},
		{"a file without a library", strings.Repeat("x", 300<<10), "[]"},
		{"a library is the whole file", text("1041"), "[1.0.0(1041)]"},
		{"a library at the end", strings.Repeat("x", 200<<10) + text("1041"), "[1.0.0(1041)]"},
		{"a library across the end of a window", strings.Repeat("x", 64<<10-30) + text("1041") + "more", "[1.0.0(1041)]"},
		{"a library whose mark is across the end of a window", strings.Repeat("x", 64<<10-3) + text("1041"), "[1.0.0(1041)]"},
		{"a library across the end of the second window", strings.Repeat("x", 128<<10-60) + text("1041"), "[1.0.0(1041)]"},
		{"two libraries", text("1041") + strings.Repeat("x", 100<<10) + text("1042"), "[1.0.0(1041) 1.0.0(1042)]"},
		{"the same library twice counts once", text("1041") + strings.Repeat("x", 100<<10) + text("1041"), "[1.0.0(1041)]"},
		{"the marks alone are no library", mark + ":library-end", "[]"},
		{"a library after a mark without an end", mark + strings.Repeat("A", 9000) + text("7"), "[1.0.0(7)]"},
		{"a library cut off at the end of the file", text("1041")[:60], "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for kind, r := range map[string]io.Reader{
				"at once":     strings.NewReader(row.content),
				"in halves":   iotest.HalfReader(strings.NewReader(row.content)),
				"with io.EOF": iotest.DataErrReader(strings.NewReader(row.content)),
			} {
				app, err := measure.Reader(t.Context(), r)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if got := fmt.Sprint(app.Libraries); got != row.want {
					t.Errorf("%s: got libraries %s, want %s", kind, got, row.want)
				}
				if want := sha256.Sum256([]byte(row.content)); app.Digest != want || app.Size != int64(len(row.content)) {
					t.Errorf("%s: got digest %x of %d bytes, want %x of %d", kind, app.Digest, app.Size, want, len(row.content))
				}
			}
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		many.WriteString(text(fmt.Sprint(1000 + i)))
	}
	if _, err := measure.Reader(t.Context(), strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "SDK libraries") {
		t.Errorf("40 libraries: got %v, want them refused", err)
	}
	broken := errors.New("broken disk")
	if _, err := measure.Reader(t.Context(), io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a disk that breaks: got %v, want %v", err, broken)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := measure.Reader(ended, zeros{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v, want %v", err, context.Canceled)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestReaderOfAHostileFileTakesLittleMemory reads 64 MB of beginnings of libraries.
func TestReaderOfAHostileFileTakesLittleMemory(t *testing.T) {
	mark, _, _ := strings.Cut(text("1"), ":")
	hostile := strings.Repeat(mark+":", 1024)
	readers := make([]io.Reader, 2600)
	for i := range readers {
		readers[i] = strings.NewReader(hostile)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := measure.Reader(t.Context(), io.MultiReader(readers...)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("got %d bytes allocated, want at most 4 MB", got)
	}
}

func TestFile(t *testing.T) {
	folder := t.TempDir()
	if _, err := measure.File(t.Context(), folder); err == nil || err.Error() != folder+": not a file" {
		t.Errorf("a folder: got %v, want it refused", err)
	}
	none := filepath.Join(folder, "none")
	if _, err := measure.File(t.Context(), none); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), none+": ") || strings.Count(err.Error(), none) != 1 {
		t.Errorf("no file: got %v, want %s and why, once", err, none)
	}
	huge := filepath.Join(folder, "huge")
	if err := errors.Join(os.WriteFile(huge, nil, 0o600), os.Truncate(huge, measure.MaxSize+1)); err != nil {
		t.Fatal(err)
	}
	read := func(done, _ int64) { t.Errorf("a file that is too long: got %d bytes read, want none", done) }
	if _, _, err := measure.FileAndConfigs(t.Context(), huge, "", read); err == nil || err.Error() != huge+": it has more than 4294967296 bytes" {
		t.Errorf("a file that is too long: got %v, want it refused, and its path once", err)
	}
	path := filepath.Join(folder, "app.apk")
	if err := os.WriteFile(path, []byte("PK"+text("9")), 0o600); err != nil {
		t.Fatal(err)
	}
	change := func(int64, int64) {
		if err := os.Truncate(path, 1<<20); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := measure.FileAndConfigs(t.Context(), path, "", change); err == nil || !strings.HasSuffix(err.Error(), "app.apk: it was changed while it was read; try again when it is complete") {
		t.Errorf("a file that is written to: got %v, want it refused", err)
	}
	app, err := measure.File(t.Context(), path)
	if err != nil || len(app.Libraries) != 1 || app.Build != (measure.Build{}) {
		t.Errorf("a file that is no Go program: got %+v, %v, want its library and no build", app, err)
	}
}

// TestSelfIsWhatRuns builds a program that measures itself, and has it do so after its file was replaced and deleted.
func TestSelfIsWhatRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "program")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/self")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	want, err := measure.File(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if want.Build.Package != "github.com/approovgate/approovgate/measure/testdata/self" || want.Build.Version == "" || strings.Contains(want.Build.Version, "(") {
		t.Errorf("got build %+v, want the main package's path and a version that can be registered", want.Build)
	}
	if got := fmt.Sprint(want.Libraries); got != "[1.0.0(1041)]" {
		t.Errorf("got libraries %s, want the one that is embedded, [1.0.0(1041)]", got)
	}
	for _, row := range []struct{ name, change string }{
		{"as it was started", ""},
		{"after its file was deleted", "delete"},
		{"after another file took its place", "replace"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.change != "" && runtime.GOOS != "linux" {
				t.Skip("only Linux shows a program that is no longer in its file")
			}
			copied := filepath.Join(t.TempDir(), "program")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, content, 0o700); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(copied, row.change).CombinedOutput()
			if got, want := strings.TrimSpace(string(out)), fmt.Sprintf("%x %d %v", want.Digest, want.Size, want.Libraries); err != nil || got != want {
				t.Errorf("got %s %v, want %s", got, err, want)
			}
		})
	}
}

func TestSelfOfThisTest(t *testing.T) {
	app, err := measure.Self(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(content); app.Digest != want {
		t.Errorf("got %x, want %x", app.Digest, want)
	}
}

func TestNames(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"an Android package", measure.CheckPackage("com.criticalblue.demo"), ""},
		{"a Go package", measure.CheckPackage("example.com/shop/cmd/my-client_2"), ""},
		{"no name", measure.CheckPackage(""), "has no name"},
		{"the longest name", measure.CheckPackage(strings.Repeat("a", 255)), ""},
		{"a name too long", measure.CheckPackage(strings.Repeat("a", 256)), "at most 255"},
		{"a name with a space", measure.CheckPackage("my app"), "use letters"},
		{"a name with a line break", measure.CheckPackage("a\nb"), "use letters"},
		{"a name outside ASCII", measure.CheckPackage("café"), "use letters"},
		{"a name that leaves its folder", measure.CheckPackage("../../etc"), "a part of no letters"},
		{"a name from the root", measure.CheckPackage("/etc"), "a part of no letters"},
		{"a name of a dot", measure.CheckPackage("."), "a part of no letters"},
		{"a version with a build number", measure.CheckVersion("2.0[3]"), ""},
		{"a version in words", measure.CheckVersion("special"), ""},
		{"no version", measure.CheckVersion(""), "no version"},
		{"a version too long", measure.CheckVersion(strings.Repeat("1", 65)), "at most 64"},
		{"a version as Go writes an unknown one", measure.CheckVersion("(devel)"), "use letters"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := fmt.Sprint(row.err); (row.err == nil) != (row.want == "") || !strings.Contains(got, row.want) {
				t.Errorf("got %s, want %q", got, row.want)
			}
		})
	}
}

// FuzzReader compares with a search of the whole at once.
func FuzzReader(f *testing.F) {
	f.Add([]byte(text("1041")), uint32(0))
	f.Add([]byte("approovgate-sdk-library:approovgate-sdk-library:"+text("2")), uint32(64<<10-20))
	f.Add([]byte(":library-end"), uint32(128<<10-5))
	f.Fuzz(func(t *testing.T, content []byte, before uint32) {
		content = append(bytes.Repeat([]byte{'x'}, int(before%(200<<10))), content...)
		app, err := measure.Reader(t.Context(), bytes.NewReader(content))
		whole, _ := attestapi.FindLibraries(content)
		distinct := map[string]bool{}
		for _, l := range whole {
			distinct[string(l.Encode())] = true
		}
		if err != nil {
			if len(distinct) <= measure.MaxLibraries {
				t.Fatalf("got %v of %d libraries", err, len(distinct))
			}
			return
		}
		if app.Digest != sha256.Sum256(content) || len(app.Libraries) != len(distinct) {
			t.Errorf("got %d libraries, want %d", len(app.Libraries), len(distinct))
		}
	})
}

// FuzzReadBuild reads build information of hostile executables: it says something that can be registered, or nothing.
func FuzzReadBuild(f *testing.F) {
	if path, err := os.Executable(); err == nil {
		if content, err := os.ReadFile(path); err == nil {
			f.Add(content[:4096])
		}
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ"))
	f.Add([]byte("\xcf\xfa\xed\xfe"))
	f.Add([]byte("\x01\xdf\x00\x01"))
	f.Fuzz(func(t *testing.T, content []byte) {
		b := measure.ReadBuild(bytes.NewReader(content))
		if b.Package != "" && measure.CheckPackage(b.Package) != nil || b.Version != "" && measure.CheckVersion(b.Version) != nil {
			t.Errorf("got %+v", b)
		}
	})
}
