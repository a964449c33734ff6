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
)

// App is an Android package to be made.
type App struct {
	Manifest Manifest
	Table    []byte // resources.arsc; nil: none
	Files    []File // besides those
	V1       []*Key // who signs, in each way
	V2, V3   []*Key
	V31      []*Key
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
		files = append(files, key.jarFiles(files, fmt.Sprintf("CERT%d", i), len(a.V2)+len(a.V3) > 0)...)
	}
	apk := Zip(files)
	apk = sign(apk, a.V2, a.V3, a.V31)
	if a.Signed != nil {
		apk = a.Signed(apk)
	}
	return apk
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

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
