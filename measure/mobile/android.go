package mobile

import (
	"context"
	"fmt"
	"strings"

	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/apk"
)

const (
	debugSubject = "CN=Android Debug" // of the certificates that the Android SDK makes
	needsV2      = 30                 // API level from which a target must not be signed by v1 alone
)

// measureAPK measures an Android package.
func measureAPK(ctx context.Context, s source, o Options) (App, error) {
	m, err := apk.ReadManifest(s.archive)
	if err != nil {
		return App{}, err
	}
	if m.Split != "" {
		return App{}, fmt.Errorf("it is %.80q, a part of %.80q: register the app's base.apk (base-master.apk of bundletool), which stands for all its parts", m.Split, m.Package)
	}
	if err := measure.CheckPackage(m.Package); err != nil {
		return App{}, err
	}
	signatures, err := apk.ReadSignatures(s.file, s.size, s.archive)
	if err != nil {
		return App{}, err
	}
	app := App{App: measure.App{Size: s.size, Build: measure.Build{Package: m.Package, Version: versionText(m.VersionName, m.VersionCode)}},
		Platform: Android, Debuggable: m.Debuggable, Warnings: m.Warnings}
	r := newReading(s, o)
	r.beside = signatures.Content
	if err := r.run(ctx, signatures); err != nil {
		return App{}, err
	}
	app.Digest = r.digest
	app.Libraries, app.Configs = r.found()
	app.Warnings = append(app.Warnings, r.warnings...)
	signers, warnings := signatures.Result()
	app.Warnings = append(append(app.Warnings, warnings...), judge(m, signers)...)
	for _, one := range signers {
		app.Signers = append(app.Signers, Signer{one.Scheme, one.SHA256, one.Subject})
	}
	return app, nil
}

// judge says what is unusual about an app that is to be published.
func judge(m apk.Manifest, signers []apk.Signer) []string {
	var warnings []string
	debug, later := false, false
	for _, one := range signers {
		debug = debug || strings.Contains(one.Subject, debugSubject)
		later = later || one.Scheme != apk.SchemeV1
	}
	if debug {
		warnings = append(warnings, "it is signed with a debug key, which anybody can make: no store takes it")
	}
	if len(signers) > 0 && !later && m.TargetSDK >= needsV2 {
		warnings = append(warnings, fmt.Sprintf("it is for API level %d and is signed by v1 alone: Android 11 and later would not install it", m.TargetSDK))
	}
	if m.Debuggable {
		warnings = append(warnings, "it is debuggable: whoever has the device can read and change it while it runs")
	}
	if m.TestOnly {
		warnings = append(warnings, "it is for tests only (android:testOnly): no store takes it")
	}
	return warnings
}

// versionText is a version as registrations have it, such as 2.0[3] (manual, "Listing Registrations"). Characters that a
// registration cannot have become _, and a name that is too long is cut off: its code is what tells versions apart.
func versionText(name string, code uint64) string {
	suffix := fmt.Sprintf("[%d]", code)
	var b strings.Builder
	for _, c := range name {
		if b.Len() == measure.MaxVersion-len(suffix) {
			break
		}
		if measure.CheckVersion(string(c)) != nil {
			c = '_'
		}
		b.WriteRune(c)
	}
	return b.String() + suffix
}
