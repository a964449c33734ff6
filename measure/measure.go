// Package measure says what an executable is: its digest, its name and version, and the SDK libraries in it. The
// management tool registers a file by it, and the SDK measures the program it runs in by it, so both come to the same.
//
// It owns how a file is read and what a package may be called. It decides nothing, keeps nothing, and trusts no file:
// whatever one holds, the memory taken stays below a bound and the answer is an App or an error.
//
// Start reading at File, then Self.
package measure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/approovgate/approovgate/attestapi"
)

// The bounds of what is measured.
const (
	MaxSize      = 4 << 30 // bytes of an executable
	MaxLibraries = 16      // SDK libraries in one: an SDK may be embedded in another (manual, "Special Library")
	window       = 64 << 10
)

// App is what an executable is.
type App struct {
	Digest    [attestapi.DigestSize]byte // SHA-256 of the whole file (manual, "Registering an App")
	Size      int64
	Libraries []attestapi.Library // in the order found, each once
	Build     Build               // zero: the file does not say
}

// Build is what a Go program says of itself.
type Build struct {
	Package string // import path of package main, such as example.com/shop/cmd/client
	Version string // of its module without the v, such as 1.2.3; devel if it was not built from a version
}

// File measures the executable at a path.
func File(ctx context.Context, path string) (App, error) {
	info, err := os.Stat(path)
	if err != nil {
		return App{}, fmt.Errorf("measure: %w", err)
	}
	if !info.Mode().IsRegular() { // before it is opened: opening a pipe waits for its other end
		return App{}, fmt.Errorf("measure: %s is not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return App{}, fmt.Errorf("measure: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	return open(ctx, file, path)
}

// open measures an open file.
func open(ctx context.Context, file *os.File, path string) (App, error) {
	app, err := Reader(ctx, file)
	if err != nil {
		return App{}, fmt.Errorf("measure %s: %w", path, err)
	}
	app.Build = ReadBuild(file)
	return app, nil
}

// Reader measures what a reader brings. It cannot tell the Build.
func Reader(ctx context.Context, r io.Reader) (App, error) {
	var app App
	hash := sha256.New()
	buffer := make([]byte, 0, 2*window) // more than the longest beginning of a library, which is kept, and a window
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):min(len(buffer)+window, cap(buffer))])
		fresh := buffer[len(buffer) : len(buffer)+n]
		hash.Write(fresh)
		app.Size += int64(n)
		buffer = buffer[:len(buffer)+n]
		if app.Size > MaxSize {
			return App{}, fmt.Errorf("it has more than %d bytes", int64(MaxSize))
		}
		found, keep := attestapi.FindLibraries(buffer)
		if app.Libraries = merge(app.Libraries, found); len(app.Libraries) > MaxLibraries {
			return App{}, fmt.Errorf("it holds more than %d SDK libraries", MaxLibraries)
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			hash.Sum(app.Digest[:0])
			return app, nil
		case err != nil:
			return App{}, err
		case ctx.Err() != nil:
			return App{}, ctx.Err()
		}
		kept := copy(buffer[:cap(buffer)], buffer[len(buffer)-keep:])
		buffer = buffer[:kept]
	}
}

// merge adds the libraries that are not among all yet.
func merge(all, found []attestapi.Library) []attestapi.Library {
	for _, l := range found {
		known := false
		for _, other := range all {
			known = known || bytes.Equal(other.Encode(), l.Encode())
		}
		if !known && len(all) <= MaxLibraries {
			all = append(all, l)
		}
	}
	return all
}
