package host

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

// Document is a gate policy as a host found it.
type Document struct {
	Policy config.Policy
	Prefix string   // what stands before the paths of its problems: "policy." or "policy.yaml: "
	Dir    string   // where relative file: references start; empty: the working directory
	Files  []string // it was read from; Loader.Files names them too
}

// Loader feeds a gate from a host's documents, and says where the user finds what is wrong.
type Loader struct {
	// Read reads the policy afresh. Its problems carry complete paths.
	Read func() (Document, []config.Problem)

	mu      sync.Mutex       // guards the fields below
	current Document         // as last read, be it in force or not
	noted   []config.Problem // what Read reported about it
}

// New makes a gate that is fed by l. Problems carry complete paths, and all are found at once: the
// secrets of a policy that has other problems are judged too.
func (l *Loader) New(o gate.Options) (*gate.Gate, []config.Problem) {
	o.Load, o.Read, o.ParseControl = l.load, l.resolve, ParseTree
	o.NewCache = func() engine.Cache { return NewCache() }
	g, problems := gate.New(o)
	if config.Failed(l.noted) {
		problems = append(problems, l.keyProblems(o)...)
	}
	return g, l.place(problems)
}

// Refresh makes g read everything again. Problems carry complete paths.
func (l *Loader) Refresh(g *gate.Gate) []config.Problem { return l.place(g.Refresh()) }

// Policy returns the policy as last read, be it in force or not.
func (l *Loader) Policy() config.Policy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current.Policy
}

// Files are those that the policy as last read, be it in force or not, was read from or refers to.
func (l *Loader) Files() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	policy := l.current.Policy
	files := append([]string(nil), l.current.Files...)
	for _, path := range []string{policy.Control.File, policy.Control.CA} {
		if path != "" {
			files = append(files, path)
		}
	}
	references := append([]string{policy.Control.Token, policy.Control.Seal}, policy.Control.Keys...)
	for _, k := range policy.Keys {
		if k.CA != "" {
			files = append(files, k.CA)
		}
		references = append(references, k.Secret, k.PublicKey, k.JWKS)
	}
	for _, reference := range references {
		if path, isFile := strings.CutPrefix(reference, "file:"); isFile {
			files = append(files, below(l.current.Dir, path))
		}
	}
	return files
}

// load is a gate's Load: it reads, and makes the policy's relative paths start at its folder.
func (l *Loader) load() (config.Policy, []config.Problem) {
	document, noted := l.Read()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range []*string{&document.Policy.Control.File, &document.Policy.Control.CA, &document.Policy.Control.Cache} {
		*path = below(document.Dir, *path)
	}
	for i := range document.Policy.Keys {
		document.Policy.Keys[i].CA = below(document.Dir, document.Policy.Keys[i].CA)
	}
	l.current, l.noted = document, noted
	return document.Policy, append([]config.Problem(nil), noted...)
}

// below is a path that starts at a folder, if it is relative.
func below(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// keyProblems reports what is wrong with what the keys of a refused policy refer to. A key whose
// reference or kind is refused itself is left out.
func (l *Loader) keyProblems(o gate.Options) []config.Problem {
	document := l.current
	known := map[string]bool{}
	for _, p := range l.noted {
		if !p.Warning {
			known[strings.TrimPrefix(p.Path, document.Prefix)] = true
		}
	}
	o.Load = func() (config.Policy, []config.Problem) { return config.Policy{Keys: document.Policy.Keys}, nil }
	o.Notify = nil
	_, problems := gate.New(o)
	var found []config.Problem
	for _, p := range problems {
		entry, _, isField := strings.Cut(p.Path, "].")
		entry += "]"
		if isField && !known[p.Path] && !known[entry] && !known[entry+".alg"] && !known[entry+".algs"] && !known[entry+".encoding"] {
			found = append(found, p)
		}
	}
	return found
}

// resolve is a gate's Read: relative file: references start at the policy's folder.
func (l *Loader) resolve(ref string) ([]byte, []string, error) {
	l.mu.Lock()
	dir := l.current.Dir
	l.mu.Unlock()
	if path, isFile := strings.CutPrefix(ref, "file:"); isFile {
		ref = "file:" + below(dir, path)
	}
	return source.Read(ref)
}

// place gives problems complete paths: those about the policy are put where the host's user wrote it.
func (l *Loader) place(problems []config.Problem) []config.Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	complete := map[config.Problem]bool{}
	for _, p := range l.noted {
		complete[p] = true
	}
	placed := make([]config.Problem, 0, len(problems))
	for _, p := range problems {
		if !complete[p] {
			p.Path = strings.TrimRight(l.current.Prefix+p.Path, ".: ")
		}
		placed = append(placed, p)
	}
	return placed
}
