package mobile_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/mobile"
)

const configMark = "ZXlKaGJHY2lPa"

var shop = apktest.Manifest{Package: "com.criticalblue.demo", VersionName: "2.0", VersionCode: 3, TargetSDK: 29}

func library(id string) string {
	return string(attestapi.NewLibrary(id, "test-account", "Android", "2.0.4", [attestapi.LibraryKeySize]byte{1}).Encode())
}

// put writes a file and returns its path.
func put(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnAndroidPackage(t *testing.T) {
	key := apktest.NewKey("Shop", apktest.ECDSA256)
	content := apktest.App{Manifest: shop, V1: []*apktest.Key{key}, V2: []*apktest.Key{key}, V3: []*apktest.Key{key}, Files: []apktest.File{
		{Name: "classes.dex", Content: "dex " + configMark + "abc= more " + strings.Repeat("x", 300<<10)},
		{Name: "assets/approov", Content: library("1041")},
		{Name: "lib/arm64-v8a/libapproov.so", Content: "\x7fELF" + strings.Repeat("\x00", 500<<10) + library("1042") + library("1041"), Stored: true},
		{Name: "assets/two", Content: configMark + "def\x00" + configMark + "abc="},
		{Name: "assets/three", Content: library("1041")}, // found before, and named in the order of the first file
	}}.Make()
	var told []int64
	total := int64(0)
	app, err := mobile.File(t.Context(), put(t, "my_app.apk", content), mobile.Options{ConfigMark: configMark, Progress: func(done, of int64) {
		told, total = append(told, done), of
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(content); app.Digest != want || app.Size != int64(len(content)) {
		t.Errorf("got digest %x of %d bytes, want %x of %d", app.Digest, app.Size, want, len(content))
	}
	if got, want := app.Build, (measure.Build{Package: "com.criticalblue.demo", Version: "2.0[3]"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := fmt.Sprint(app.Libraries), "[2.0.4(1041) 2.0.4(1042)]"; got != want {
		t.Errorf("got libraries %s, want %s", got, want)
	}
	if want := []string{configMark + "abc=", configMark + "def"}; !slices.Equal(app.Configs, want) {
		t.Errorf("got configurations %q, want %q", app.Configs, want)
	}
	signer := func(scheme string) mobile.Signer {
		return mobile.Signer{Scheme: scheme, SHA256: key.SHA256(), Subject: "CN=Shop,O=Android,C=US"}
	}
	if want := []mobile.Signer{signer("v2"), signer("v3"), signer("v1")}; !slices.Equal(app.Signers, want) {
		t.Errorf("got signers %+v, want %+v", app.Signers, want)
	}
	if app.Platform != "Android" || app.Debuggable || app.Team != "" || len(app.Warnings) != 0 {
		t.Errorf("got %+v, want nothing unusual about an Android app", app)
	}
	if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != total || total < int64(len(content)+800<<10) {
		t.Errorf("got progress %v of %d, want it to rise to that", told, total)
	}
	plain, err := mobile.File(t.Context(), put(t, "my_app.apk", content), mobile.Options{})
	if app.Configs = nil; err != nil || !reflect.DeepEqual(plain, app) {
		t.Errorf("got %+v, %v without options, want %+v", plain, err, app)
	}
}

func TestWarnings(t *testing.T) {
	debug, other := []*apktest.Key{apktest.NewKey("Android Debug", apktest.RSA256)}, []*apktest.Key{apktest.NewKey("Shop", apktest.ECDSA256)}
	with := func(change func(*apktest.Manifest)) apktest.Manifest {
		m := shop
		change(&m)
		return m
	}
	for _, row := range []struct {
		name string
		app  apktest.App
		want string
	}{
		{"nothing unusual", apktest.App{Manifest: shop, V2: other}, ""},
		{"v1 alone for an old Android", apktest.App{Manifest: shop, V1: other}, ""},
		{"v1 alone for a new one", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.TargetSDK = 30 }), V1: other}, "API level 30 and is signed by v1 alone"},
		{"v1 alone, a file changed since", apktest.App{Manifest: shop, V1: other, Files: []apktest.File{{Name: "classes.dex", Content: "dex"}},
			Added: func(files []apktest.File) []apktest.File { files[1].Content = "dey"; return files }}, `its file "classes.dex" is not what was signed (v1)`},
		{"not signed", apktest.App{Manifest: shop}, "is not signed"},
		{"signed with a debug key", apktest.App{Manifest: shop, V2: debug}, "with a debug key"},
		{"debuggable", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.Debuggable = true }), V2: other}, "is debuggable"},
		{"for tests", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.TestOnly = true }), V2: other}, "for tests only"},
		{"a version that is a missing resource", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.VersionNameAt = 5 }), V2: other}, "resource 0x5"},
		{"changed since it was signed", apktest.App{Manifest: shop, V2: other, Signed: func(b []byte) []byte { b[10]++; b[bytes.Index(b, []byte("PK\x01\x02"))+12]++; return b }}, "not what was signed"},
		{"a file in another packing", apktest.App{Manifest: shop, Signed: func(b []byte) []byte {
			for _, mark := range []string{"PK\x03\x04", "PK\x01\x02"} {
				at := bytes.LastIndex(b, []byte(mark))
				b[at+len(mark)+4+(len(mark)-4)+map[string]int{"PK\x03\x04": 0, "PK\x01\x02": 2}[mark]] = 99
			}
			return b
		}, Files: []apktest.File{{Name: "odd", Content: "odd"}}}, "packed by method 99"},
	} {
		app, err := mobile.File(t.Context(), put(t, "app.apk", row.app.Make()), mobile.Options{})
		if got := strings.Join(app.Warnings, "; "); err != nil || (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, %v, want %q", row.name, got, err, row.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, row := range []struct {
		name string
		code uint32
		want string
	}{
		{"2.0", 3, "2.0[3]"},
		{"", 3, "[3]"},
		{"1.0 (beta+2)", 4294967295, "1.0__beta_2_[4294967295]"},
		{"β2\n", 1, "_2_[1]"},
		{strings.Repeat("9", 70), 12345, strings.Repeat("9", 57) + "[12345]"},
	} {
		m := shop
		m.VersionName, m.VersionCode = row.name, row.code
		app, err := mobile.File(t.Context(), put(t, "app.apk", apktest.App{Manifest: m}.Make()), mobile.Options{})
		if err != nil || app.Build.Version != row.want || measure.CheckVersion(app.Build.Version) != nil {
			t.Errorf("%q: got %q, %v, want %q", row.name, app.Build.Version, err, row.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	with := func(change func(*apktest.Manifest)) []byte {
		m := shop
		change(&m)
		return apktest.App{Manifest: m}.Make()
	}
	var many string
	for i := range 40 {
		many += library(fmt.Sprint(1000 + i))
	}
	for _, row := range []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"an empty file", "a.apk", nil, "not a zip archive"},
		{"a text", "a.apk", []byte("no archive"), "not a zip archive"},
		{"an archive of nothing", "a.apk", apktest.Zip(nil), "it is no app"},
		{"an archive of documents", "a.zip", apktest.Zip([]apktest.File{{Name: "a.txt"}}), "it is no app"},
		{"an app bundle", "a.aab", apktest.Zip([]apktest.File{{Name: "BundleConfig.pb"}, {Name: "base/manifest/AndroidManifest.xml"}}), "register base.apk of the APKs that Google Play makes"},
		{"a part of an app", "config.apk", with(func(m *apktest.Manifest) { m.Split = "config.de" }), "register the app's base.apk"},
		{"no package name", "a.apk", with(func(m *apktest.Manifest) { m.Package = "" }), "has no name"},
		{"a package name that is none", "a.apk", with(func(m *apktest.Manifest) { m.Package = "com.example/../.." }), "no letters between slashes"},
		{"too many libraries", "a.apk", apktest.App{Manifest: shop, Files: []apktest.File{{Name: "all", Content: many}}}.Make(), "more than 16 SDK libraries"},
		{"a damaged file", "a.apk", bytes.Replace(apktest.App{Manifest: shop, Files: []apktest.File{{Name: "x", Content: "good", Stored: true}}}.Make(), []byte("good"), []byte("goof"), 1), "is damaged"},
	} {
		path := put(t, row.file, row.content)
		app, err := mobile.File(t.Context(), path, mobile.Options{})
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: got %+v, %v, want %q", row.name, app, err, row.want)
		}
	}
	folder := t.TempDir()
	if _, err := mobile.File(t.Context(), folder, mobile.Options{}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: got %v, want it refused", err)
	}
	if _, err := mobile.File(t.Context(), filepath.Join(folder, "none.apk"), mobile.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v, want %v", err, os.ErrNotExist)
	}
}

// TestPackagesOfOneApp measures the base of apps that come in several packages, and leaves nothing behind.
func TestPackagesOfOneApp(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	base := apktest.App{Manifest: shop, Files: []apktest.File{{Name: "assets/lib", Content: library("1041")}}}.Make()
	part := shop
	part.Split = "config.de"
	split := string(apktest.App{Manifest: part}.Make())
	for _, row := range []struct {
		name  string
		files []apktest.File
		want  string // of an error or a warning; "": none
	}{
		{"bundletool's", []apktest.File{{Name: "toc.pb"}, {Name: "splits/base-de.apk", Content: split}, {Name: "splits/base-master.apk", Content: string(base)}}, ""},
		{"bundletool's, with another base", []apktest.File{{Name: "splits/base-master.apk", Content: string(base)}, {Name: "splits/base-master_2.apk", Content: "x"}}, `"splits/base-master_2.apk" may be for other devices`},
		{"bundletool's universal one", []apktest.File{{Name: "universal.apk", Content: string(base), Stored: true}}, ""},
		{"of the Play console", []apktest.File{{Name: "acer_jetfirelte/base.apk", Content: string(base)}, {Name: "acer_jetfirelte/split_config.de.apk", Content: split}}, ""},
		{"of a store, the base by its package's name", []apktest.File{{Name: "manifest.json"}, {Name: "config.de.apk", Content: split}, {Name: "com.criticalblue.demo.apk", Content: string(base)}}, ""},
		{"of a store, the base by its list", []apktest.File{{Name: "manifest.json", Content: `{"split_apks":[{"file":"x.apk","id":"config.x"},{"file":"shop.apk","id":"base"}]}`},
			{Name: "x.apk", Content: split}, {Name: "shop.apk", Content: string(base)}}, ""},
		{"with what macOS adds", []apktest.File{{Name: "shop.apk", Content: string(base)}, {Name: "__MACOSX/._shop.apk", Content: "x"}}, ""},
		{"a list of what is not there", []apktest.File{{Name: "manifest.json", Content: `{"split_apks":[{"file":"none.apk","id":"base"}]}`}, {Name: "a.apk"}, {Name: "b.apk"}}, "none of them is base.apk"},
		{"a list that is none", []apktest.File{{Name: "manifest.json", Content: "{"}, {Name: "a.apk"}, {Name: "b.apk"}}, "none of them is base.apk"},
		{"no base", []apktest.File{{Name: "a.apk"}, {Name: "b.apk"}}, `"a.apk", "b.apk", and none of them is base.apk`},
		{"many, and no base", []apktest.File{{Name: "1.apk"}, {Name: "2.apk"}, {Name: "3.apk"}, {Name: "4.apk"}, {Name: "5.apk"}, {Name: "6.apk"}}, `"5.apk" and 1 more`},
		{"a base that is a part", []apktest.File{{Name: "base.apk", Content: split}}, `"base.apk" in it: it is "config.de"`},
		{"a base that is no archive", []apktest.File{{Name: "base.apk", Content: "x"}}, `"base.apk" in it: not a zip archive`},
		{"a base that holds packages itself", []apktest.File{{Name: "base.apk", Content: string(apktest.Zip([]apktest.File{{Name: "base.apk", Content: string(base)}}))}}, "no AndroidManifest.xml"},
	} {
		app, err := mobile.File(t.Context(), put(t, "app.apks", apktest.Zip(row.files)), mobile.Options{})
		got := fmt.Sprint(err, app.Warnings)
		if row.want != "" && !strings.Contains(got, row.want) {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
		if row.want == "" && (err != nil || app.Digest != sha256.Sum256(base) || app.Build.Version != "2.0[3]" || len(app.Libraries) != 1) {
			t.Errorf("%s: got %+v, %v, want the base, %x", row.name, app, err, sha256.Sum256(base))
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
			t.Fatalf("%s: got %v left in the temporary folder, %v", row.name, left, err)
		}
	}
}

func TestACancelledContext(t *testing.T) {
	content := apktest.App{Manifest: shop, Files: []apktest.File{{Name: "x", Content: strings.Repeat("x", 8<<20)}}}.Make()
	for name, content := range map[string][]byte{"a package": content, "packages": apktest.Zip([]apktest.File{{Name: "base.apk", Content: string(content)}})} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := mobile.File(ctx, put(t, "app", content), mobile.Options{Progress: func(int64, int64) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
		_, err = mobile.File(ctx, put(t, "app", content), mobile.Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s, from the start: got %v, want %v", name, err, context.Canceled)
		}
	}
}
