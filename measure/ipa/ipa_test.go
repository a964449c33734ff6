package ipa_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/machotest"
	"github.com/approovgate/approovgate/measure/ipa"
	"github.com/approovgate/approovgate/measure/macho"
)

const (
	info = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>CFBundleIdentifier</key><string>com.example.shop</string>
<key>CFBundleShortVersionString</key><string>2.0.2</string>
<key>CFBundleVersion</key><string>3</string>
<key>CFBundleExecutable</key><string>Shop</string>
<key>DTPlatformName</key><string>iphoneos</string>
<key>MinimumOSVersion</key><string>15.0</string>
</dict></plist>`
	app = "Payload/Shop.app/"
)

// release signs as the store wants it.
func release() machotest.Signer {
	return machotest.Signer{Identifier: "com.example.shop", Team: "A1B2C3D4E5", Certificates: "certificates"}
}

func program(code string) machotest.Program {
	return machotest.Program{Code: code, MinOS: 0x000e0000, Signer: release()}
}

// shop are the files of a package.
func shop() map[string]string {
	return map[string]string{
		"Payload/": "", app: "", app + "Frameworks/": "",
		app + "Info.plist":                         info,
		app + "Shop":                               string(program("shop").Bytes()),
		app + "Assets.car":                         "BOMStore and pictures",
		app + "Frameworks/Sdk.framework/Sdk":       string(program("sdk").Bytes()),
		app + "Frameworks/libnet.dylib":            string(program("net").Bytes()),
		app + "PlugIns/Widget.appex/Widget":        string(program("widget").Bytes()),
		app + "Watch/W.app/W":                      string(machotest.Program{CPU: 0x0200000c}.Bytes()),
		app + "_CodeSignature/CodeResources":       "<plist/>",
		app + "PkgInfo":                            "APPL????",
		app + "empty":                              "",
		"iTunesMetadata.plist":                     "<plist/>",
		"SwiftSupport/iphoneos/libswiftCore.dylib": string(program("swift").Bytes()),
		"Payload/.DS_Store":                        "x",
	}
}

// pack makes a package, its files in order.
func pack(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			panic(err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func read(file []byte) (ipa.App, error) {
	return ipa.Read(context.Background(), bytes.NewReader(file), int64(len(file)))
}

// with are the files of a package with some changed; "" removes one.
func with(changes ...string) map[string]string {
	files := shop()
	for i := 0; i < len(changes); i += 2 {
		if files[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(files, changes[i])
		}
	}
	return files
}

func TestReadSaysWhatThePackageSays(t *testing.T) {
	simulator, universal := program("shop"), program("shop")
	simulator.Platform = 7
	development := program("shop")
	development.Signer.Entitlements = `<plist version="1.0"><dict><key>get-task-allow</key><true/></dict></plist>`
	adhoc, unsigned := program("shop"), program("shop")
	adhoc.Signer, unsigned.Unsigned = machotest.Signer{Identifier: "Shop", Adhoc: true}, true
	x86 := machotest.Program{CPU: 0x01000007}.Bytes()
	const good = "com.example.shop 2.0.2[3] iOS 15.0 A1B2C3D4E5"
	for _, row := range []struct {
		name     string
		files    map[string]string
		want     string
		warnings string // a part of each, in order
	}{
		{"a package for the store", shop(), good, ""},
		{"universal executables", with(app+"Shop", string(machotest.Fat(false, x86, universal.Bytes()))), good, ""},
		{"no MinimumOSVersion: the executable says it", with(app+"Info.plist", strings.Replace(info, "MinimumOSVersion", "Other", 1)),
			"com.example.shop 2.0.2[3] iOS 14.0 A1B2C3D4E5", ""},
		{"a development build", with(app+"Shop", string(development.Bytes())), good + " debuggable", "get-task-allow"},
		{"signed ad hoc", with(app+"Shop", string(adhoc.Bytes())), "com.example.shop 2.0.2[3] iOS 15.0  adhoc", "not signed with a certificate"},
		{"not signed", with(app+"Shop", string(unsigned.Bytes())), "com.example.shop 2.0.2[3] iOS 15.0  adhoc", "not signed with a certificate"},
		{"a simulator build for Macs of arm64", with(app+"Shop", string(simulator.Bytes())), good + " simulator", "for the simulator"},
		{"a simulator build by its Info.plist", with(app+"Info.plist", strings.Replace(info, "iphoneos", "iphonesimulator", 1)),
			good + " simulator", "for the simulator"},
		{"Swift's libraries", with(app+"Frameworks/libswiftCore.dylib", string(program("swift").Bytes())), good, "one of Swift's own libraries"},
		{"frameworks for other processors", with(app+"Frameworks/A.framework/A", string(x86), app+"Frameworks/libnet.dylib", string(x86)), good,
			`2, the first is "Frameworks/A.framework/A"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := read(pack(row.files))
			got := fmt.Sprintf("%s %s[%s] iOS %s %s", a.Package, a.Version, a.Build, a.MinOS, a.Team)
			for word, is := range map[string]bool{" adhoc": a.Adhoc, " debuggable": a.Debuggable, " simulator": a.Simulator} {
				if is {
					got += word
				}
			}
			if err != nil || got != row.want {
				t.Errorf("got %s, %v, want %s", got, err, row.want)
			}
			if warnings := strings.Join(a.Warnings, "; "); len(a.Warnings) > 1 || !strings.Contains(warnings, row.warnings) || (row.warnings == "") != (warnings == "") {
				t.Errorf("got the warnings %q, want one with %q", a.Warnings, row.warnings)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	field := func(old, new string) map[string]string {
		return with(app+"Info.plist", strings.Replace(info, old, new, 1))
	}
	encrypted := program("shop")
	encrypted.CryptID = 1
	mac, x86 := program("shop"), machotest.Program{CPU: 0x01000007}.Bytes()
	mac.Platform = 1
	entitled := program("shop")
	entitled.Signer.Entitlements = "<plist><array/></plist>"
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no app", map[string]string{"a.txt": "a"}, "there is no folder Payload/NAME.app"},
		{"an app beside Payload, as simulator builds are packed", map[string]string{"Shop.app/Info.plist": info}, "there is no folder Payload/NAME.app"},
		{"two apps", with("Payload/Other.app/Info.plist", info), `there are two apps: "Payload/Other.app/" and "Payload/Shop.app/"`},
		{"no Info.plist", with(app+"Info.plist", ""), `"Payload/Shop.app/Info.plist": it is not there`},
		{"an Info.plist that is none", with(app+"Info.plist", "{}"), "neither XML nor binary"},
		{"an Info.plist of 2 MB", with(app+"Info.plist", info+strings.Repeat(" ", 2<<20)), "it has more than 1048576 bytes"},
		{"no identifier", field("CFBundleIdentifier", "Other"), "CFBundleIdentifier is not there, or not a text"},
		{"an identifier that Xcode did not fill in", field("com.example.shop", "$(PRODUCT_BUNDLE_IDENTIFIER)"), "which has '$'"},
		{"an identifier of 256 bytes", field("com.example.shop", strings.Repeat("a", 256)), "CFBundleIdentifier has 256 bytes, at most 255"},
		{"a version of 32 bytes", field("2.0.2", strings.Repeat("2", 32)), "CFBundleShortVersionString has 32 bytes, at most 31"},
		{"no version", field("CFBundleShortVersionString", "Other"), "CFBundleShortVersionString is not there"},
		{"a version in brackets", field("2.0.2", "2[9]"), "CFBundleShortVersionString is \"2[9]\", which has '['"},
		{"a build that is a number", field("<string>3</string>", "<integer>3</integer>"), "CFBundleVersion is not there, or not a text"},
		{"an oldest system of control characters", field(">15.0<", ">15\t0<"), `MinimumOSVersion is "15\t0", which has '\t'`},
		{"no executable", field("CFBundleExecutable", "Other"), `CFBundleExecutable is "", want the name`},
		{"an executable elsewhere", field("<string>Shop<", "<string>../Shop<"), `CFBundleExecutable is "../Shop", want the name`},
		{"an executable that is not there", with(app+"Shop", ""), `"Payload/Shop.app/Shop", its executable, is not there`},
		{"an executable that is a script", with(app+"Shop", "#!/bin/sh and so on"), "its executable, is not there, or is none"},
		{"an executable for the simulator on Intel", with(app+"Shop", string(x86)), `"Payload/Shop.app/Shop": Mach-O: no arm64 code, but x86_64: a simulator build`},
		{"an executable for macOS", with(app+"Shop", string(mac.Bytes())), "is built for macOS, not for iOS"},
		{"entitlements that are none", with(app+"Shop", string(entitled.Bytes())), `"Payload/Shop.app/Shop": its entitlements: plist: it is not a dictionary`},
		{"an executable that the store encrypted", with(app+"Shop", string(encrypted.Bytes())), `"Payload/Shop.app/Shop": the store encrypted it`},
		{"a framework that the store encrypted", with(app+"Frameworks/libnet.dylib", string(encrypted.Bytes())), "the store encrypted it"},
		{"a damaged framework", with(app+"Frameworks/libnet.dylib", string(program("x").Bytes()[:900])), `"Payload/Shop.app/Frameworks/libnet.dylib": Mach-O:`},
		{"a folder spelt with a dot", with(app+"PlugIns/./evil.dylib", "x"), `has a part "."`},
		{"a folder spelt with two slashes", with(app+"/Shop", "x"), `has a part ""`},
		{"a folder spelt with a backslash", with(app+`PlugIns\evil.dylib`, "x"), `has a part "PlugIns\\evil.dylib"`},
		{"a folder above", with(app+"PlugIns/../evil.dylib", "x"), "leads outside its folder"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := read(pack(row.files))
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "iOS app: ") {
				t.Errorf("got %+v, %v, want the error %q", a, err, row.want)
			}
			if got, want := errors.Is(err, ipa.ErrEncrypted), strings.Contains(row.want, "encrypted it"); got != want {
				t.Errorf("ErrEncrypted: got %t, want %t", got, want)
			}
		})
	}
	if _, err := read([]byte("no zip")); err == nil || !strings.HasPrefix(err.Error(), "iOS app: ") {
		t.Errorf("no archive: got %v, want an error", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	file := pack(shop())
	if _, err := ipa.Read(ended, bytes.NewReader(file), int64(len(file))); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v, want %v", err, context.Canceled)
	}
}

// TestDigestIsOfTheExecutables holds the package's comment, computed by hand.
func TestDigestIsOfTheExecutables(t *testing.T) {
	hash := sha256.New()
	for _, path := range []string{"Frameworks/Sdk.framework/Sdk", "Frameworks/libnet.dylib", "Shop"} {
		file := shop()[app+path]
		executable, err := macho.Read(t.Context(), strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write([]byte(path + "\x00"))
		hash.Write(executable.Digest[:])
	}
	first, err := read(pack(shop()))
	if want := hash.Sum(nil); err != nil || !bytes.Equal(first.Digest[:], want) {
		t.Errorf("got %x, %v, want %x", first.Digest, err, want)
	}
	resigned := map[string]string{}
	for name, content := range shop() {
		if macho.Is([]byte(content)) {
			content = string(machotest.Sign([]byte(content), machotest.Signer{Identifier: "x", Team: "APPLESTORE", Certificates: "others"}))
		}
		resigned[strings.Replace(name, "Shop.app", "Renamed.app", 1)] = content
	}
	for _, row := range []struct {
		name  string
		files map[string]string
		same  bool
	}{
		{"signed anew, in a folder of another name", resigned, true},
		{"another picture", with(app+"Assets.car", "BOMStore and others"), true},
		{"another widget", with(app+"PlugIns/Widget.appex/Widget", string(program("new").Bytes())), true},
		{"other code", with(app+"Shop", string(program("shoq").Bytes())), false},
		{"other code in a framework", with(app+"Frameworks/Sdk.framework/Sdk", string(program("sdc").Bytes())), false},
		{"a library more", with(app+"Frameworks/evil.dylib", string(program("evil").Bytes())), false},
		{"a library more, hidden among resources", with(app+"Assets.bundle/picture.png", string(program("evil").Bytes())), false},
		{"a library less", with(app+"Frameworks/libnet.dylib", ""), false},
		{"a library elsewhere", with(app+"Frameworks/libnet.dylib", "", app+"Frameworks/libnew.dylib", shop()[app+"Frameworks/libnet.dylib"]), false},
		{"two libraries exchanged", with(app+"Frameworks/libnet.dylib", shop()[app+"Frameworks/Sdk.framework/Sdk"],
			app+"Frameworks/Sdk.framework/Sdk", shop()[app+"Frameworks/libnet.dylib"]), false},
	} {
		a, err := read(pack(row.files))
		if got := a.Digest == first.Digest; err != nil || got != row.same {
			t.Errorf("%s: got the same digest %t, %v, want %t", row.name, got, err, row.same)
		}
	}
}

// TestReadOfDamagedPackages cuts a package off everywhere and flips bits all over: an answer comes, and no other app.
func TestReadOfDamagedPackages(t *testing.T) {
	small := map[string]string{app + "Info.plist": info, app + "Shop": string(program("shop").Bytes())}
	file := pack(small)
	first, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range file {
		if a, err := read(file[:n]); err == nil {
			t.Fatalf("%d of %d bytes: got %+v, want an error", n, len(file), a)
		}
	}
	refused := 0
	for at := range file {
		for bit := range 8 {
			file[at] ^= 1 << bit
			a, err := read(file)
			file[at] ^= 1 << bit
			if err != nil {
				refused++
			} else if a.Digest != first.Digest || a.Package != first.Package || a.Team != first.Team {
				t.Errorf("bit %d of byte %d: got %+v, want an error or the same", bit, at, a)
			}
		}
	}
	t.Logf("%d of %d refused", refused, 8*len(file))
	if refused < len(file) {
		t.Errorf("got %d of %d refused, want most of them", refused, 8*len(file))
	}
}

// TestReadTakesLittleMemory reads a package of 100 MB.
func TestReadTakesLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("packs 100 MB")
	}
	large := program(strings.Repeat("some code, ", 5<<20)).Bytes()
	file := pack(with(app+"Shop", string(large), app+"Frameworks/libnet.dylib", string(large)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := read(file); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("got %d bytes allocated for %d, want at most 16 MB", got, len(large)*2)
	}
}

// BenchmarkRead reads a package of which 100 MB are code that does not pack well.
func BenchmarkRead(b *testing.B) {
	code := make([]byte, 100<<20)
	seed := sha256.Sum256(nil)
	for i := range code { // every fourth byte is what one of a short text is
		if code[i] = "some code"[i%9]; i%2 == 0 {
			code[i] = seed[i>>5&31] ^ byte(i*i>>7)
		}
	}
	file := pack(with(app+"Shop", string(program(string(code)).Bytes())))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(file); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRead holds that what is read has names that can be shown, and the digest of its executables alone.
func FuzzRead(f *testing.F) {
	f.Add(pack(map[string]string{app + "Info.plist": info, app + "Shop": string(program("shop").Bytes())}))
	f.Add(pack(shop()))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := read(file)
		if err != nil {
			return
		}
		if a.Digest == [sha256.Size]byte{} || a.Package == "" || a.Version == "" || a.Build == "" || len(a.Package) > ipa.MaxPackage {
			t.Errorf("got %+v, want a digest and names", a)
		}
		// Another writer packs the same files: the same app.
		r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Skip("archive/zip reads other archives")
		}
		var again bytes.Buffer
		w := zip.NewWriter(&again)
		for _, entry := range r.File {
			if err := w.Copy(entry); err != nil {
				t.Skip("archive/zip reads other archives")
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if b, err := read(again.Bytes()); err != nil || b.Digest != a.Digest || b.Package != a.Package {
			t.Errorf("packed anew: got %+v, %v, want %+v", b, err, a)
		}
	})
}
