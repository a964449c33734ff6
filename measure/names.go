package measure

import (
	"fmt"
	"strings"
)

// The bounds of names, in bytes.
const (
	MaxPackage = 255
	MaxVersion = 64
)

// CheckPackage says what is wrong with the name of a package. It has letters, digits and . _ - / only, and none of the
// parts between slashes is empty or made of dots: it names a folder too, see sdk.
func CheckPackage(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the package has no name: give one, such as com.example.shop")
	case len(name) > MaxPackage:
		return fmt.Errorf("the package name has %d bytes, at most %d are allowed", len(name), MaxPackage)
	}
	for _, c := range []byte(name) {
		if !letterOrDigit(c) && !strings.ContainsRune("._-/", rune(c)) {
			return fmt.Errorf("the package name %.80q has %q: use letters, digits and . _ - /", name, c)
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.Trim(part, ".") == "" {
			return fmt.Errorf("the package name %.80q has a part of no letters between slashes", name)
		}
	}
	return nil
}

// CheckVersion says what is wrong with a version. It is like 2.0 or, with a build number, 2.0[3] (manual, "Listing
// Registrations"): letters, digits and . _ - [ ].
func CheckVersion(version string) error {
	switch {
	case version == "":
		return fmt.Errorf("there is no version: give one, such as 1.0")
	case len(version) > MaxVersion:
		return fmt.Errorf("the version has %d bytes, at most %d are allowed", len(version), MaxVersion)
	}
	for _, c := range []byte(version) {
		if !letterOrDigit(c) && !strings.ContainsRune("._-[]", rune(c)) {
			return fmt.Errorf("the version %.80q has %q: use letters, digits and . _ - [ ]", version, c)
		}
	}
	return nil
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
