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
	"hash"
	"io"
	"os"

	"github.com/approovgate/approovgate/attestapi"
)

// The bounds of what is measured.
const (
	MaxSize      = 4 << 30 // bytes of an executable
	MaxLibraries = 16      // SDK libraries in one: an SDK may be embedded in another (manual, "Special Library Registration")
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

// File measures the executable at a path. Its error begins with the path.
func File(ctx context.Context, path string) (App, error) {
	app, _, err := FileAndConfigs(ctx, path, "", nil)
	return app, err
}

// FileAndConfigs is File that also looks for texts that begin with mark, as SDK configurations do, and tells how far it
// has come: progress may be nil.
func FileAndConfigs(ctx context.Context, path, mark string, progress func(done, total int64)) (App, []string, error) {
	app, configs, err := measureFile(ctx, path, mark, progress)
	if err != nil {
		return App{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return app, configs, nil
}

func measureFile(ctx context.Context, path, mark string, progress func(done, total int64)) (App, []string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return App{}, nil, errors.Unwrap(err) // the path is said once
	}
	if !info.Mode().IsRegular() { // before it is opened: opening a pipe waits for its other end
		return App{}, nil, errors.New("not a file")
	}
	if info.Size() > MaxSize { // before it is read: 4 GB take a while
		return App{}, nil, errTooLong
	}
	file, err := os.Open(path)
	if err != nil {
		return App{}, nil, errors.Unwrap(err)
	}
	defer func() { _ = file.Close() }() // only read
	if info, err = file.Stat(); err != nil {
		return App{}, nil, err
	}
	app, configs, err := open(ctx, file, mark, &sum{Hash: sha256.New(), total: info.Size(), progress: progress})
	if after, failed := file.Stat(); err == nil && failed == nil && (after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime())) {
		return App{}, nil, ErrChanged
	}
	return app, configs, err
}

// ErrChanged is why the digest of a file that is written to is not told: it would be of something that never was.
var ErrChanged = errors.New("it was changed while it was read; try again when it is complete")

// open measures an open file.
func open(ctx context.Context, file *os.File, mark string, counted *sum) (App, []string, error) {
	app, configs, err := read(ctx, file, mark, counted)
	if err != nil {
		return App{}, nil, err
	}
	app.Build = ReadBuild(file)
	return app, configs, nil
}

// Reader measures what a reader brings. It cannot tell the Build.
func Reader(ctx context.Context, r io.Reader) (App, error) {
	app, _, err := read(ctx, r, "", &sum{Hash: sha256.New()})
	return app, err
}

var errTooLong = fmt.Errorf("it has more than %d bytes", int64(MaxSize))

func read(ctx context.Context, r io.Reader, mark string, counted *sum) (App, []string, error) {
	search := Search{Mark: mark}
	if err := search.Read(ctx, io.TeeReader(io.LimitReader(r, MaxSize+1), counted)); err != nil {
		return App{}, nil, err
	}
	if counted.size > MaxSize {
		return App{}, nil, errTooLong
	}
	app := App{Size: counted.size, Libraries: search.Libraries}
	counted.Sum(app.Digest[:0])
	return app, search.Configs, nil
}

// sum is a hash that counts, and tells how far it has come.
type sum struct {
	hash.Hash
	size, total int64
	progress    func(done, total int64) // nil: nobody is told
}

func (s *sum) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.progress != nil {
		s.progress(s.size, s.total)
	}
	return s.Hash.Write(p)
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
