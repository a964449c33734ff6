package mobile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/zipfile"
)

const (
	readers      = 2 // goroutines that read and unpack
	readBuffer   = 256 << 10
	progressStep = 1 << 20 // bytes after which progress is told
	maxWarnings  = 10      // of files that are not searched
)

// source is an archive and the file it is in.
type source struct {
	file    io.ReaderAt
	size    int64
	archive *zipfile.Archive
}

// reading reads an archive once, and each of its files unpacked once.
type reading struct {
	source source
	search measure.Search             // what was found, in no order
	digest [attestapi.DigestSize]byte // of the archive, if it was read as a whole
	told   func(done, total int64)
	total  int64
	beside func(*zipfile.File) io.Writer // what takes the bytes of a file too, if it gives anything; nil: nothing does

	mu       sync.Mutex // guards all below, search, and the order in which told is called
	place    map[string]int
	warnings []string
	done     int64
	silent   int64 // bytes since progress was told
	next     int   // the next file
}

func newReading(s source, o Options) *reading {
	r := &reading{source: s, told: o.Progress, place: map[string]int{}}
	r.search.Mark = o.ConfigMark
	for _, f := range s.archive.Files() {
		r.total += f.Size
	}
	return r
}

// run reads all. The bytes of the archive, as they are in the file, go to whole too; nil: only its files are read.
func (r *reading) run(ctx context.Context, whole io.Writer) error {
	if whole != nil {
		r.total += r.source.size
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make([]error, readers)
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			if i == 0 && whole != nil {
				failures[i] = r.readWhole(ctx, whole)
			}
			if failures[i] == nil {
				failures[i] = r.readFiles(ctx)
			}
			if failures[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	var ended error // by the context: the caller's, or that of a reader beside one that failed
	for _, err := range failures {
		switch {
		case errors.Is(err, context.Canceled):
			ended = err
		case err != nil:
			return err
		}
	}
	return ended
}

// readWhole computes the digest of the archive.
func (r *reading) readWhole(ctx context.Context, whole io.Writer) error {
	hash := sha256.New()
	section := io.NewSectionReader(r.source.file, 0, r.source.size)
	_, err := io.CopyBuffer(io.MultiWriter(hash, whole), struct{ io.Reader }{r.counted(ctx, section)}, make([]byte, readBuffer))
	hash.Sum(r.digest[:0])
	return err
}

// readFiles searches files until there are no more.
func (r *reading) readFiles(ctx context.Context) error {
	s := measure.Search{Mark: r.search.Mark}
	for i, f := r.take(); f != nil; i, f = r.take() {
		content, err := f.Open()
		if err != nil {
			r.warn(fmt.Sprintf("it was not searched in all of its files: %v", err))
			continue
		}
		var from io.Reader = content
		if r.beside != nil {
			if other := r.beside(f); other != nil {
				from = io.TeeReader(content, other)
			}
		}
		err = s.Read(ctx, r.counted(ctx, from))
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
		if len(s.Libraries) > 0 || len(s.Configs) > 0 {
			if err := r.add(i, &s); err != nil {
				return err
			}
			s.Libraries, s.Configs = nil, nil
		}
	}
	return nil
}

// take takes the next file; nil: there are no more.
func (r *reading) take() (int, *zipfile.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	files := r.source.archive.Files()
	if r.next == len(files) {
		return 0, nil
	}
	r.next++
	return r.next - 1, files[r.next-1]
}

// add adds what was found in a file.
func (r *reading) add(file int, s *measure.Search) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.search.Add(s)
	for _, l := range s.Libraries {
		r.placeAt(string(l.Encode()), file)
	}
	for _, text := range s.Configs {
		r.placeAt(text, file)
	}
	return err
}

// placeAt notes the first file that something is in, of what is kept.
func (r *reading) placeAt(text string, file int) {
	if before, known := r.place[text]; known {
		file = min(file, before)
	}
	if len(r.place) <= measure.MaxLibraries+measure.MaxConfigs {
		r.place[text] = file
	}
}

// found is what was found, in the order of the files it is in.
func (r *reading) found() ([]attestapi.Library, []string) {
	slices.SortStableFunc(r.search.Libraries, func(a, b attestapi.Library) int {
		return cmp.Compare(r.place[string(a.Encode())], r.place[string(b.Encode())])
	})
	slices.SortStableFunc(r.search.Configs, func(a, b string) int { return cmp.Compare(r.place[a], r.place[b]) })
	return r.search.Libraries, r.search.Configs
}

func (r *reading) warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, text)
	}
}

// counted tells of progress, and ends with its context.
func (r *reading) counted(ctx context.Context, from io.Reader) io.Reader {
	return contextReader{ctx, readerFunc(func(p []byte) (int, error) {
		n, err := from.Read(p)
		if r.told != nil {
			r.count(int64(n))
		}
		return n, err
	})}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (r *reading) count(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.silent += n; r.silent >= progressStep || r.done == r.total {
		r.silent = 0
		r.told(r.done, r.total)
	}
}
