// Command generate writes the corpus in testdata/vectors: it mints the tokens, and states by hand what must come
// of each request. It owns the cases and their expectations, which follow from the documents and the RFCs, never
// from what the engine answers.
//
//	go run ./internal/conformance/generate            # from the module's root
//
// Every run writes the same bytes: keys are read from testdata/keys, randomness is derived from what is signed.
// Start reading at corpus.go for the notation, then in the file of a folder, such as claims.go.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/approovgate/approovgate/internal/conformance"
)

func main() {
	if err := run("testdata"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run writes every case below testdata/vectors and removes the case files that no longer have one.
func run(testdata string) error {
	cases, err := all(filepath.Join(testdata, "keys"))
	if err != nil {
		return err
	}
	vectors := filepath.Join(testdata, "vectors")
	kept := map[string]bool{}
	for _, c := range cases {
		path := filepath.Join(vectors, filepath.FromSlash(c.File)+".txt")
		kept[path] = true
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(conformance.Format(c)), 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d cases in %s\n", len(cases), vectors)
	return filepath.WalkDir(vectors, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".txt" || kept[path] {
			return err
		}
		return os.Remove(path)
	})
}

// all is the whole corpus, made with the keys in dir.
func all(dir string) ([]conformance.Case, error) {
	g := newCorpus(dir)
	for _, folder := range []func(g *corpus){
		algorithms, serialisations, tokenHeaders, tokenSizes, encrypted,
		expiries, times, claimTexts, claimTypes,
		payClaims, bindingSources, bindingAbsence,
		refusedTargets, canonicalTargets, publicTargets, tolerantTargets, methods,
		hosts, spoofedHeaders, preflights, connections,
		secrets, publicKeys, rotation, refusedKeys,
		modes, rollouts, forwarding, responses,
		routeMatching, routeRules, claimRules,
	} {
		folder(g)
	}
	return g.cases, g.err
}
