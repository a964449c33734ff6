package attestd_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/internal/machotest"
	"github.com/approovgate/approovgate/measure/ipa"
	"github.com/approovgate/approovgate/sdk"
)

// The name and version of the tests' mobile apps: the version as packages have it, with the build's number.
const (
	mobilePackage = "com.example.shop.mobile"
	mobileVersion = "2.0[3]"
)

// mobileApp is a mobile app as a device has it. The zero value is none.
type mobileApp struct {
	Installed string // its package, .apk or .ipa; on Android what ApplicationInfo.sourceDir names
	Library   string // file of the SDK library that is in it
}

// identity is what such an app tells the SDK: no system of phones lets a program find out by itself.
func (m mobileApp) identity() (sdk.Config, error) {
	config := sdk.Config{Package: mobilePackage, Version: mobileVersion}
	var err error
	if config.Library, err = os.ReadFile(m.Library); err != nil {
		return config, err
	}
	content, err := os.ReadFile(m.Installed)
	if err != nil {
		return config, err
	}
	if filepath.Ext(m.Installed) == ".apk" {
		config.Digest = sha256.Sum256(content)
		return config, nil
	}
	app, err := ipa.Read(context.Background(), strings.NewReader(string(content)), int64(len(content)))
	config.Digest = app.Digest
	return config, err
}

// phone is a device on which a mobile app's package is installed.
func (w *world) phone(t *testing.T, name string, content []byte, library string) *device {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return w.s.start(t, os.Args[0], appOrders{Config: w.config, State: t.TempDir(), CA: w.s.ca, Mobile: mobileApp{Installed: path, Library: library}})
}

// register registers a package, and returns the file of the SDK library that is in it, which make is given the text of.
func (w *world) register(t *testing.T, name string, make func(library string) []byte) (library string) {
	t.Helper()
	dir := t.TempDir()
	library = filepath.Join(dir, "approov.library")
	w.s.approov(t, "sdk", "-getLibrary", library)
	text, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, make(string(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "registering app " + mobilePackage + "-" + mobileVersion + "-1001  SDK:Go(1.0.0)\nregistration successful\n"
	if out := w.s.approov(t, "registration", "-add", path); out != want {
		t.Errorf("registration -add %s: got %q, want %q", name, out, want)
	}
	return library
}

// An Android app is the file that people install: who changes it must sign it anew, and it is another file.
func TestFromAnAndroidPackageToTheAPI(t *testing.T) {
	w := newWorld(t, databases()[0])
	ours, theirs := apktest.NewKey("Shop", apktest.ECDSA256), apktest.NewKey("Mallory", apktest.ECDSA256)
	build := func(library string, code string, key *apktest.Key) []byte {
		return apktest.App{
			Manifest: apktest.Manifest{Package: mobilePackage, VersionName: "2.0", VersionCode: 3, TargetSDK: 29},
			Files: []apktest.File{
				{Name: "classes.dex", Content: code}, {Name: "assets/approov.library", Content: library}, {Name: "assets/approov.config", Content: w.config},
			},
			V2: []*apktest.Key{key},
		}.Make()
	}
	var released []byte
	var text string
	library := w.register(t, "my_app.apk", func(l string) []byte {
		text, released = l, build(l, "code", ours)
		return released
	})
	for _, row := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"the registered package", released, "ok"},
		{"repackaged: the same code, signed by somebody else", build(text, "code", theirs), "signature_invalid"},
		{"repackaged: other code, signed by somebody else", build(text, "kode", theirs), "signature_invalid"},
		{"another build of the same owner", build(text, "next", ours), "signature_invalid"},
	} {
		w.expect(t, row.name, "/", w.phone(t, "base.apk", row.content, library).fetch("api.example.com"), row.want)
	}

	var base []byte // of an app bundle, as bundletool or the store makes it; the packages beside it are not measured
	library = w.register(t, "my_app.apks", func(l string) []byte {
		base = build(l, "bundled code", ours)
		return apktest.Zip([]apktest.File{{Name: "toc.pb", Content: "x"}, {Name: "splits/base-master.apk", Content: string(base)}, {Name: "splits/base-de.apk", Content: "x"}})
	})
	w.expect(t, "the base of an app bundle", "/", w.phone(t, "base.apk", base, library).fetch("api.example.com"), "ok")
}

// An iOS app is its code, which the store does not change when it signs anew. That holds for whoever signs, and whatever
// else is in the package.
func TestFromAnIOSPackageToTheAPI(t *testing.T) {
	w := newWorld(t, databases()[0])
	ours := machotest.Signer{Identifier: mobilePackage, Team: "A1B2C3D4E5", Certificates: "ours"}
	store := machotest.Signer{Identifier: mobilePackage, Team: "A1B2C3D4E5", Certificates: "of the store, which are longer"}
	theirs := machotest.Signer{Identifier: mobilePackage, Team: "MALLORY000", Certificates: "theirs"}
	genuine := machotest.Program{Code: "shop", MinOS: 0x000e0000, Signer: ours}
	injected := machotest.Program{Code: "shop", MinOS: 0x000e0000, Signer: theirs, Libraries: []string{"@executable_path/evil.dylib"}}
	evil := apktest.File{Name: iosFolder + "evil.dylib", Content: string(machotest.Program{Code: "evil", Signer: theirs}.Bytes())}
	var text string
	library := w.register(t, "my_app.ipa", func(l string) []byte {
		text = l
		return iosPackage(genuine.Bytes(), l, w.config)
	})
	for _, row := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"the registered package", iosPackage(genuine.Bytes(), text, w.config), "ok"},
		{"signed anew by the store", iosPackage(machotest.Sign(genuine.Bytes(), store), text, w.config), "ok"},
		{"the same code with other resources, signed by somebody else", iosPackage(machotest.Sign(genuine.Bytes(), theirs), text, w.config,
			apktest.File{Name: iosFolder + "main.jsbundle", Content: "theirs"}), "ok"},
		{"a load command that loads a library", iosPackage(injected.Bytes(), text, w.config), "signature_invalid"},
		{"that and the library", iosPackage(injected.Bytes(), text, w.config, evil), "signature_invalid"},
		{"a library that code could load", iosPackage(genuine.Bytes(), text, w.config, evil), "signature_invalid"},
	} {
		w.expect(t, row.name, "/", w.phone(t, "my_app.ipa", row.content, library).fetch("api.example.com"), row.want)
	}
}

const iosFolder = "Payload/Shop.app/"

// iosPackage is the package of an app with an executable, and what every app with the SDK has in it.
func iosPackage(executable []byte, library, config string, more ...apktest.File) []byte {
	var info strings.Builder
	for _, pair := range [][2]string{{"CFBundleIdentifier", mobilePackage}, {"CFBundleShortVersionString", "2.0"}, {"CFBundleVersion", "3"}, {"CFBundleExecutable", "Shop"}} {
		fmt.Fprintf(&info, "<key>%s</key><string>%s</string>", pair[0], pair[1])
	}
	return apktest.Zip(append([]apktest.File{
		{Name: iosFolder + "Info.plist", Content: `<plist version="1.0"><dict>` + info.String() + "</dict></plist>"},
		{Name: iosFolder + "Shop", Content: string(executable)},
		{Name: iosFolder + "approov.library", Content: library},
		{Name: iosFolder + "approov.config", Content: config},
	}, more...))
}
