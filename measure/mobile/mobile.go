// Package mobile measures the packages of mobile apps: what is registered of an .apk or .ipa file (manual, "Registering
// an App"), and what whoever registers it should know of it.
//
// It owns which file of what it is given is the app. What the formats mean is in packages apk and ipa. It trusts no
// file: time and memory are bounded whatever one says, and what is unpacked to a temporary file is removed.
//
// Start reading at File.
package mobile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// The platforms of apps.
const (
	Android = "Android"
	IOS     = "iOS"
)

// Options are how an app is measured.
type Options struct {
	ConfigMark string // how the text of an SDK configuration begins; "": none is looked for
	// Progress is told how many bytes have been read and unpacked, and of how many; nil: nobody is. It is called by one
	// goroutine at a time.
	Progress func(done, total int64)
}

// App is what the package of an app is.
type App struct {
	measure.App        // Digest: of Android, of the whole package: of the file that ApplicationInfo.sourceDir names
	Platform    string // Android or IOS
	Signers     []Signer
	Team        string // of iOS
	Debuggable  bool
	Configs     []string // texts of SDK configurations in it, at most measure.MaxConfigs
	Warnings    []string // what whoever registers it should know, such as that it was signed for debugging
}

// Signer is who signed an app.
type Signer struct {
	Scheme  string // of Android v1, v2, v3 or v3.1
	SHA256  string // of the certificate, in hexadecimal
	Subject string // of it; "" if it cannot be read
}

// File measures the app in a file: the package itself, or one that holds the packages of an Android app.
func File(ctx context.Context, path string, o Options) (App, error) {
	app, err := measureFile(ctx, path, o)
	if err != nil {
		return App{}, fmt.Errorf("%s: %w", path, err)
	}
	return app, nil
}

func measureFile(ctx context.Context, path string, o Options) (App, error) {
	info, err := os.Stat(path)
	if err != nil {
		return App{}, errors.Unwrap(err) // the path is said once
	}
	if !info.Mode().IsRegular() { // before it is opened: opening a pipe waits for its other end
		return App{}, errors.New("not a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return App{}, errors.Unwrap(err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err = file.Stat()
	if err != nil {
		return App{}, err
	}
	app, err := ReaderAt(ctx, file, info.Size(), o)
	if after, failed := file.Stat(); ctx.Err() == nil && failed == nil && (after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime())) {
		return App{}, measure.ErrChanged
	}
	return app, err
}

// ReaderAt measures the app in a file that is open, or in memory.
func ReaderAt(ctx context.Context, file io.ReaderAt, size int64, o Options) (App, error) {
	archive, err := zipfile.Open(file, size)
	if err != nil {
		return App{}, err
	}
	switch kindOf(archive) {
	case kindAPK:
		return measureAPK(ctx, source{file, size, archive}, o)
	case kindIPA:
		return measureIPA(ctx, source{file, size, archive}, o)
	case kindPackages:
		return measureBase(ctx, archive, o)
	case kindBundle:
		return App{}, errors.New("it is an app bundle, which no device runs: register base.apk of the APKs that Google Play makes of it" +
			" (Play console, App bundle explorer, Downloads), or base-master.apk of those that bundletool makes")
	}
	return App{}, errors.New("it is no app: it has neither AndroidManifest.xml nor Payload/NAME.app/Info.plist in it, nor a base.apk, base-master.apk or universal.apk")
}
