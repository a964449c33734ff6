package mobile_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/mobile"
)

// measureBytes measures a package in memory.
func measureBytes(t *testing.T, content []byte) (mobile.App, error) {
	t.Helper()
	return mobile.ReaderAt(t.Context(), bytes.NewReader(content), int64(len(content)), mobile.Options{ConfigMark: configMark})
}

// TestDamagedPackages cuts a small signed package off at each byte, and turns one and all bits of each: it is refused,
// or what is said of it is true. What is under the signature cannot change without a word.
func TestDamagedPackages(t *testing.T) {
	key := apktest.NewKey("Shop", apktest.ECDSA256)
	m := shop
	m.VersionNameAt = 0x7f010000
	whole := apktest.App{Manifest: m, Table: apktest.Table(apktest.Plain, []apktest.Resource{{Text: "2.0"}}), V1: []*apktest.Key{key}, V2: []*apktest.Key{key},
		Files: []apktest.File{{Name: "lib", Content: library("1041")}}}.Make()
	for i := range whole {
		if _, err := measureBytes(t, whole[:i]); err == nil {
			t.Fatalf("cut off at byte %d: got no error", i)
		}
	}
	blockEnd := bytes.Index(whole, []byte("APK Sig Block 42")) + 16
	blockStart := bytes.Index(whole, []byte("\x1a\x87\x09\x71")) - 16
	for i := range whole {
		for _, turned := range []byte{1 << (i % 8), 0xff} {
			flipped := bytes.Clone(whole)
			flipped[i] ^= turned
			app, err := measureBytes(t, flipped)
			switch {
			case err != nil:
			case app.Digest != sha256.Sum256(flipped):
				t.Fatalf("bits %#x of byte %d: got another digest", turned, i)
			case (i < blockStart || i >= blockEnd) && len(app.Warnings) == 0:
				t.Errorf("bits %#x of byte %d of %d: got no warning of %+v", turned, i, len(whole), app)
			}
		}
	}
}

// A package that is written to while it is read would be registered as something that never was.
func TestAPackageThatChanges(t *testing.T) {
	content := apktest.App{Manifest: shop, V2: []*apktest.Key{apktest.NewKey("Shop", apktest.ECDSA256)}, Files: []apktest.File{{Name: "lib", Content: library("1041")}}}.Make()
	for name, change := range map[string]func(path string) error{
		"it grows":           func(path string) error { return os.Truncate(path, 1<<20) },
		"it is cut off":      func(path string) error { return os.Truncate(path, 10) },
		"it is written anew": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
	} {
		path := put(t, "my_app.apk", content)
		_, err := mobile.File(t.Context(), path, mobile.Options{Progress: func(int64, int64) {
			if err := change(path); err != nil {
				t.Error(err)
			}
		}})
		if err == nil || !strings.HasSuffix(err.Error(), "my_app.apk: it was changed while it was read; try again when it is complete") {
			t.Errorf("%s: got %v, want it said", name, err)
		}
	}
}

// TestBombs measures packages that unpack to very much.
func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	large := strings.Repeat(zeros, 150) // below what is unpacked of any archive
	for _, row := range []struct {
		name  string
		files []apktest.File
		want  string
	}{
		{"150 MB of zeros", []apktest.File{{Name: "zeros", Content: large}}, ""},
		{"300 MB of zeros", []apktest.File{{Name: "zeros", Content: large}, {Name: "more", Content: large}}, "at most 100 times"},
	} {
		content := apktest.App{Manifest: shop, Files: row.files}.Make()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := measureBytes(t, content)
		runtime.ReadMemStats(&after)
		if (row.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if took, took2 := time.Since(began), after.TotalAlloc-before.TotalAlloc; took > 20*time.Second || took2 > 8<<20 {
			t.Errorf("%s: took %v and %d bytes", row.name, took, took2)
		}
	}
}

// FuzzReaderAt measures hostile packages: whatever one says, it can be registered, or is refused.
func FuzzReaderAt(f *testing.F) {
	key := apktest.NewKey("Shop", apktest.ECDSA256)
	f.Add(apktest.App{Manifest: shop, V1: []*apktest.Key{key}, V2: []*apktest.Key{key}, V3: []*apktest.Key{key}, Table: apktest.Table(0)}.Make())
	f.Add(apktest.Zip([]apktest.File{{Name: "base.apk", Content: string(apktest.App{Manifest: shop}.Make()), Stored: true}}))
	f.Fuzz(func(t *testing.T, content []byte) {
		app, err := measureBytes(t, content)
		if err == nil {
			checkRegistrable(t, app)
		}
	})
}

func checkRegistrable(t *testing.T, app mobile.App) {
	t.Helper()
	if measure.CheckPackage(app.Build.Package) != nil || measure.CheckVersion(app.Build.Version) != nil || app.Platform == "" {
		t.Errorf("got %+v", app)
	}
}
