// Package apktest makes Android packages for tests: the manifest in its binary form, the table of resources, the zip
// archive, and its signatures. It shares no code with what reads them, so that the one tests the other.
//
// It is for tests only. It makes what Android takes, and the bad things that Android does not; it checks nothing.
//
// Start reading at App.Make.
package apktest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// App is an Android package to be made.
type App struct {
	Manifest Manifest
	Table    []byte // resources.arsc; nil: none
	Files    []File // besides those
	V1       []*Key // who signs, in each way
	V2, V3   []*Key
	V31      []*Key
	Lineage  []*Key // the keys that the signer of v3 had before, the first one first, and its own
	Forged   bool   // the last key itself signed that it follows the others
	// Listed changes a list of v1, MANIFEST.MF or CERT0.SF, before it is signed; nil: none.
	Listed func(name, list string) string
	// Added changes the files after they were signed by v1, and before they are by the others; nil: none.
	Added func(files []File) []File
	// Signed changes the bytes of a signed package; nil: none.
	Signed func(apk []byte) []byte
}

// File is a file in a package.
type File struct {
	Name, Content string
	Stored        bool
}

// Make makes the package. It panics where a test would fail.
func (a App) Make() []byte {
	files := []File{{Name: "AndroidManifest.xml", Content: string(a.Manifest.Encode())}}
	if a.Table != nil {
		files = append(files, File{Name: "resources.arsc", Content: string(a.Table), Stored: true})
	}
	files = append(files, a.Files...)
	for i, key := range a.V1 {
		files = append(files, key.jarFiles(files, fmt.Sprintf("CERT%d", i), a.later(), a.Listed)...)
	}
	if a.Added != nil {
		files = a.Added(files)
	}
	apk := Zip(files)
	apk = sign(apk, a.V2, a.V3, a.V31, a.lineage())
	if a.Signed != nil {
		apk = a.Signed(apk)
	}
	return apk
}

// later are the schemes after v1 that the package is signed by too, as lists of v1 say it.
func (a App) later() string {
	var all []string
	for i, keys := range [][]*Key{a.V2, a.V3} {
		if len(keys) > 0 {
			all = append(all, fmt.Sprint(i+2))
		}
	}
	return strings.Join(all, ", ")
}

// Zip makes an archive.
func Zip(files []File) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestSpeed) })
	for _, f := range files {
		header := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
		if f.Stored {
			header.Method, header.CRC32 = zip.Store, crc32.ChecksumIEEE([]byte(f.Content))
			header.CompressedSize64, header.UncompressedSize64 = uint64(len(f.Content)), uint64(len(f.Content))
			raw := must(w.CreateRaw(header))
			must(raw.Write([]byte(f.Content)))
			continue
		}
		must(must(w.CreateHeader(header)).Write([]byte(f.Content)))
	}
	check(w.Close())
	return b.Bytes()
}

// Unzip is what is in an archive: of a package all but the signing block.
func Unzip(archive []byte) []File {
	var all []File
	for _, f := range must(zip.NewReader(bytes.NewReader(archive), int64(len(archive)))).File {
		content := must(f.Open())
		all = append(all, File{Name: f.Name, Content: string(must(io.ReadAll(content))), Stored: f.Method == zip.Store})
	}
	return all
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
