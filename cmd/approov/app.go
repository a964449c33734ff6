package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/mobile"
)

// app is what is registered of a file.
type app struct {
	new      attestapi.NewRegistration
	platform string   // of its SDK library
	sdk      string   // the library's version
	warnings []string // what whoever registers it should know
	signers  []string // who signed it; of a mobile app
	current  attestapi.Config
	configs  []string // texts of SDK configurations in it
	noConfig error    // why those were not looked for
}

// measure makes a registration of a file: of what it is, and of what the flags say of it.
func (c *call) measure(path string) (app, error) {
	if c.has("libraryID") {
		if _, err := c.number("libraryID"); err != nil {
			return app{}, err
		}
	}
	a := app{}
	var mark string
	a.current, mark, a.noConfig = c.currentConfig()
	measured, err := c.measured(path, mark)
	if err != nil {
		return app{}, err
	}
	a.configs, a.warnings, a.signers = measured.Configs, measured.Warnings, signersOf(measured)
	if a.ofAnother() {
		a.warnings = append(a.warnings, "its SDK configuration is another account's or another service's, so it gets no valid tokens here;"+
			" build it with what approov sdk -getConfig and -getLibrary write")
	}
	a.new = attestapi.NewRegistration{Digest: base64.StdEncoding.EncodeToString(measured.Digest[:]), Package: measured.Build.Package,
		Version: measured.Build.Version, Lifetime: c.text("expireAfter")}
	if len(measured.Libraries) == 0 && !c.has("libraryID") { // said first: it may not be the file that was meant at all
		return app{}, fmt.Errorf("%s holds no SDK library; embed the file that approov sdk -getLibrary writes, or give -libraryID N", path)
	}
	if err := c.name(&a.new, path); err != nil {
		return app{}, misuse{err}
	}
	err = c.chooseLibrary(&a, path, measured.Libraries)
	return a, err
}

// measured reads the file: the package of a mobile app, or an executable.
func (c *call) measured(path, mark string) (mobile.App, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return mobile.App{}, fmt.Errorf("%s is a folder; register the .apk or .ipa that people install, or the program they run", path)
	}
	tell, end := c.progress("measuring " + filepath.Base(path))
	defer end()
	if isPackage(path) {
		return mobile.File(context.Background(), path, mobile.Options{ConfigMark: mark, Progress: tell})
	}
	one, configs, err := measure.FileAndConfigs(context.Background(), path, mark, tell)
	return mobile.App{App: one, Configs: configs}, err
}

// signersOf says of each certificate that a mobile app is signed with whose it is, and in which schemes; of an iOS app
// the team.
func signersOf(m mobile.App) (all []string) {
	if m.Team != "" {
		return []string{"team " + m.Team}
	}
	schemes := map[string][]string{}
	for _, one := range m.Signers {
		text := one.Subject + ", certificate SHA-256 " + one.SHA256
		if schemes[text] == nil {
			all = append(all, text)
		}
		schemes[text] = append(schemes[text], one.Scheme)
	}
	for i, text := range all {
		all[i] = text + " (" + strings.Join(schemes[text], ", ") + ")"
	}
	return all
}

// isPackage reports whether a file is called like a mobile app's, so that one that is damaged is not taken for an
// executable, or is an archive, which no executable begins like.
func isPackage(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".apk", ".aab", ".apks", ".apkm", ".xapk", ".ipa":
		return true
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false // opening a pipe would wait for its other end
	}
	file, err := os.Open(path)
	if err != nil {
		return false // which the measuring says better
	}
	defer func() { _ = file.Close() }() // only read
	begin := make([]byte, len(archiveMark))
	_, err = io.ReadFull(file, begin)
	return err == nil && string(begin) == archiveMark
}

const archiveMark = "PK\x03\x04" // of a zip archive's first file (APPNOTE.TXT 4.3.7)

// name sets the package name and the version that the flags give in place of the app's own.
func (c *call) name(r *attestapi.NewRegistration, path string) error {
	if c.has("package") {
		r.Package = c.text("package")
	}
	if c.has("versionName") {
		r.Version = c.text("versionName")
	}
	switch {
	case r.Package == "":
		return fmt.Errorf("%s does not say its package name; give -package NAME, the name that the app gives the SDK", path)
	case r.Version == "":
		return fmt.Errorf("%s does not say its version; give -versionName TEXT, the version that the app gives the SDK", path)
	}
	return errors.Join(measure.CheckPackage(r.Package), measure.CheckVersion(r.Version))
}

// chooseLibrary sets the SDK library that a registration is for: the one in the app, or the one that -libraryID names.
func (c *call) chooseLibrary(a *app, path string, found []attestapi.Library) error {
	a.new.Library = c.text("libraryID")
	var names []string
	for _, l := range found {
		if len(found) == 1 && a.new.Library == "" || l.ID == a.new.Library {
			a.new.Library, a.platform, a.sdk = l.ID, l.Platform, l.Version
			return c.sameAccount(l, path)
		}
		names = append(names, l.ID+" of account "+l.Account)
	}
	if a.new.Library != "" { // the SDK may be where it cannot be seen (manual, "Special Library Registration")
		return c.lookUpLibrary(a)
	}
	return fmt.Errorf("%s holds %d SDK libraries: %s; give -libraryID N", path, len(found), strings.Join(names, ", "))
}

// sameAccount keeps an app that was built for one account from being registered with another, where the same
// library ID may be another library's.
func (c *call) sameAccount(l attestapi.Library, path string) error {
	var info attestapi.AccountInfo
	if _, err := c.read("getting libraries", attestapi.PathAccount, nil, &info); err != nil {
		return err
	}
	if l.Account != info.Account {
		return fmt.Errorf("the SDK library in %s is of account %s, and the management token of account %s", path, l.Account, info.Account)
	}
	return nil
}

// lookUpLibrary asks the server about a library that was not found in the app.
func (c *call) lookUpLibrary(a *app) error {
	var list attestapi.SDKLibraries
	if _, err := c.read("getting libraries", attestapi.PathSDKLibraries, nil, &list); err != nil {
		return err
	}
	for _, l := range list.Libraries {
		if l.ID == a.new.Library {
			a.platform, a.sdk = l.Platform, l.Version
			return nil
		}
	}
	return errors.New("-libraryID: the account has no SDK library " + a.new.Library + "; approov sdk -listLibraries shows them")
}
