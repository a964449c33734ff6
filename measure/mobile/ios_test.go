package mobile_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/internal/machotest"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/ipa"
	"github.com/approovgate/approovgate/measure/mobile"
)

func TestAnIOSPackage(t *testing.T) {
	const folder = "Payload/Shop.app/"
	program := machotest.Program{Code: "shop", MinOS: 0x000e0000, Signer: machotest.Signer{Identifier: "com.example.shop", Team: "A1B2C3D4E5", Certificates: "certificates"}}
	plist := func(build string) string {
		return `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>CFBundleIdentifier</key><string>com.example.shop</string>` +
			`<key>CFBundleShortVersionString</key><string>2.0</string><key>CFBundleVersion</key><string>` + build +
			`</string><key>CFBundleExecutable</key><string>Shop</string></dict></plist>`
	}
	files := func(build string) []apktest.File {
		return []apktest.File{{Name: folder + "Info.plist", Content: plist(build)}, {Name: folder + "Shop", Content: string(program.Bytes())},
			{Name: folder + "approov.lib", Content: library("1039")}, {Name: folder + "approov.config", Content: configMark + "abc="}}
	}
	content := apktest.Zip(files("3"))
	var last, total int64
	app, err := mobile.File(t.Context(), put(t, "my_app.ipa", content), mobile.Options{ConfigMark: configMark, Progress: func(done, of int64) { last, total = done, of }})
	if err != nil {
		t.Fatal(err)
	}
	want, err := ipa.Read(t.Context(), bytes.NewReader(content), int64(len(content)))
	if err != nil || app.Digest != want.Digest || app.Size != int64(len(content)) || app.Team != "A1B2C3D4E5" || app.Platform != "iOS" || !slices.Equal(app.Warnings, want.Warnings) {
		t.Errorf("got %+v, want what package ipa says, %+v, %v", app, want, err)
	}
	if got := app.Build; got != (measure.Build{Package: "com.example.shop", Version: "2.0[3]"}) {
		t.Errorf("got %+v, want com.example.shop 2.0[3]", got)
	}
	if got := fmt.Sprint(app.Libraries, app.Configs); got != "[2.0.4(1039)] ["+configMark+"abc=]" {
		t.Errorf("got %s, want library 1039 and one configuration", got)
	}
	if last != total || total == 0 {
		t.Errorf("got progress up to %d of %d", last, total)
	}
	if _, err := mobile.File(t.Context(), put(t, "my_app.ipa", apktest.Zip(files("a b"))), mobile.Options{}); err == nil || !strings.Contains(err.Error(), "CFBundleVersion") {
		t.Errorf("a build number with a space: got %v, want it refused", err)
	}
}
