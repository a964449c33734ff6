package mobile_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unique"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/measure/mobile"
)

const (
	mb         = 1 << 20
	maxMemory  = 64 * mb // resident, while a package of 100 MB is measured
	inChild    = "APPROOVGATE_MEASURE"
	repeatedAt = 500 // files of each kind
)

// largePackage writes a package of 100 MB: half of it libraries that are not packed, half of it packed five to one, one
// SDK library in the middle. It is signed by v1 alone or by v2 alone. It returns its path.
func largePackage(tb testing.TB, v1 bool) string {
	tb.Helper()
	random := rand.NewChaCha8([32]byte{1})
	stored := make([]byte, 50*mb/repeatedAt)
	_, _ = random.Read(stored)
	source := rand.New(random)
	var text bytes.Buffer // of words, as names in code and resources are
	words := make([]string, 3000)
	for i := range words {
		words[i] = strconv.FormatUint(source.Uint64(), 36)[:3+source.IntN(9)]
	}
	for text.Len() < 250*mb/repeatedAt {
		text.WriteString(strings.Repeat(words[source.IntN(len(words))]+" ", 1+source.IntN(4)))
	}
	text.Truncate(250 * mb / repeatedAt)
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, 6)
	_, _ = w.Write(text.Bytes())
	_ = w.Close()

	path := filepath.Join(tb.TempDir(), "large.apk")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	archive := zip.NewWriter(file)
	var files []apktest.File
	add := func(name string, method uint16, content, unpacked []byte) {
		files = append(files, apktest.File{Name: name, Content: unique.Make(string(unpacked)).Value()})
		h := &zip.FileHeader{Name: name, Method: method, CRC32: crc32.ChecksumIEEE(unpacked), CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(unpacked))}
		entry, err := archive.CreateRaw(h)
		if err == nil {
			_, err = entry.Write(content)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	manifest := shop.Encode()
	add("AndroidManifest.xml", zip.Store, manifest, manifest)
	for i := range repeatedAt {
		add(fmt.Sprintf("lib/arm64-v8a/lib%d.so", i), zip.Store, stored, stored)
		add(fmt.Sprintf("res/%d", i), zip.Deflate, packed.Bytes(), text.Bytes())
		if i == repeatedAt/2 {
			add("assets/approov", zip.Store, []byte(library("1041")), []byte(library("1041")))
		}
	}
	if v1 {
		for _, f := range apktest.NewKey("Shop", apktest.RSA256).SignV1(files) {
			add(f.Name, zip.Store, []byte(f.Content), []byte(f.Content))
		}
	}
	if err := archive.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := file.Close(); err != nil {
		tb.Fatal(err)
	}
	if v1 {
		return path
	}
	return sign(tb, path)
}

// sign signs the package in a file by scheme v2, so that the digest over its contents is computed too.
func sign(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, apktest.Sign(content, apktest.NewKey("Shop", apktest.ECDSA256)), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkFile measures a package of 100 MB that is signed by v2.
func BenchmarkFile(b *testing.B) { benchmarkFile(b, false) }

// BenchmarkFileV1 measures one that is signed by v1 alone.
func BenchmarkFileV1(b *testing.B) { benchmarkFile(b, true) }

func benchmarkFile(b *testing.B, v1 bool) {
	path := largePackage(b, v1)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		app, err := mobile.File(b.Context(), path, mobile.Options{ConfigMark: configMark})
		if err != nil || len(app.Libraries) != 1 || len(app.Warnings) != 0 {
			b.Fatalf("got %+v, %v", app, err)
		}
	}
}

// TestMemory measures packages of 100 MB, each in a process of its own, and asks the kernel for the most memory it had.
func TestMemory(t *testing.T) {
	if path := os.Getenv(inChild); path != "" {
		app, err := mobile.File(t.Context(), path, mobile.Options{ConfigMark: configMark})
		status, _ := os.ReadFile("/proc/self/status")
		fmt.Printf("%v %v %q\n%s", app.Libraries, err, app.Warnings, status)
		return
	}
	switch {
	case testing.Short():
		t.Skip("makes a package of 100 MB")
	case runtime.GOOS != "linux":
		t.Skip("only Linux tells how much memory a process had")
	}
	for name, v1 := range map[string]bool{"signed by v1": true, "signed by v2": false} {
		t.Run(name, func(t *testing.T) { testMemory(t, largePackage(t, v1)) })
	}
}

func testMemory(t *testing.T, path string) {
	child := exec.Command(os.Args[0], "-test.run=^TestMemory$")
	child.Env = append(os.Environ(), inChild+"="+path, "GOMEMLIMIT=off", "GOGC=100")
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("[2.0.4(1041)] <nil> []")) {
		t.Fatalf("got %.500s, %v", out, err)
	}
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
	if peak == nil {
		t.Skip("this system does not tell the most memory a process had")
	}
	kilobytes, err := strconv.Atoi(string(peak[1]))
	if got := kilobytes << 10; err != nil || got > maxMemory {
		t.Errorf("got %d bytes resident, want at most %d", got, maxMemory)
	}
	t.Logf("%d MB resident", kilobytes>>10)
}
