package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
)

// app is what is registered of a file.
type app struct {
	new      attestapi.NewRegistration
	platform string // of its SDK library
	sdk      string // the library's version
}

// measure makes a registration of an executable: of what it is, and of what the flags say of it.
func (c *call) measure(path string) (app, error) {
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".apk", ".aab", ".ipa":
		return app{}, fmt.Errorf("%s: this version registers executables; a later one reads %s files", path, extension)
	}
	if c.has("libraryID") {
		if _, err := c.number("libraryID"); err != nil {
			return app{}, err
		}
	}
	measured, err := measure.File(context.Background(), path)
	if err != nil {
		return app{}, err
	}
	a := app{new: attestapi.NewRegistration{Digest: base64.StdEncoding.EncodeToString(measured.Digest[:]), Package: measured.Build.Package,
		Version: measured.Build.Version, Lifetime: c.text("expireAfter")}}
	if c.has("package") {
		a.new.Package = c.text("package")
	}
	if a.new.Package == "" {
		return app{}, misuse{fmt.Errorf("%s does not say its package name; give -package NAME, the name that the app gives the SDK", path)}
	}
	if c.has("versionName") {
		a.new.Version = c.text("versionName")
	}
	if a.new.Version == "" {
		return app{}, misuse{fmt.Errorf("%s does not say its version; give -versionName TEXT, the version that the app gives the SDK", path)}
	}
	if err := errors.Join(measure.CheckPackage(a.new.Package), measure.CheckVersion(a.new.Version)); err != nil {
		return app{}, misuse{err}
	}
	err = c.chooseLibrary(&a, path, measured.Libraries)
	return a, err
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
	switch {
	case a.new.Library != "": // the SDK may be where it cannot be seen (manual, "Special Library Registration")
		return c.lookUpLibrary(a)
	case len(found) == 0:
		return fmt.Errorf("%s holds no SDK library; embed the file that approov sdk -getLibrary writes, or give -libraryID N", path)
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
