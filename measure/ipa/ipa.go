// Package ipa reads iOS app packages (.ipa): what app it is, and a digest that stays the same when the app store signs
// the app anew.
//
// It owns what stands where in a package. The formats within are those of zipfile, plist and macho, and like them it
// trusts no file. It checks no signature, and runs and unpacks nothing.
//
// # The digest
//
// Digest is the SHA-256 over every Mach-O executable of the bundle that the app's process can load, in the order of
// their paths within the bundle, of each the path, a NUL, and its digest of package macho (32 bytes). These are the
// app's own executable, those in Frameworks/, and any other file in the bundle that begins as a Mach-O executable
// does. Not in it are:
//
//   - programs of their own: what is in PlugIns/, Extensions/, AppClips/ and Watch/;
//   - resources and Info.plist: iOS checks them by the signature when the app is installed. Code that the app
//     interprets is such a resource, React Native's main.jsbundle for one;
//   - slices of universal executables for other processors, which the store removes;
//   - executables without arm64 code, which no device can load: a warning says so;
//   - the signature, see package macho, and the bundle's name.
//
// What is registered must be what the store was given: the .ipa that Xcode exported for the upload. The store encrypts
// the code of what it delivers, and such a package is refused.
//
// Start reading at Read.
package ipa

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/approovgate/approovgate/measure/plist"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// The bounds of names, in bytes.
const (
	MaxPackage = 255
	MaxVersion = 31 // of a version, and of a build: together, as 2.0[3], they are what a registration's version may have
)

// ErrEncrypted is in the error of an app that the store encrypted.
var ErrEncrypted = errors.New("the store encrypted it, which hides the code: give the .ipa that Xcode exported, as it is before the upload")

// App is what a package says of its app.
type App struct {
	Package    string            // CFBundleIdentifier, such as com.example.shop
	Version    string            // CFBundleShortVersionString, such as 2.0.2
	Build      string            // CFBundleVersion, such as 3
	MinOS      string            // the oldest iOS that runs it, such as 15.0; empty: it does not say
	Team       string            // of the developer, as the signature says; empty: it does not say
	Adhoc      bool              // without a certificate, or not signed at all: no device installs it as it is
	Debuggable bool              // a development build, into which a debugger may look
	Simulator  bool              // for the simulator, not for devices
	Digest     [sha256.Size]byte // see the package's comment
	Warnings   []string          // sentences for whoever registers it
}

// Read reads the package of size bytes. It takes a few megabytes of memory, however large the package is.
func Read(ctx context.Context, r io.ReaderAt, size int64) (App, error) {
	archive, err := zipfile.Open(r, size)
	if err != nil {
		return App{}, fmt.Errorf("iOS app: %w", err)
	}
	return Archive(ctx, archive)
}

// Archive reads the package that an open archive is.
func Archive(ctx context.Context, archive *zipfile.Archive) (App, error) {
	app, err := read(ctx, archive)
	if err != nil {
		return App{}, fmt.Errorf("iOS app: %w", err)
	}
	return app, nil
}

func read(ctx context.Context, archive *zipfile.Archive) (App, error) {
	b, err := findBundle(archive)
	if err != nil {
		return App{}, err
	}
	info, err := b.info(archive)
	if err != nil {
		return App{}, fmt.Errorf("%.200q: %w", b.folder+"Info.plist", err)
	}
	var app App
	for _, field := range []struct {
		key  string
		to   *string
		most int
	}{
		{"CFBundleIdentifier", &app.Package, MaxPackage},
		{"CFBundleShortVersionString", &app.Version, MaxVersion},
		{"CFBundleVersion", &app.Build, MaxVersion},
		{"MinimumOSVersion", &app.MinOS, MaxVersion},
	} {
		if _, there := info[field.key]; !there && field.key == "MinimumOSVersion" {
			continue // the executable says it, too
		}
		if *field.to, err = name(info, field.key, field.most); err != nil {
			return App{}, fmt.Errorf("%.200q: %w", b.folder+"Info.plist", err)
		}
	}
	main := info.Text("CFBundleExecutable")
	if main == "" || strings.ContainsAny(main, "/\x00") {
		return App{}, fmt.Errorf("%.200q: CFBundleExecutable is %.80q, want the name of a file beside it", b.folder+"Info.plist", main)
	}
	app.Simulator = strings.HasSuffix(info.Text("DTPlatformName"), "simulator")
	if err := b.readExecutables(ctx, main); err != nil {
		return App{}, err
	}
	return app, b.describe(&app, main)
}

// name is a name or version of the app. It has letters, digits and . _ - only: it becomes a part of the registration's
// signature, which is shown, and typed by people (manual, "Listing Registrations").
func name(info plist.Dict, key string, most int) (string, error) {
	text := info.Text(key)
	switch {
	case text == "":
		return "", fmt.Errorf("%s is not there, or not a text: set it in the app's target", key)
	case len(text) > most:
		return "", fmt.Errorf("%s has %d bytes, at most %d are allowed", key, len(text), most)
	}
	for _, c := range []byte(text) {
		letterOrDigit := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letterOrDigit && !strings.ContainsRune("._-", rune(c)) {
			return "", fmt.Errorf("%s is %.80q, which has %q: use letters, digits and . _ -", key, text, c)
		}
	}
	return text, nil
}
