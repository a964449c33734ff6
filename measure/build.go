package measure

import (
	"debug/buildinfo"
	"errors"
	"io"
	"strings"
)

const (
	maxBuildReads = 64 << 20 // bytes of a file that may be read in search of its build information
	devel         = "devel"  // the version of what was not built from one
)

// ReadBuild reads what a Go program says of itself. The zero Build: nothing, or not Go.
func ReadBuild(file io.ReaderAt) Build {
	info, err := buildinfo.Read(&limited{file, maxBuildReads})
	if err != nil {
		return Build{}
	}
	b := Build{Package: info.Path, Version: strings.TrimPrefix(info.Main.Version, "v")}
	// Two spellings are no names: files given to go build in place of a package, and characters that none may have.
	if b.Package == "command-line-arguments" || CheckPackage(b.Package) != nil {
		b.Package = ""
	}
	b.Version, _, _ = strings.Cut(b.Version, "+") // of +dirty, +incompatible: a registration has the digest
	if b.Version == "" || CheckVersion(b.Version) != nil {
		b.Version = devel // among them what the go tool writes, (devel)
	}
	return b
}

// limited refuses when too much has been read: the headers of a hostile file can ask for all of it again and again.
type limited struct {
	file io.ReaderAt
	left int64
}

var errLimit = errors.New("measure: too much to read")

func (l *limited) ReadAt(p []byte, at int64) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, errLimit
	}
	return l.file.ReadAt(p, at)
}
