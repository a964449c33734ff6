package mobile

import (
	"path"
	"strings"

	"github.com/approovgate/approovgate/measure/apk"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// kind is what an archive holds.
type kind int

const (
	kindUnknown kind = iota
	kindAPK
	kindIPA
	kindBundle   // .aab
	kindPackages // APKs
)

// kindOf tells by what is in an archive, whatever its name is.
func kindOf(a *zipfile.Archive) kind {
	if _, found := a.Find(apk.ManifestName); found {
		return kindAPK
	}
	if _, found := a.Find("base/manifest/" + apk.ManifestName); found {
		return kindBundle
	}
	packages := false
	for _, f := range a.Files() {
		if matched, err := path.Match("Payload/*.app/Info.plist", f.Name); matched && err == nil {
			return kindIPA
		}
		packages = packages || isAPK(f.Name)
	}
	if packages {
		return kindPackages
	}
	return kindUnknown
}

// isAPK says whether a file is a package by its name. What macOS adds to archives about each file is none.
func isAPK(name string) bool {
	return strings.EqualFold(path.Ext(name), ".apk") && !strings.HasPrefix(name, "__MACOSX/")
}
