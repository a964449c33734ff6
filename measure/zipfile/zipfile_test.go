package zipfile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/measure/zipfile"
)

var hello = entry{name: "a/hello.txt", content: "hello, hello, hello", method: 8}

func open(content []byte) (*zipfile.Archive, error) {
	return zipfile.Open(bytes.NewReader(content), int64(len(content)))
}

// read is the content of all files, by their names.
func read(a *zipfile.Archive) (map[string]string, error) {
	all := map[string]string{}
	for _, f := range a.Files() {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		if _, err := r.Read(make([]byte, 1)); err == nil {
			return nil, errors.New("a closed file is read")
		}
		all[f.Name] = string(content)
	}
	return all, nil
}

func TestReads(t *testing.T) {
	sizes := u64(len(hello.content)) + u64(len(deflate(hello.content)))
	for _, row := range []struct {
		name    string
		archive []byte
	}{
		{"a deflated file", archive([]entry{hello}, nil)},
		{"a stored file", archive([]entry{{name: hello.name, content: hello.content}}, nil)},
		{"a file whose sizes stand after it", archive([]entry{{name: hello.name, content: hello.content, method: 8, descriptor: true}}, nil)},
		{"a streamed file whose sizes stand before it all the same", archive([]entry{{name: hello.name, content: hello.content, method: 8, flags: 8}}, nil)},
		{"a streamed file of which only the directory says so", archive([]entry{{name: hello.name, content: hello.content, method: 8, directory: put(8, u16(8))}}, nil)},
		{"a file that is aligned by an extra field of zeros", archive([]entry{{name: hello.name, content: hello.content, extra: "\x00\x00\x00"}}, nil)},
		{"names that are only unusual", archive([]entry{hello, {name: `a\b`}, {name: "a//b"}, {name: "./a"}, {name: "..."}, {name: "\x01\xff"}, {name: "c:d"}, {name: "a/"}}, nil)},
		{"a file aligned by the field of apksigner", archive([]entry{{name: hello.name, content: hello.content, extra: "\x35\xd9\x06\x00\x10\x00\x00\x00\x00\x00"}}, nil)},
		{"a name said to be UTF-8 in one place only", archive([]entry{{name: hello.name, content: hello.content, directory: put(8, u16(1<<11))}}, nil)},
		{"a comment", archive([]entry{hello}, func(r []byte, _, _ int) []byte { return append(put(20, u16(5))(r), "hello"...) })},
		{"an end of zip64", archive([]entry{hello}, end64(1))},
		{"an end of zip64, and one that refers to it", archive([]entry{hello}, func(r []byte, d, l int) []byte {
			return end64(1)(put(8, strings.Repeat("\xff", 12))(r), d, l)
		})},
		{"sizes of zip64", archive([]entry{{name: hello.name, content: hello.content, method: 8,
			directory: wide64(20, 30, u16(1)+u16(16)+sizes), local: wide64(18, 28, u16(1)+u16(16)+sizes)}}, nil)},
		{"an archive in a file that is not packed", archive([]entry{{name: "nested.zip", content: string(archive([]entry{hello}, nil))}, hello}, nil)},
		{"a gap between files and directory, where an APK's signing block is", archive([]entry{{name: hello.name, content: hello.content},
			{name: "gap", packed: "APK Sig Block 42", directory: func([]byte) []byte { return nil }}}, func(r []byte, _, _ int) []byte { return put(8, u16(1)+u16(1))(r) })},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := open(row.archive)
			if err != nil {
				t.Fatal(err)
			}
			all, err := read(a)
			if err != nil || all[hello.name] == "" && all["nested.zip"] == "" || all[hello.name] != "" && all[hello.name] != hello.content {
				t.Errorf("got %q, %v, want %s with %q", all, err, hello.name, hello.content)
			}
			if f, found := a.Find(hello.name); !found || f.Name != hello.name {
				t.Errorf("got no %s", hello.name)
			}
			if _, found := a.Find("none"); found {
				t.Error("got a file that is not there")
			}
		})
	}
}

func TestAnEmptyArchive(t *testing.T) {
	a, err := open(archive(nil, nil))
	if err != nil || len(a.Files()) != 0 {
		t.Errorf("got %v, %v, want no files", a, err)
	}
}

func TestRefuses(t *testing.T) {
	second := entry{name: "second", content: "second"}
	named := func(name string) []byte { return archive([]entry{{name: name, content: "x"}}, nil) }
	whole := archive([]entry{hello}, nil)
	for _, row := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"nothing", nil, "not a zip archive"},
		{"a text", []byte(strings.Repeat("no archive ", 10)), "not a zip archive"},
		{"an archive without its end", whole[:len(whole)-1], "not a zip archive"},
		{"an archive without its beginning", whole[10:], "its end record at"},
		{"an archive after something else", append([]byte("dex\n035\x00"), whole...), "its end record at"},
		{"a program before an archive whose places are right", archive([]entry{{name: "gap", packed: "dex", local: func([]byte) []byte { return nil },
			directory: func([]byte) []byte { return nil }}, hello}, func(r []byte, _, _ int) []byte { return put(8, u16(1)+u16(1))(r) }), "something stands before it"},
		{"something after an archive", append(bytes.Clone(whole), "more"...), "not a zip archive"},
		{"a comment that holds another end", archive([]entry{hello}, func(r []byte, _, _ int) []byte {
			return append(put(20, u16(22))(bytes.Clone(r)), r...)
		}), "has two ends"},
		{"a directory that is not right before the end", archive([]entry{hello}, func(r []byte, _, _ int) []byte { return append([]byte("gap"), r...) }), "must follow at once"},
		{"an end of zip64 of another number of files", archive([]entry{hello}, end64(2)), "do not agree"},
		{"an end of zip64 that is not where it should be", archive([]entry{hello}, func(r []byte, d, l int) []byte {
			return put(56+8, u64(d))(end64(1)(r, d, l))
		}), "no zip64 end record"},
		{"an end of zip64 beyond the end", archive([]entry{hello}, func(r []byte, d, l int) []byte {
			return put(56+8, u64(1<<40))(end64(1)(r, d, l))
		}), "where it has no room"},
		{"an end of zip64 whose directory is beyond the end", archive([]entry{hello}, func(r []byte, d, l int) []byte {
			return put(48, u64(1<<62))(end64(1)(r, d, l))
		}), "does not end where"},
		{"several disks", archive([]entry{hello}, func(r []byte, _, _ int) []byte { return put(4, u16(1))(r) }), "several disks"},
		{"several disks in zip64", archive([]entry{hello}, func(r []byte, d, l int) []byte { return put(16, u32(1))(end64(1)(r, d, l)) }), "several disks"},
		{"a file on another disk", archive([]entry{{name: "x", directory: put(34, u16(1))}}, nil), "on another disk"},
		{"more files said than there are", archive([]entry{hello}, func(r []byte, _, _ int) []byte { return put(8, u16(2)+u16(2))(r) }), "no room for its 2 files"},
		{"a name that reaches beyond the directory", archive([]entry{{name: "x", directory: put(28, u16(50))}}, nil), "file 1 of 1: the directory ends"},
		{"fewer files said than there are", archive([]entry{hello, second}, func(r []byte, _, _ int) []byte { return put(8, u16(1)+u16(1))(r) }), "goes on for"},
		{"two files of one name", archive([]entry{hello, hello}, nil), "two files of the name"},
		{"a directory entry of another kind", archive([]entry{{name: "x", directory: put(0, "XX")}}, nil), `begins with "XX`},
		{"a file without a name", named(""), "is empty"},
		{"a name that leads outside", named("a/../../b"), "leads outside"},
		{"a name that is two dots", named(".."), "leads outside"},
		{"an absolute name", named("/etc/passwd"), "is empty, absolute"},
		{"a name that leads outside by backslashes", named(`a\..\..\b`), "leads outside"},
		{"an absolute name by a backslash", named(`\windows`), "is empty, absolute"},
		{"a name with NUL", named("AndroidManifest.xml\x00"), "has a NUL"},
		{"a name too long", named(strings.Repeat("a", 1025)), "at most 1024"},
		{"another name before the file", archive([]entry{{name: "abc", local: put(30, "abd")}}, nil), "another name"},
		{"a longer name before the file", archive([]entry{{name: "abc", content: "xyz", local: put(26, u16(4))}}, nil), "another name"},
		{"another method before the file (BadPack)", archive([]entry{{name: "abc", content: "xyz", local: put(8, u16(8))}}, nil), "packed by method"},
		{"another size before the file (BadPack)", archive([]entry{{name: "abc", content: "xyz", local: put(18, u32(2))}}, nil), "3 bytes packed"},
		{"another unpacked size before the file", archive([]entry{{name: "abc", content: "xyz", local: put(22, u32(2))}}, nil), "3 bytes packed"},
		{"another CRC before the file", archive([]entry{{name: "abc", content: "xyz", local: put(14, u32(2))}}, nil), "CRC"},
		{"no CRC before a file that was not streamed", archive([]entry{{name: "abc", content: "xyz", local: put(14, u32(0))}}, nil), "CRC"},
		{"a size of zip64 that is missing", archive([]entry{{name: "x", directory: put(24, "\xff\xff\xff\xff")}}, nil), "zip64 field"},
		{"a size of zip64 that is missing before the file", archive([]entry{{name: "x", local: put(22, "\xff\xff\xff\xff")}}, nil), "zip64 field before"},
		{"a negative size of zip64", archive([]entry{{name: "x", directory: wide64(20, 30, u16(1)+u16(16)+u64(-1)+u64(5))}}, nil), "unpacks to more"},
		{"no file where the directory says", archive([]entry{hello, {name: "x", content: "some", at: func(o []int) int { return o[1] + 1 }}}, nil), "there is no file at"},
		{"a file beyond the directory", archive([]entry{{name: "x", at: func([]int) int { return 1 << 30 }}}, nil), "no room"},
		{"a file whose bytes reach into the directory", archive([]entry{{name: "x", content: "x", directory: put(20, u32(30)+u32(30)), local: put(18, u32(30)+u32(30))}}, nil), "no room"},
		{"a file whose extra fields reach into the directory", archive([]entry{{name: "x", content: "x", local: put(28, u16(100))}}, nil), "reach into the directory"},
		{"a stored file of two sizes", archive([]entry{{name: "x", content: "xy", directory: put(24, u32(1))}}, nil), "is not packed, and yet"},
		{"an encrypted file", archive([]entry{{name: "x", flags: 1}}, nil), "is encrypted"},
		{"an encrypted file by what stands before it", archive([]entry{{name: "x", local: put(6, u16(1))}}, nil), "is encrypted"},
		{"two entries of one file", archive([]entry{hello, {name: "other", at: func(o []int) int { return o[0] }}}, nil), "share bytes"},
		{"a file within another", archive([]entry{{name: "outer", content: string(archive([]entry{{name: "inner"}}, nil))},
			{name: "inner", at: func(o []int) int { return o[0] + 35 }}}, nil), "share bytes"},
		{"a file of 9 GB", archive([]entry{{name: "x", method: 8, directory: wide64(20, 30, u16(1)+u16(16)+u64(9<<30)+u64(5))}}, nil), "unpacks to more"},
		{"three files of 3 GB", archive([]entry{hello, {name: "x", method: 8, directory: put(24, u32(3<<30))}, {name: "y", method: 8, directory: put(24, u32(3<<30))},
			{name: "z", method: 8, directory: put(24, u32(3<<30))}}, nil), "unpacks to"},
		{"a small archive that unpacks to 300 MB", archive([]entry{hello, {name: "x", method: 8, directory: put(24, u32(300<<20))}}, nil), "100 times"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if a, err := open(row.archive); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, %v, want %q", a, err, row.want)
			}
		})
	}
}

func TestReadingRefuses(t *testing.T) {
	packed := deflate(hello.content)
	lie := func(size int) entry {
		return entry{name: "x", content: strings.Repeat("x", size), method: 8, packed: packed}
	}
	for _, row := range []struct {
		name string
		of   entry
		want string
	}{
		{"a file of fewer bytes than the directory says", lie(len(hello.content) + 1), "ends 1 bytes too early"},
		{"a file of more bytes than the directory says", lie(len(hello.content) - 1), "has more than"},
		{"a file of another CRC", lie(len(hello.content)), "got CRC"},
		{"a stored file of another CRC", entry{name: "x", content: "abc", packed: "abd"}, "got CRC"},
		{"packed bytes that are none", entry{name: "x", content: "abc", method: 8, packed: "\xff\xff\xff\xff"}, "is damaged"},
		{"packed bytes that are cut off", entry{name: "x", content: hello.content, method: 8, packed: packed[:len(packed)-2]}, "ends"},
		{"a method that is not read", entry{name: "x", content: "abc", method: 12}, "only stored (0) and deflated (8)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := open(archive([]entry{row.of}, nil))
			if err != nil {
				t.Fatal(err)
			}
			if all, err := read(a); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %q, %v, want %q", all, err, row.want)
			}
		})
	}
}

// TestManyFiles opens archives of more files than are read: at once, and without the memory for them.
func TestManyFiles(t *testing.T) {
	million := archive([]entry{hello}, end64(1_000_000))
	wrapped := make([]entry, 70_000) // of which the end record can say only 4464
	for i := range wrapped {
		wrapped[i].name = strings.Repeat("n", i%7) + u32(i|0x01010101<<3)
		wrapped[i].name = strings.NewReplacer("\x00", "0", "\\", "1", "/", "2").Replace(wrapped[i].name)
	}
	for _, row := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"a million files", put(len(million)-14, strings.Repeat("\xff", 12))(million), "1000000 files, at most 65535"},
		{"70000 files", archive(wrapped, nil), "goes on for|two files"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := open(row.archive)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		first, second, _ := strings.Cut(row.want, "|")
		if err == nil || !strings.Contains(err.Error(), first) && (second == "" || !strings.Contains(err.Error(), second)) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 || took > 20*time.Second {
			t.Errorf("%s: got %d bytes allocated in %v, want at most 8 MB", row.name, got, took)
		}
	}
}

func TestASourceThatFails(t *testing.T) {
	whole := archive([]entry{hello}, nil)
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if _, err := zipfile.Open(file, int64(len(whole))); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: got %v, want %v", err, os.ErrClosed)
	}
	if _, err := zipfile.Open(bytes.NewReader(whole), int64(len(whole))+1); !errors.Is(err, zipfile.ErrNotZip) {
		t.Errorf("a file shorter than it was: got %v, want %v", err, zipfile.ErrNotZip)
	}
	if _, err := zipfile.Open(bytes.NewReader(whole), zipfile.MaxSize+1); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a file too large: got %v, want it refused", err)
	}
}

// TestTruncatedAndFlipped opens an archive cut off at each byte, and with each of its bits turned.
func TestTruncatedAndFlipped(t *testing.T) {
	whole := archive([]entry{hello, {name: "b", content: "stored"}, {name: "c", content: "streamed", method: 8, descriptor: true}}, nil)
	for i := range whole {
		if _, err := open(whole[:i]); err == nil {
			t.Errorf("cut off at byte %d of %d: got no error", i, len(whole))
		}
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1 << bit
			if a, err := open(flipped); err == nil {
				compareWithLibrary(t, flipped, a)
			}
		}
	}
}
