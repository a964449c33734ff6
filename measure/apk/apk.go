// Package apk reads Android packages: who an app says it is, in its manifest, and who signed it, by each of the four
// schemes (Android Open Source Project, "APK Signature Scheme v2", "v3", "v3.1"; JAR File Specification for v1).
//
// It owns what a package means. It does not own the formats below it, see zipfile and axml, and does not decide what
// may be registered: what a device would not install is told as a warning, for whoever registers it to judge.
//
// It judges as Android 7 and later do, and apksigner with --min-sdk-version 24: v1 counts if there is neither v2 nor v3.
// Then each file is compared with what was signed. What Android and apksigner differ in is taken if both take it. Not
// checked, and said to be so, are signatures by DSA and digests of fs-verity.
//
// Start reading at ReadManifest, then ReadSignatures; of v1 at jar.
package apk

import (
	"fmt"
	"io"
	"slices"

	"github.com/approovgate/approovgate/measure/axml"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// The bounds of what is read of a package at once, in bytes.
const (
	MaxManifest = 4 << 20
	MaxTable    = 32 << 20 // of the table of resources, which is read only if the version's name is a resource
)

// The names of files in a package.
const (
	ManifestName = "AndroidManifest.xml"
	tableName    = "resources.arsc"
)

// The numbers of the attributes that are read, android.R.attr.
const (
	attrDebuggable       = 0x0101000f
	attrMinSDK           = 0x0101020c
	attrVersionCode      = 0x0101021b
	attrVersionName      = 0x0101021c
	attrTargetSDK        = 0x01010270
	attrTestOnly         = 0x01010272
	attrVersionCodeMajor = 0x01010576
)

// Manifest is what an app says of itself.
type Manifest struct {
	Package     string
	VersionName string // "": it has none
	VersionCode uint64 // with versionCodeMajor in its upper half, as PackageInfo.getLongVersionCode
	Split       string // the name of the part that it is of an app in several packages; "": it is the base, or the whole
	MinSDK      uint32 // API level; 0: it does not say
	TargetSDK   uint32
	Debuggable  bool
	TestOnly    bool
	Warnings    []string // what could not be read
}

// ReadManifest reads the manifest of a package.
func ReadManifest(a *zipfile.Archive) (Manifest, error) {
	content, err := readWhole(a, ManifestName, MaxManifest)
	if err != nil {
		return Manifest{}, err
	}
	r := manifestReader{archive: a}
	if err := axml.Walk(content, r.element); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return r.m, nil
}

// readWhole reads a file of an archive that is not larger than a limit.
func readWhole(a *zipfile.Archive, name string, limit int64) ([]byte, error) {
	return readInto(nil, a, name, limit)
}

// readInto does so into a buffer, if there is room for it.
func readInto(buffer []byte, a *zipfile.Archive, name string, limit int64) ([]byte, error) {
	f, found := a.Find(name)
	if !found {
		return nil, fmt.Errorf("there is no %s in it", name)
	}
	if f.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, f.Size, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	content := slices.Grow(buffer[:0], int(f.Size))[:f.Size]
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r) // nothing but its end, which tells whether it is damaged
	return content, err
}
