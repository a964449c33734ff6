package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/internal/machotest"
)

// packageCommand writes the package of a mobile app, com.criticalblue.demo 2.0[3], with an SDK library in it for each
// ID, and with the files named as FILE=, such as approov.config=. Its form goes by the name: .apk, .ipa, .aab, or .apks
// of which base-master.apk is the app. What an .apk is signed with goes by it, too: debug- with a debug key, bare- not.
func packageCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: package FILE ACCOUNT [LIBRARY|NAME=]...")
	}
	platform, sdk := "Android", "2.0.4"
	if filepath.Ext(args[0]) == ".ipa" {
		platform, sdk = "iOS", "2.0.2"
	}
	var files []apktest.File
	for _, more := range args[2:] {
		content := string(attestapi.NewLibrary(more, args[1], platform, sdk, [attestapi.LibraryKeySize]byte{1}).Encode())
		name, isFile := strings.CutSuffix(more, "=")
		if isFile {
			content = ts.ReadFile(name)
		}
		files = append(files, apktest.File{Name: "assets/" + name, Content: content})
	}
	name := filepath.Base(args[0])
	var content []byte
	switch filepath.Ext(name) {
	case ".ipa":
		content = iosPackage(files)
	case ".aab":
		content = apktest.Zip([]apktest.File{{Name: "BundleConfig.pb", Content: "x"}, {Name: "base/manifest/AndroidManifest.xml", Content: "x"}})
	case ".apks":
		content = apktest.Zip([]apktest.File{{Name: "toc.pb", Content: "x"}, {Name: "splits/base-master.apk", Content: string(androidPackage(name, files))}})
	default:
		content = androidPackage(name, files)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

func androidPackage(name string, files []apktest.File) []byte {
	holder := "Shop"
	if strings.HasPrefix(name, "debug-") {
		holder = "Android Debug"
	}
	app := apktest.App{Files: files, Manifest: apktest.Manifest{Package: "com.criticalblue.demo", VersionName: "2.0", VersionCode: 3, TargetSDK: 29}}
	if !strings.HasPrefix(name, "bare-") {
		app.V2 = []*apktest.Key{apktest.NewKey(holder, apktest.ECDSA256)}
	}
	return app.Make()
}

func iosPackage(files []apktest.File) []byte {
	const folder = "Payload/Demo.app/"
	var plist strings.Builder
	for _, pair := range [][2]string{{"CFBundleIdentifier", "com.criticalblue.demo"}, {"CFBundleShortVersionString", "2.0"}, {"CFBundleVersion", "3"}, {"CFBundleExecutable", "Demo"}} {
		fmt.Fprintf(&plist, "<key>%s</key><string>%s</string>", pair[0], pair[1])
	}
	program := machotest.Program{Code: "demo", MinOS: 0x000e0000, Signer: machotest.Signer{Identifier: "com.criticalblue.demo", Team: "A1B2C3D4E5", Certificates: "certificates"}}
	all := []apktest.File{{Name: folder + "Info.plist", Content: `<plist version="1.0"><dict>` + plist.String() + "</dict></plist>"}, {Name: folder + "Demo", Content: string(program.Bytes())}}
	for _, f := range files {
		all = append(all, apktest.File{Name: folder + filepath.Base(f.Name), Content: f.Content})
	}
	return apktest.Zip(all)
}

// cutCommand keeps the first bytes of a file.
func cutCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE BYTES")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}
